"""`cairn jobs logs` and `stream-logs`: what the replicas of a job have written."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output
from cairn.cli.jobs.finding import find_job, job_argument
from cairn.cli.opening import opened
from cairn.domain.states import AttemptState
from cairn.engine.log_tails import LogTail, choose, replicas
from cairn.errors import NotFound

if TYPE_CHECKING:
    from cairn.domain.runs import AttemptRecord, Run
    from cairn.wiring import Cairn

FOLLOW_SECONDS = 0.1
CHIEF = "workerpool0-0"


@click.command()
@job_argument
@click.option("--replica", default="", metavar="NAME", help="Only this one: workerpool1-0.")
@click.option("--attempt", metavar="N|all", help="This attempt of the job; by default the latest.")
@click.option("--stdout", "only", flag_value="stdout", help="Only standard output.")
@click.option("--stderr", "only", flag_value="stderr", help="Only standard error.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@options.as_json
def logs(reference: str, *, replica: str, attempt: str | None, only: str | None, follow: bool, as_json: bool) -> None:
    """Print what the replicas of JOB have written. With --json one object for each piece, a line each."""
    with opened() as cairn:
        _print(cairn, find_job(cairn, reference), _Writer(replica, only, as_json=as_json), attempt, follow=follow)


@click.command()
@job_argument
@options.as_json
def stream_logs(reference: str, *, as_json: bool) -> None:
    """Print what the replicas of JOB write, until it has ended."""
    with opened() as cairn:
        _print(cairn, find_job(cairn, reference), _Writer("", None, as_json=as_json), None, follow=True)


def _print(cairn: Cairn, run: Run, writer: _Writer, attempt: str | None, *, follow: bool) -> None:
    tails: dict[str, LogTail] = {}
    while True:
        run = cairn.records.run(run.uid)
        found = choose(cairn.records.attempts(run.uid), "", "all" if follow else attempt)
        for one in found:
            ended = not follow or one.state is not AttemptState.RUNNING
            _print_attempt(one, tails, writer, ended=ended)
        writer.flush()
        if not follow or run.state.terminal:
            break
        time.sleep(FOLLOW_SECONDS)
    if not found:
        raise NotFound(f"job {run.job_id} is {run.state.lower()} and has not been started, so there is no log")
    writer.check(found[-1])


def _print_attempt(one: AttemptRecord, tails: dict[str, LogTail], writer: _Writer, *, ended: bool) -> None:
    parts = replicas(one)
    for name, part in parts:
        replica = name or CHIEF
        if writer.wants(replica):
            tail = tails.setdefault(part.directory, LogTail(part))
            for stream, data in tail.more(ended=ended):
                writer.write(replica, one.number, stream, data, named=len(parts) > 1)
            if tail.done:
                writer.end(replica, one.number, named=len(parts) > 1)


class _Writer:
    """Bytes as they are, of several replicas whole lines with their names; or {"replica", "attempt", "stream",
    "text"}, one in a line."""

    def __init__(self, replica: str, only: str | None, *, as_json: bool) -> None:
        self._replica = replica
        self._only = only
        self._json = as_json
        self._rest: dict[tuple[str, int, str], bytes] = {}

    def wants(self, replica: str) -> bool:
        return self._replica in ("", replica)

    def check(self, one: AttemptRecord) -> None:
        """Raises NotFound for a replica that the job does not have."""
        names = [name or CHIEF for name, _ in replicas(one)]
        if self._replica and self._replica not in names:
            raise NotFound(f"there is no replica {self._replica!r}", remedy=f"there are: {', '.join(names)}")

    def write(self, replica: str, number: int, stream: str, data: bytes, *, named: bool) -> None:
        if self._only not in (None, stream):
            return
        if self._json:
            told: dict[str, Any] = {"replica": replica, "attempt": number, "stream": stream}
            output.print_json({**told, "text": data.decode(errors="replace")})
        elif not named or self._replica:
            sys.stdout.buffer.write(data)
        else:
            *lines, rest = (self._rest.pop((replica, number, stream), b"") + data).split(b"\n")
            if rest:
                self._rest[replica, number, stream] = rest
            for line in lines:
                sys.stdout.buffer.write(replica.encode() + b" | " + line + b"\n")

    def end(self, replica: str, number: int, *, named: bool) -> None:
        for stream in ("stdout", "stderr"):
            if (replica, number, stream) in self._rest:
                self.write(replica, number, stream, b"\n", named=named)

    def flush(self) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.flush()
