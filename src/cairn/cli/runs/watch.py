"""`cairn runs watch`: a run that another process runs, seen through the journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cairn.cli import options, summary, views
from cairn.cli.opening import opened
from cairn.engine.ports import Batch

if TYPE_CHECKING:
    from cairn.cli.views import View
    from cairn.domain.runs import Run
    from cairn.wiring import Cairn

LOOK_SECONDS = 0.1
ALONE_SECONDS = 3.0
INTERRUPTED = 130


@click.command()
@options.run_argument
@options.traceback
@options.as_json
def watch(reference: str, *, with_trace: bool, as_json: bool) -> int:
    """Follow RUN to its end and say what it came to; exits as `cairn run` would. Ctrl-C only stops watching."""
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        pipeline = cairn.runs.pipeline_of(run)
        view = views.make_view(pipeline)
        try:
            ended = follow(cairn, run, view)
        except KeyboardInterrupt:
            view.say(f"no longer watched; the run goes on: `cairn runs cancel {run.uid[:8]}` ends it")
            return INTERRUPTED
        finally:
            view.close()
        return summary.tell(cairn, pipeline, ended, as_json=as_json, with_trace=with_trace, progress=view.progress)


def follow(cairn: Cairn, run: Run, view: View) -> Run:
    """Until the run has ended, whoever runs it."""
    records = cairn.records
    head, alone_since, told = -1, 0.0, False
    seen: dict[str, object] = {}
    while True:
        now = records.head()
        if now != head:
            head = now
            run = records.run(run.uid)
            tasks = [record for record in records.tasks(run.uid) if seen.get(record.path) != record]
            seen.update((record.path, record) for record in tasks)
            starts = [attempt for attempt in records.attempts(run.uid) if not attempt.state.terminal]
            view.committed(run, Batch(runs=[run], tasks=tasks, starts=starts))
        if run.state.terminal:
            return run
        if records.claimed(run.uid) is not None:
            alone_since = 0.0
        elif not alone_since:
            alone_since = time.monotonic()
        elif not told and time.monotonic() - alone_since > ALONE_SECONDS:
            told = True
            view.say(f"no engine runs it: `cairn runs resume {run.uid[:8]}` goes on with it")
        view.tick()
        time.sleep(LOOK_SECONDS)
