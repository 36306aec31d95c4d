"""`cairn sweeps`, and what `cairn run -m` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table
from cairn.errors import RunCancelled, WrongState

if TYPE_CHECKING:
    from cairn.cli.configuring import Asked
    from cairn.config.composing import Composer
    from cairn.domain.runs import Submission
    from cairn.engine.sources import PipelineSource
    from cairn.sweeps.running import SweepRunner
    from cairn.sweeps.types import Sweep
    from cairn.wiring import Cairn

_HERE = "cairn.cli.sweeps"
_CANCELLED = 130


def run_sweep(
    cairn: Cairn,
    source: PipelineSource,
    given: Submission,
    asked: Asked,
    *,
    flags: Collection[str] = (),
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """`cairn run -m`: every combination that the sweeper decides on, to its end; the exit status.

    `given` is what the command line says of each run, `flags` the settings among it. Raises ConfigurationError before
    anything is recorded.
    """
    from msgspec.structs import replace

    from cairn.config.composing import Composer
    from cairn.domain.ids import random_uid
    from cairn.sweeps.files import file_digests
    from cairn.sweeps.types import Sweep

    sweep = Sweep(
        id=random_uid(),
        name=given.job_id,
        directory=os.path.abspath(asked.directory),
        config_name=asked.name,
        overrides=asked.overrides,
        imports=asked.imports,
        files=file_digests(os.fspath(asked.directory), asked.imports),
        submission=replace(given, job_id=""),
        flags=tuple(flags),
    )
    cairn.sweeps.tidy()
    with Composer(asked.directory, asked.name, imports=asked.imports) as composer, cairn.sweeps.beginning(sweep.id):
        return _drive(cairn, sweep, composer, source, fresh=True, as_json=as_json, quiet=quiet)


def _drive(
    cairn: Cairn,
    sweep: Sweep,
    composer: Composer,
    source: PipelineSource,
    *,
    fresh: bool,
    as_json: bool,
    quiet: bool,
    retry_failed: bool = False,
    force: bool = False,
) -> int:
    from msgspec.structs import replace

    from cairn.cli.driving import Interrupts
    from cairn.cli.sweep_summary import tell_sweep
    from cairn.cli.sweep_views import make_sweep_view
    from cairn.sweeps.deciding import Decider
    from cairn.sweeps.jobs import JobConfigurer
    from cairn.sweeps.running import SweepRunner, drive
    from cairn.sweeps.types import SweepState

    decider = Decider(composer, sweep.overrides, cairn.sweeps.directory(sweep.id))
    said = decider.configuration()
    seed = decider.seed(sweep.seed or int(sweep.id[:7], 16))
    if fresh:
        sweep = replace(sweep, configuration=said, sweeper=decider.sweeper_name, seed=seed)
    if decider.other_launcher:
        output.warn(f"hydra/launcher={decider.other_launcher} has no part in this: each job is a run of the pipeline")
    configurer = JobConfigurer(sweep, source, defaults=cairn.run_settings(), artifact=cairn.lookups.artifact)
    view = make_sweep_view(quiet=quiet)
    view.shape(sweep)
    engine = cairn.engine(view.committed)
    engine.build_progress = view.building
    try:
        with Interrupts(engine) as interrupts:
            runner = SweepRunner(
                cairn.sweeps, cairn.runs, engine, decider, sweep, configurer,
                cairn.lookups.experiment, view, resumed=not fresh, interrupts=lambda: interrupts.count,
                retry_failed=retry_failed, on_mismatch="start" if force or retry_failed else "refuse",
            )  # fmt: skip
            if not fresh:
                runner.sweep = cairn.sweeps.change(sweep, state=SweepState.RUNNING, error="", end_time=0)
            try:
                ended = drive(runner)
            except RunCancelled as cancelled:
                return _tell_cancelled(cairn, runner, cancelled, view.close, as_json=as_json)
            finally:
                view.close()
    finally:
        engine.close()
    tell_sweep(cairn, ended, as_json=as_json)
    return 0 if ended.state == "SUCCEEDED" else 1


def _tell_cancelled(
    cairn: Cairn, runner: SweepRunner, cancelled: RunCancelled, close: Callable[[], None], *, as_json: bool
) -> int:
    from cairn.cli.sweep_summary import tell_sweep

    close()
    if runner.begun:
        tell_sweep(cairn, runner.sweep, as_json=as_json, cancelled=True)
    output.note(cancelled.message)
    if cancelled.remedy:
        output.note(f"  → {cancelled.remedy}")
    return _CANCELLED


# --- commands --------------------------------------------------------------------------------------------------------


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_sweeps", "List sweeps, newest first."),
        "show": (f"{_HERE}:show", "Show one sweep and its runs, ranked."),
        "resume": (f"{_HERE}:resume", "Go on with a sweep that was interrupted."),
        "cancel": (f"{_HERE}:cancel", "End a sweep and its runs."),
        "delete": (f"{_HERE}:delete", "Remove a sweep; its runs stay."),
    },
)
def sweeps() -> None:
    """Sweeps: what `cairn run -m` has made."""


def _argument(function: Any) -> Any:
    """SWEEP: its id, the beginning of it, its name, or `latest`."""
    return click.argument("reference", metavar="SWEEP")(function)


@click.command(name="list")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@options.as_json
def list_sweeps(*, limit: int, as_json: bool) -> None:
    """List sweeps, newest first."""
    from cairn.cli.sweep_summary import sweep_facts

    with opened() as cairn:
        found = [(sweep, _state(cairn, sweep)) for sweep in cairn.sweeps.page(limit=limit)]
        if as_json:
            output.print_json([{**sweep_facts(sweep), "state": state} for sweep, state in found])
            return
        rows = [
            (sweep.id[:8], sweep.name, state, _counts(sweep), words.ago(sweep.create_time), " ".join(sweep.overrides))
            for sweep, state in found
        ]
        table(("sweep", "name", "state", "jobs", "made", "overrides"), rows, empty="no sweeps")


@click.command()
@_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
@options.as_json
def show(reference: str, *, as_csv: bool, as_json: bool) -> None:
    """Show SWEEP (its id, the beginning of it, its name, or `latest`) and its runs, ranked by its metric."""
    from cairn.cli.sweep_summary import sweep_object, tell_csv, tell_table
    from cairn.sweeps.ranking import ranked_jobs

    with opened() as cairn:
        sweep = cairn.sweeps.find(reference)
        jobs = ranked_jobs(cairn.sweeps, cairn.runs, sweep)
        state = _state(cairn, sweep)
        if as_json:
            output.print_json({**sweep_object(sweep, jobs), "state": state})
        elif as_csv:
            tell_csv(sweep, jobs)
        else:
            facts(_facts(sweep, state))
            tell_table(sweep, jobs)


@click.command()
@_argument
@click.option("--retry-failed", is_flag=True, help="Run failed jobs again too.")
@click.option("--force", is_flag=True, help="Go on though the configuration has changed, for the jobs to come.")
@click.option("--quiet", is_flag=True, help="No progress.")
@options.traceback
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
def resume(
    reference: str, *, retry_failed: bool, force: bool, quiet: bool, with_trace: bool, as_json: bool
) -> int:  # fmt: skip
    """Go on with SWEEP: finished runs are taken as they are, open ones are taken over, the rest is started."""
    from cairn.cli.run import pipeline_source
    from cairn.config.composing import Composer
    from cairn.sweeps.files import changed_since
    from cairn.sweeps.jobs import RecordedSource
    from cairn.sweeps.service import refuse_ended

    with opened() as cairn:
        sweep = cairn.sweeps.find(reference)
        with cairn.sweeps.held(sweep.id):
            refuse_ended(sweep, retry_failed=retry_failed)
            if told := changed_since(sweep, force=force):
                output.warn(told)
            source: Any = None
            if sweep.compiled_for_jobs:
                source = pipeline_source(cairn, sweep.submission.source, with_trace=with_trace)
            else:
                source = RecordedSource(sweep, cairn.sweeps.definition(sweep))
            with Composer(Path(sweep.directory), sweep.config_name, imports=sweep.imports) as composer:
                return _drive(
                    cairn, sweep, composer, source, fresh=False, as_json=as_json, quiet=quiet,
                    retry_failed=retry_failed, force=force,
                )  # fmt: skip


@click.command()
@_argument
@options.as_json
def cancel(reference: str, *, as_json: bool) -> None:
    """End SWEEP: no more jobs are started, and the runs in progress are cancelled."""
    from cairn.sweeps.types import SweepState

    with opened() as cairn:
        sweep = cairn.sweeps.find(reference)
        if sweep.state.terminal:
            raise WrongState(f"sweep {sweep.id[:8]} has ended already: {sweep.state}")
        cairn.sweeps.change(sweep, state=SweepState.CANCELLING)
        _end_driven(cairn, sweep)
        sweep = cairn.sweeps.get(sweep.id)
        if as_json:
            output.print_json({"sweep_id": sweep.id, "state": str(sweep.state)})
        else:
            output.note(f"sweep {sweep.name} ({sweep.id[:8]}) {sweep.state.lower()}")


def _end_driven(cairn: Cairn, sweep: Sweep) -> None:
    """Wait for the process that drives it; where there is none (any more), end its runs from here."""
    import time

    from cairn.cli.runs.control import end_run
    from cairn.sweeps.types import SweepState

    while cairn.sweeps.is_driven(sweep):
        if cairn.sweeps.get(sweep.id).state.terminal:
            return
        time.sleep(0.1)
    if cairn.sweeps.get(sweep.id).state.terminal:
        return
    with cairn.sweeps.held(sweep.id):
        for run in cairn.sweeps.runs(sweep):
            if not run.state.terminal:
                end_run(cairn, run)
        cairn.sweeps.change(sweep, state=SweepState.CANCELLED, end_time=cairn.clock.now())


@click.command()
@_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def delete(reference: str, *, yes: bool, as_json: bool) -> None:
    """Remove SWEEP. Its runs stay."""
    with opened() as cairn:
        sweep = cairn.sweeps.find(reference)
        if not yes:
            options.ask(f"delete sweep {sweep.name!r} ({sweep.id})?", "cairn sweeps delete")
        cairn.sweeps.delete(sweep)
        if as_json:
            output.print_json({"deleted": sweep.id})
        else:
            output.note(f"sweep {sweep.name} ({sweep.id[:8]}) deleted")


def _state(cairn: Cairn, sweep: Sweep) -> str:
    """RUNNING without a process is INTERRUPTED."""
    if sweep.state.terminal or cairn.sweeps.is_driven(sweep):
        return str(sweep.state)
    return "INTERRUPTED"


def _counts(sweep: Sweep) -> str:
    done = sum(sweep.counts.values())
    failed = sweep.counts.get("FAILED", 0)
    return f"{done}/{max(sweep.planned, done)}{f', {failed} failed' if failed else ''}"


def _facts(sweep: Sweep, state: str) -> list[tuple[str, str]]:
    goals = zip(sweep.configuration.metric, sweep.configuration.goal, strict=False)
    interrupted = f"  (`cairn sweeps resume {sweep.id[:8]}` goes on with it)" if state == "INTERRUPTED" else ""
    return [
        ("sweep", sweep.id),
        ("name", sweep.name),
        ("state", state + interrupted),
        ("error", sweep.error),
        ("pipeline", sweep.submission.source or sweep.pipeline_name),
        ("config", f"{sweep.directory} {sweep.config_name}"),
        ("overrides", " ".join(sweep.overrides)),
        ("sweeper", f"{sweep.sweeper}{f', seed {sweep.seed}' if sweep.seed else ''}"),
        ("metric", ", ".join(f"{metric} ({goal})" for metric, goal in goals)),
        ("experiment", sweep.experiment),
        ("jobs", _counts(sweep)),
        ("created", words.moment(sweep.create_time)),
        ("ended", words.moment(sweep.end_time)),
    ]
