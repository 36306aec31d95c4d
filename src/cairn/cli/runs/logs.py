"""`cairn runs logs`: what steps have written, in the order in which it arrived."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.runs.listing import find_task
from cairn.domain.states import AttemptState
from cairn.engine.log_files import log_files
from cairn.engine.log_tails import LogTail, choose, replicas
from cairn.errors import InputRefused, NotFound
from cairn.launcher.logs import STREAMS, interleaved

if TYPE_CHECKING:
    from cairn.domain.runs import AttemptRecord, Run
    from cairn.wiring import Cairn

FOLLOW_SECONDS = 0.1


@click.command()
@options.run_argument
@options.task_argument(required=False)
@click.option("--attempt", metavar="N|all", help="This attempt of TASK; by default the latest of each task.")
@click.option("--stdout", "only", flag_value="stdout", help="Only standard output.")
@click.option("--stderr", "only", flag_value="stderr", help="Only standard error.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run, or TASK, has ended.")
@click.option("--files", "as_files", is_flag=True, help="List the files kept beside the logs, such as Hydra's.")
@options.as_json
def logs(
    reference: str,
    task: str | None,
    *,
    attempt: str | None,
    only: str | None,
    follow: bool,
    as_files: bool,
    as_json: bool,
) -> None:
    """Print what the steps of RUN, or TASK alone, have written. With --json one object for each piece, a line each.

    A step that writes files where CAIRN_LOG_DIRECTORY says, or a Hydra program, leaves more: --files lists it.
    """
    if as_files and (follow or only):
        raise InputRefused("--files goes with neither --follow nor one stream", place="--files")
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        path = find_task(cairn, run, task).path if task and not follow else task or ""
        run, path, taken = source_of(cairn, run, path)
        follow = follow and not taken
        writer = _Json() if as_json else _Plain(named=not path)
        if follow:
            _follow(cairn, run, path, only, writer)
            return
        chosen = choose(cairn.records.attempts(run.uid), path, attempt)
        if path and not chosen:
            raise _no_log(cairn, run, path)
        if not path:
            _mention_cached(cairn, run)
        if as_files:
            _list_files(chosen, as_json=as_json)
            return
        for one in chosen:
            for name, part in replicas(one):
                for stream, data in interleaved(part.directory):
                    if only in (None, stream):
                        writer.write(one, stream, data, name)
                writer.end(one, name)
        if path and not as_json:
            _mention_files(run, path, chosen)


def _list_files(chosen: Sequence[AttemptRecord], *, as_json: bool) -> None:
    """Paths, one in a line; with --json {"task", "attempt", "path", "bytes"}."""
    for one in chosen:
        for path in log_files(one.directory):
            if as_json:
                size = os.lstat(path).st_size
                output.print_json({"task": one.path, "attempt": one.number, "path": path, "bytes": size})
            else:
                output.say(path)


def _mention_files(run: Run, path: str, chosen: Sequence[AttemptRecord]) -> None:
    count = sum(len(log_files(one.directory)) for one in chosen)
    if count:
        sys.stdout.flush()
        output.note(f"{words.plural(count, 'file')} kept beside it: cairn runs logs {run.uid[:8]} {path} --files")


def source_of(cairn: Cairn, run: Run, path: str) -> tuple[Run, str, bool]:
    """The run and task whose log to show: of a cached task those that made its result, which is then mentioned.

    Raises NotFound when that run is gone.
    """
    records = cairn.records.tasks(run.uid) if path else []
    found = next((record for record in records if record.path == path), None)
    comparison = found.comparison if found is not None and found.cached else None
    if comparison is None or not comparison.source_run:
        return run, path, False
    try:
        source = cairn.records.run(comparison.source_run)
    except NotFound:
        raise NotFound(
            f"was taken from the cache, and run {comparison.source_run[:8]}, which made the result, has been deleted",
            place=path,
        ) from None
    output.note(
        f"{path} was taken from the cache; this is the log of {comparison.source_path} of run {source.job_id} "
        f"({source.uid[:8]})"
    )
    return source, comparison.source_path, True


def _no_log(cairn: Cairn, run: Run, path: str) -> NotFound:
    record = next(record for record in cairn.records.tasks(run.uid) if record.path == path)
    if record.kind != "leaf":
        return NotFound("holds other tasks and has no log of its own", place=path, remedy="give one of those")
    if record.cached:
        return NotFound("was taken from the records, so there is no log", place=path)
    return NotFound(f"is {record.state.lower()} and has not been started, so there is no log", place=path)


def _mention_cached(cairn: Cairn, run: Run) -> None:
    """Tasks that another run has run are missing from the whole run's log: say so."""
    records = cairn.records.tasks(run.uid)
    count = sum(1 for one in records if one.cached and one.comparison is not None and one.comparison.source_run)
    if count:
        output.note(
            f"{words.plural(count, 'task')} taken from the cache: `cairn runs logs {run.uid[:8]} TASK` shows the log "
            "of the run that made the result"
        )


class _Plain:
    """Bytes as they are; with several tasks or replicas, whole lines, each with its task's path, or its replica's name,
    before it."""

    def __init__(self, *, named: bool) -> None:
        self.named = named
        self._rest: dict[str, bytes] = {}

    def write(self, one: AttemptRecord, stream: str, data: bytes, replica: str) -> None:
        if not self.named and not replica:
            sys.stdout.buffer.write(data)
            return
        key = f"{one.uid}/{replica}/{stream}"
        *lines, rest = (self._rest.pop(key, b"") + data).split(b"\n")
        if rest:
            self._rest[key] = rest
        prefix = _before(one, replica)
        for line in lines:
            sys.stdout.buffer.write(prefix + line + b"\n")

    def end(self, one: AttemptRecord, replica: str) -> None:
        for stream in STREAMS:
            rest = self._rest.pop(f"{one.uid}/{replica}/{stream}", b"")
            if rest:
                sys.stdout.buffer.write(_before(one, replica) + rest + b"\n")

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def _before(one: AttemptRecord, replica: str) -> bytes:
    return (f"{one.path} {replica} | " if replica else f"{one.path} | ").encode()


class _Json:
    """{"task", "attempt", "replica" of a job that has several, "stream", "text"}, one in a line."""

    def write(self, one: AttemptRecord, stream: str, data: bytes, replica: str) -> None:
        told: dict[str, Any] = {"task": one.path, "attempt": one.number}
        if replica:
            told["replica"] = replica
        output.print_json({**told, "stream": stream, "text": data.decode(errors="replace")})

    def end(self, one: AttemptRecord, replica: str) -> None:
        pass

    def flush(self) -> None:
        sys.stdout.flush()


def _follow(cairn: Cairn, run: Run, path: str, only: str | None, writer: Any) -> None:
    """Every attempt from now on and those there were, stream by stream as they grow."""
    tails: dict[str, LogTail] = {}
    while True:
        run = cairn.records.run(run.uid)
        for one in choose(cairn.records.attempts(run.uid), path, "all"):
            for name, part in replicas(one):
                tail = tails.setdefault(part.directory, LogTail(part))
                for stream, data in tail.more(ended=one.state is not AttemptState.RUNNING):
                    if only in (None, stream):
                        writer.write(one, stream, data, name)
                if tail.done:
                    writer.end(one, name)
        writer.flush()
        if run.state.terminal or (path and _over(cairn, run, path)):
            return
        time.sleep(FOLLOW_SECONDS)


def _over(cairn: Cairn, run: Run, path: str) -> bool:
    return any(record.path == path and record.state.terminal for record in cairn.records.tasks(run.uid))
