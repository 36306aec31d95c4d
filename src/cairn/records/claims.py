"""Which engine may write to a run: a fencing number, an owner and a lease."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cairn.engine.ports import Fence, Owner
from cairn.errors import FenceLost, InputRefused
from cairn.records import owners
from cairn.records.connection import Connection

_RELEASE = "UPDATE claims SET pid = 0, start_ticks = 0, boot_id = '', host = '', until_boot = 0, until_clock = 0"


class Claim(msgspec.Struct, frozen=True):
    fence: int
    owner: Owner
    until_boot: int
    until_clock: int


def read(connection: Connection, run: int) -> Claim | None:
    row = connection.one(
        "SELECT fence, pid, start_ticks, boot_id, host, until_boot, until_clock FROM claims WHERE run = ?", (run,)
    )
    return Claim(row[0], Owner(*row[1:5]), row[5], row[6]) if row else None


def held(connection: Connection, claim: Claim) -> bool:
    """Whether a live engine holds it: its process lives, and its lease has not expired."""
    owner = claim.owner
    if not owner.pid or not owners.alive(owner):
        return False
    if owner.boot_id == owners.boot_id():
        return claim.until_boot > owners.boot_time()
    return claim.until_clock > connection.clock()


def claim(connection: Connection, run: int, job_id: str, owner: Owner, lease_seconds: float) -> int:
    """Take the run over; the new fencing number."""
    current = read(connection, run)
    if current is not None and current.owner != owner and held(connection, current):
        holder = current.owner
        raise InputRefused(
            f"run {job_id} is being run by process {holder.pid} on {holder.host.partition('/')[0]}",
            remedy="cancel it with `cairn runs cancel`, or watch it with `cairn runs watch`",
        )
    fence = current.fence + 1 if current is not None else 1
    values = (fence, owner.pid, owner.start_ticks, owner.boot_id, owner.host, *_until(connection, lease_seconds), run)
    connection.run(
        "UPDATE claims SET fence = ?, pid = ?, start_ticks = ?, boot_id = ?, host = ?, until_boot = ?, until_clock = ? "
        "WHERE run = ?",
        values,
    )
    return fence


def renew(connection: Connection, fences: Sequence[tuple[int, Fence]], lease_seconds: float) -> list[str]:
    """Prolong each lease; uids of the runs that were taken over."""
    until = _until(connection, lease_seconds)
    sql = "UPDATE claims SET until_boot = ?, until_clock = ? WHERE run = ? AND fence = ?"
    return [fence.run_uid for run, fence in fences if connection.run(sql, (*until, run, fence.number)) == 0]


def release(connection: Connection, run: int, number: int) -> bool:
    return connection.run(f"{_RELEASE} WHERE run = ? AND fence = ?", (run, number)) == 1


def release_all(connection: Connection) -> None:
    connection.run(_RELEASE)


def check(connection: Connection, run: int, fence: Fence) -> None:
    """Raises FenceLost, whose `place` is the run's uid."""
    row = connection.one("SELECT fence FROM claims WHERE run = ?", (run,))
    if row is None or row[0] != fence.number:
        raise lost(fence.run_uid)


def lost(run_uid: str) -> FenceLost:
    return FenceLost("another engine has taken this run over, or it was deleted", place=run_uid)


def _until(connection: Connection, lease_seconds: float) -> tuple[int, int]:
    microseconds = int(lease_seconds * 1e6)
    return owners.boot_time() + microseconds, connection.clock() + microseconds
