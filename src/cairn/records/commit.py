"""How a `Batch` is written: in the transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cairn.domain.resources import Capacity
from cairn.domain.runs import AttemptRecord, Run, TaskRecord
from cairn.domain.states import RunState
from cairn.engine.ports import Batch, Lineage
from cairn.errors import NotFound, RecordsError
from cairn.records import attempts, cache, claims, ledger, lineage, runs, tasks
from cairn.records.connection import Connection
from cairn.records.transaction import Writing

Number = Callable[[str], tuple[int, int]]  # a run's uid → its narrow key and its metadata store's


def commit(
    writing: Writing, batch: Batch, number: Number, capacity: Callable[[Connection], Capacity], machine: str
) -> tuple[frozenset[str], dict[str, tuple[int, ...]]]:
    """Write everything; uids of the starts that were denied, and the devices of those that were given some."""
    connection = writing.connection
    _check_fences(connection, batch, number)
    admitted = _start(writing, batch, number, capacity, machine)
    denied = [one for one in batch.starts if one.uid not in admitted]
    skipped = {(one.run_uid, one.path) for one in denied}
    _write_runs(writing, batch.runs, number)
    _write_tasks(writing, [one for one in batch.tasks if (one.run_uid, one.path) not in skipped], number)
    _write_attempts(writing, batch.attempts, number)
    _write_lineage(connection, batch, number)
    if batch.cache:
        cache.write(connection, [(number(one.run_uid)[0], one) for one in batch.cache])
    return frozenset(one.uid for one in denied), {uid: one.devices for uid, one in admitted.items() if one.devices}


def only_starts(batch: Batch) -> bool:
    """Whether the batch writes nothing if its starts are denied."""
    asked = {(one.run_uid, one.path) for one in batch.starts}
    other = batch.runs or batch.attempts or batch.contexts or batch.lineage or batch.cache
    return bool(asked) and not other and all((one.run_uid, one.path) in asked for one in batch.tasks)


def hopeless(
    connection: Connection, batch: Batch, number: Number, capacity: Callable[[Connection], Capacity], machine: str
) -> bool:
    """Whether starts would all be denied, as they were a moment ago."""
    _check_fences(connection, batch, number)
    starts = [(number(one.run_uid)[0], one) for one in batch.starts]
    return ledger.hopeless(connection, starts, capacity(connection), machine)


def _check_fences(connection: Connection, batch: Batch, number: Number) -> None:
    for fence in batch.fences.values():
        try:
            run, _ = number(fence.run_uid)
        except NotFound:
            raise claims.lost(fence.run_uid) from None
        claims.check(connection, run, fence)


def _start(
    writing: Writing, batch: Batch, number: Number, capacity: Callable[[Connection], Capacity], machine: str
) -> dict[str, AttemptRecord]:
    """What was admitted, by uid. Room that the batch itself gives back is there for its own starts."""
    ended = [one for one in batch.attempts if one.state.terminal]
    if ended:
        ledger.give_back(writing.connection, ended)
    for run in batch.runs:
        if run.state.terminal or run.state is RunState.CANCELLING:
            ledger.stop_waiting(writing.connection, number(run.uid)[0])
    if not batch.starts:
        return {}
    starts = [(number(one.run_uid)[0], one) for one in batch.starts]
    admitted = ledger.admit(writing.connection, starts, capacity(writing.connection), machine)
    _write_attempts(writing, [one for _, one in admitted], number)
    return {one.uid: one for _, one in admitted}


def _write_runs(writing: Writing, written: Sequence[Run], number: Number) -> None:
    for run in written:
        narrow, _ = number(run.uid)
        runs.update(writing.connection, narrow, run)
        writing.entry(narrow, "run", "", run.state, {"error": run.error.message[:500]} if run.error else None)


def _write_tasks(writing: Writing, written: Sequence[TaskRecord], number: Number) -> None:
    if not written:
        return
    numbered = [(number(one.run_uid)[0], one) for one in written]
    tasks.write(writing.connection, numbered)
    for run, one in numbered:
        detail: dict[str, object] = {"cached": True} if one.cached else {}
        if one.error:
            detail["error"] = one.error.message[:500]
        writing.entry(run, "task", one.path, one.state, detail)


def _write_attempts(writing: Writing, written: Sequence[AttemptRecord], number: Number) -> None:
    if not written:
        return
    numbered = [(number(one.run_uid)[0], one) for one in written]
    attempts.write(writing.connection, numbered)
    for run, one in numbered:
        detail: dict[str, object] = {"number": one.number}
        if one.exit is not None:
            detail["reason"] = one.exit.reason
        writing.entry(run, "attempt", one.path, one.state, detail)


def _write_lineage(connection: Connection, batch: Batch, number: Number) -> None:
    if batch.contexts:
        for store in {number(uid)[1] for uid in batch.fences}:
            lineage.write_contexts(connection, store, batch.contexts)
    by_store: dict[int, list[tuple[int, Lineage]]] = {}
    for part in batch.lineage:
        run, store = number(part.run_uid or _only_run(batch))
        by_store.setdefault(store, []).append((run, part))
    for store, parts in by_store.items():
        lineage.write(connection, store, parts)


def _only_run(batch: Batch) -> str:
    if len(batch.fences) != 1:
        raise RecordsError("lineage without a run in a batch of several runs")
    return next(iter(batch.fences.values())).run_uid
