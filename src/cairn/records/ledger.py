"""The machine's resources, shared by every run of a home: leases of running attempts, and demands that wait.

`Ledger` decides, without I/O. An attempt is admitted when it fits into what is free, unless a run that holds fewer
CPUs (as many, but waits longer) has a demand that the attempt would stand in the way of. A demand larger than
what happens to be free at any one time is held open for after `PATIENCE`: from then on nobody with more takes from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

import msgspec

from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import AttemptRecord
from cairn.records import claims, owners
from cairn.records.connection import Connection

FRESH = 2_500_000  # microseconds: an engine that has not asked again for this long waits no more
REFRESH = 1_000_000  # after this long its asking is written down again
PATIENCE = 10_000_000

Amount = tuple[int, int, int]  # CPU in thousandths, memory in bytes, accelerators
NOTHING: Amount = (0, 0, 0)


class Demand(msgspec.Struct):
    run: int
    since: int
    amount: Amount


class Ledger:
    """`held`: what each run holds. `demands`: of waiting runs. `now` is on the boot clock, in microseconds.

    `lives` says whether a run has a live engine; it is asked only of those whose demand would hinder somebody.
    """

    def __init__(
        self,
        capacity: Capacity,
        held: dict[int, Amount],
        demands: dict[int, Demand],
        now: int,
        lives: Callable[[int], bool],
    ) -> None:
        self._capacity = amount_of(capacity)
        self._held = held
        self._demands = demands
        self._now = now
        self._lives = lives
        self._free = _minus(self._capacity, _total(held.values()))
        self._running = sum(1 for amount in held.values() if amount != NOTHING)

    def admit(self, run: int, amount: Amount) -> bool:
        """Take `amount` for `run` if there is room and it is its turn."""
        if amount != NOTHING and self._running and not (_fits(amount, self._free) and self._turn(run, amount)):
            return False
        self._held[run] = _plus(self._held.get(run, NOTHING), amount)
        self._free = _minus(self._free, amount)
        self._running += amount != NOTHING
        return True

    def _turn(self, run: int, amount: Amount) -> bool:
        return not any(
            demand.run != run
            and self._precedes(demand, run)
            and self._hinders(amount, demand)
            and self._lives(demand.run)
            for demand in self._demands.values()
        )

    def _precedes(self, demand: Demand, run: int) -> bool:
        theirs, ours = self._held.get(demand.run, NOTHING)[0], self._held.get(run, NOTHING)[0]
        own = self._demands.get(run)
        return theirs < ours or (theirs == ours and (own is None or (demand.since, demand.run) < (own.since, run)))

    def _hinders(self, amount: Amount, demand: Demand) -> bool:
        """Whether giving `amount` away would keep from the demand what it could otherwise have."""
        left = _minus(self._free, amount)
        if not any(mine and wanted > rest for mine, wanted, rest in zip(amount, demand.amount, left, strict=True)):
            return False
        return _fits(demand.amount, self._free) or (
            self._now - demand.since > PATIENCE and _fits(demand.amount, self._capacity)
        )


def amount_of(resources: Resources | Capacity) -> Amount:
    return resources.cpu_millis, resources.memory_bytes, resources.accelerators


def admit(
    connection: Connection,
    starts: Iterable[tuple[int, AttemptRecord]],
    capacity: Capacity,
    machine: str,
) -> list[tuple[int, AttemptRecord]]:
    """Write a lease for each start that is admitted, in order, and the demands of runs that are denied one.

    Returns what was admitted.
    """
    now = owners.boot_time()
    waiting = _demands(connection, machine, now)
    ledger = Ledger(capacity, _held(connection, machine), waiting, now, partial(_claimed, connection))
    admitted: list[tuple[int, AttemptRecord]] = []
    first_denied: dict[int, Amount] = {}
    asked: set[int] = set()
    served: set[int] = set()
    for run, attempt in starts:
        asked.add(run)
        amount = amount_of(attempt.resources)
        if ledger.admit(run, amount):
            admitted.append((run, attempt))
            served.add(run)
        else:
            first_denied.setdefault(run, amount)
    for run in asked:
        if run in first_denied:
            since = waiting[run].since if run in waiting and run not in served else now
            _wait(connection, machine, Demand(run, since, first_denied[run]), now)
        else:
            stop_waiting(connection, run)
    if any(one.resources.accelerators for _, one in admitted):
        admitted = _with_devices(connection, admitted, capacity, machine)
    connection.many(
        "INSERT INTO leases (attempt, run, machine, directory, cpu_millis, memory_bytes, accelerators, devices) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (attempt) DO NOTHING",
        [
            (one.uid, run, machine, one.directory, *amount_of(one.resources), ",".join(map(str, one.devices)))
            for run, one in admitted
        ],
    )
    return admitted


def _with_devices(
    connection: Connection, admitted: Iterable[tuple[int, AttemptRecord]], capacity: Capacity, machine: str
) -> list[tuple[int, AttemptRecord]]:
    """Give each attempt devices of its own: the lowest that no running attempt on this machine has."""
    rows = connection.query("SELECT devices FROM leases WHERE machine = ? AND devices <> ''", (machine,))
    taken = {int(index) for (text,) in rows for index in text.split(",")}
    free = iter([index for index in range(capacity.accelerators) if index not in taken])
    return [
        (run, msgspec.structs.replace(one, devices=tuple(islice(free, one.resources.accelerators))))
        for run, one in admitted
    ]


def hopeless(
    connection: Connection,
    starts: Iterable[tuple[int, AttemptRecord]],
    capacity: Capacity,
    machine: str,
) -> bool:
    """Whether to ask would change nothing: every start would be denied, and it is recorded that its run waits.

    Engines that wait ask many times a second; without this, each time would be a write transaction.
    """
    now = owners.boot_time()
    waiting = _demands(connection, machine, now)
    ledger = Ledger(capacity, _held(connection, machine), waiting, now, partial(_claimed, connection))
    first: dict[int, Amount] = {}
    for run, attempt in starts:
        amount = amount_of(attempt.resources)
        if ledger.admit(run, amount):
            return False
        first.setdefault(run, amount)
    sql = (
        "SELECT 1 FROM demands WHERE run = ? AND cpu_millis = ? AND memory_bytes = ? AND accelerators = ? AND seen > ?"
    )
    return all(connection.one(sql, (run, *amount, now - REFRESH)) for run, amount in first.items())


def give_back(connection: Connection, attempts: Iterable[AttemptRecord]) -> None:
    connection.many("DELETE FROM leases WHERE attempt = ?", [(one.uid,) for one in attempts])


def stop_waiting(connection: Connection, run: int) -> None:
    connection.run("DELETE FROM demands WHERE run = ?", (run,))


def orphans(connection: Connection, machine: str) -> list[tuple[str, str]]:
    """(attempt, directory) of every lease on this machine whose run no live engine claims; without those that hold
    nothing, as native steps do: nobody waits for what they have, and they are not looked for as processes are."""
    rows = connection.query(
        "SELECT attempt, directory, run FROM leases WHERE machine = ? "
        "AND (cpu_millis > 0 OR memory_bytes > 0 OR accelerators > 0) ORDER BY attempt",
        (machine,),
    )
    unclaimed: dict[int, bool] = {}
    for _, _, run in rows:
        if run not in unclaimed:
            unclaimed[run] = not _claimed(connection, run)
    return [(attempt, directory) for attempt, directory, run in rows if unclaimed[run]]


def drop(connection: Connection, attempts: Iterable[str]) -> int:
    return sum(connection.run("DELETE FROM leases WHERE attempt = ?", (attempt,)) for attempt in attempts)


def _held(connection: Connection, machine: str) -> dict[int, Amount]:
    held: dict[int, Amount] = {}
    sql = "SELECT run, cpu_millis, memory_bytes, accelerators FROM leases WHERE machine = ?"
    for run, *amount in connection.query(sql, (machine,)):
        held[run] = _plus(held.get(run, NOTHING), (amount[0], amount[1], amount[2]))
    return held


def _demands(connection: Connection, machine: str, now: int) -> dict[int, Demand]:
    """Of engines that have asked not long ago: one that has lost interest stands in nobody's way."""
    rows = connection.query(
        "SELECT run, since, cpu_millis, memory_bytes, accelerators FROM demands "
        "WHERE machine = ? AND seen BETWEEN ? AND ?",
        (machine, now - FRESH, now),
    )
    return {run: Demand(run, since, (cpu, memory, devices)) for run, since, cpu, memory, devices in rows}


def _wait(connection: Connection, machine: str, demand: Demand, now: int) -> None:
    connection.run(
        "INSERT INTO demands (run, machine, since, seen, cpu_millis, memory_bytes, accelerators) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET machine = excluded.machine, "
        "since = excluded.since, seen = excluded.seen, cpu_millis = excluded.cpu_millis, "
        "memory_bytes = excluded.memory_bytes, accelerators = excluded.accelerators",
        (demand.run, machine, demand.since, now, *demand.amount),
    )


def _claimed(connection: Connection, run: int) -> bool:
    claim = claims.read(connection, run)
    return claim is not None and claims.held(connection, claim)


def _fits(amount: Amount, room: Amount) -> bool:
    return all(wanted == 0 or wanted <= rest for wanted, rest in zip(amount, room, strict=True))


def _plus(left: Amount, right: Amount) -> Amount:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _minus(left: Amount, right: Amount) -> Amount:
    return left[0] - right[0], left[1] - right[1], left[2] - right[2]


def _total(amounts: Iterable[Amount]) -> Amount:
    total = NOTHING
    for amount in amounts:
        total = _plus(total, amount)
    return total
