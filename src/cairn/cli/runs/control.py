"""`cairn runs cancel|resume|clone`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import msgspec

from cairn.cli import options, output
from cairn.cli.opening import opened
from cairn.cli.run import execute, leave, pipeline_source, read_parameters
from cairn.domain.states import RunState
from cairn.engine import report
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.domain.configuration import Configuration
    from cairn.domain.runs import Run
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

CANCEL_SECONDS = 60.0


@click.command()
@options.runs_argument
@click.option("--kill", is_flag=True, help="End its processes at once instead of asking them first.")
@click.option("--no-wait", is_flag=True, help="Return before the processes are gone.")
@options.as_json
def cancel(references: tuple[str, ...], *, kill: bool, no_wait: bool, as_json: bool) -> None:
    """End each RUN: its processes are asked to end, and killed ten seconds later."""
    with opened() as cairn:
        found = [options.find_run(cairn, reference) for reference in references]
        for run in found:
            cairn.runs.cancel(run, kill=kill)
        for at, run in enumerate(found):
            if cairn.records.claimed(run.uid) is None:
                found[at] = _cancel_here(cairn, run, kill=kill)
            elif not no_wait:
                found[at] = _wait(cairn, run, kill=kill)
        for run in found:
            output.note(f"run {run.job_id} {run.state.lower()}")
        if as_json:
            output.print_json([{"run_id": run.uid, "job_id": run.job_id, "state": str(run.state)} for run in found])


def end_run(cairn: Cairn, run: Run) -> Run:
    """Cancel a run, whoever has it; the run as it ended."""
    cairn.runs.cancel(run)
    if cairn.records.claimed(run.uid) is None:
        return _cancel_here(cairn, run, kill=False)
    return _wait(cairn, run, kill=False)


def _cancel_here(cairn: Cairn, run: Run, *, kill: bool) -> Run:
    """No engine has it: take it, so that what still runs is adopted, and end that."""
    engine = cairn.engine()
    try:
        try:
            cairn.runs.take(engine, cairn.records.run(run.uid))
        except InputRefused as error:
            if cairn.records.claimed(run.uid) is None and not cairn.records.run(run.uid).state.terminal:
                return _without_engine(cairn, run, error)
            return _wait(cairn, run, kill=kill)  # an engine has taken it up just now
        engine.cancel(run.uid, kill=kill)
        engine.run_until_done()
        if run.uid in engine.lost:
            raise engine.lost[run.uid]
        return engine.finished[run.uid]
    finally:
        engine.close()


def _without_engine(cairn: Cairn, run: Run, error: InputRefused) -> Run:
    """What it runs in is gone. One that never began is ended all the same; else raises what is lacking: steps of it may
    still be running, and whoever ends them needs that."""
    if cairn.records.run(run.uid).state is not RunState.PENDING:
        raise error
    cairn.runs.give_up(run)
    return cairn.records.run(run.uid)


def _wait(cairn: Cairn, run: Run, *, kill: bool) -> Run:
    """Until the engine that has it has ended it; one that dies over it is stood in for."""
    until = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < until:
        claimed = cairn.records.claimed(run.uid) is not None
        run = cairn.records.run(run.uid)
        if run.state.terminal:
            break
        if not claimed:
            return _cancel_here(cairn, run, kill=kill)
        time.sleep(0.05)
    return run


@click.command()
@options.run_argument
@click.argument("pipeline", required=False, type=click.Path())
@click.option("--no-cache", is_flag=True, help="Take nothing from the cache for the steps that run again.")
@click.option("--detach", is_flag=True, help="Leave a run that has not ended to the background host and return.")
@click.option("--quiet", is_flag=True, help="No progress.")
@options.traceback
@options.as_json
def resume(
    reference: str,
    pipeline: str | None,
    *,
    no_cache: bool,
    detach: bool,
    quiet: bool,
    with_trace: bool,
    as_json: bool,
) -> int:
    """Go on with RUN: steps that succeeded are kept, steps that still run are adopted, everything else runs again.

    With an edited PIPELINE only what the edit touches runs again; a run that succeeded needs one.
    """
    from cairn.engine.sources import source_name

    with opened() as cairn:
        run = options.find_run(cairn, reference)
        _refuse_held(cairn, run)
        if detach:
            return _resume_detached(cairn, run, changed=bool(pipeline) or no_cache, as_json=as_json)
        edited = _edited(cairn, run, pipeline, with_trace=with_trace) if pipeline else None
        if run.state is RunState.SUCCEEDED and edited is None:
            raise InputRefused(
                f"run {run.job_id} has succeeded: there is nothing to go on with",
                remedy="give an edited pipeline, or run it again with `cairn runs clone`",
            )
        settings = run.settings
        if no_cache:
            settings = msgspec.structs.replace(settings, use_cache=False)
        settings = msgspec.structs.replace(settings, detached=False)
        run = msgspec.structs.replace(run, settings=settings, source=source_name(pipeline) if pipeline else run.source)
        whole = edited or cairn.runs.pipeline_of(run)
        return execute(
            cairn, run, whole, as_json=as_json, quiet=quiet, with_trace=with_trace, renewed=run.state.terminal
        )


def _refuse_held(cairn: Cairn, run: Run) -> None:
    """Before anything is compiled. Whoever claims it between this and our own claim is named by that."""
    from cairn.engine.background import BackgroundHost

    holder = cairn.records.claimed(run.uid)
    if holder is None or run.state.terminal:
        return
    host = BackgroundHost(cairn.home.background).state()
    told = "the background host, process" if host is not None and host.pid == holder.pid else "process"
    raise InputRefused(
        f"run {run.job_id} is being run by {told} {holder.pid} on {holder.host.partition('/')[0]}",
        remedy=f"`cairn runs watch {run.uid[:8]}` follows it, `cairn runs cancel {run.uid[:8]}` ends it",
    )


def _resume_detached(cairn: Cairn, run: Run, *, changed: bool, as_json: bool) -> int:
    """The host takes up runs that have not ended, as they are recorded."""
    if run.state.terminal:
        raise InputRefused(
            f"run {run.job_id} has ended ({run.state}), and the background host goes on only with runs that have not",
            place="--detach",
            remedy=f"leave out --detach, or start anew: `cairn runs clone {run.uid[:8]} --detach`",
        )
    if changed:
        raise InputRefused(
            "the background host runs what is recorded: it takes neither an edited pipeline nor --no-cache",
            place="--detach",
            remedy="leave out --detach",
        )
    return leave(cairn, run, as_json=as_json)


@click.command()
@options.run_argument
@click.argument("assignments", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--params", "params_file", metavar="FILE", type=click.Path(), help="JSON or YAML file of parameters.")
@click.option("--no-cache", is_flag=True, help="Run every step, whatever has been computed before.")
@click.option("--name", "job_id", metavar="JOBID", default="", help="The new run's id of your own choice.")
@click.option("--detach", is_flag=True, help="Leave the run to the background host and return.")
@click.option("--quiet", is_flag=True, help="No progress.")
@options.traceback
@options.as_json
def clone(
    reference: str,
    assignments: tuple[str, ...],
    *,
    params_file: str | None,
    no_cache: bool,
    job_id: str,
    detach: bool,
    quiet: bool,
    with_trace: bool,
    as_json: bool,
) -> int:
    """Run the pipeline of RUN again, with its parameters and settings but for what is given here."""
    from cairn.domain.runs import RunKind, Submission
    from cairn.sweeps.types import LABEL as SWEEP_LABEL

    with opened() as cairn:
        run = options.find_run(cairn, reference)
        if run.kind is not RunKind.PIPELINE:
            raise InputRefused(
                f"run {run.job_id} is a job, and not of a pipeline",
                place=reference,
                remedy=f"`cairn jobs show {run.job_id} --json` has what it was made of: `cairn jobs run` runs it",
            )
        pipeline = cairn.runs.pipeline_of(run)
        known = {name: value for name, value in run.parameters.items() if name in pipeline.root.input_parameters}
        values = report.read_outputs(known, cairn.store)
        settings = msgspec.structs.replace(run.settings, detached=detach)
        if no_cache:
            settings = msgspec.structs.replace(settings, use_cache=False)
        submission = Submission(
            {**values, **read_parameters(pipeline, assignments, params_file)},
            settings,
            project=run.project,
            location=run.location,
            job_id=job_id,
            labels={name: value for name, value in run.labels.items() if name != SWEEP_LABEL},
            source=run.source,
            pipeline_root=run.pipeline_root,
            input_artifacts=run.input_artifacts,
            experiment=run.experiment,
            configuration=_its_own(run),
        )
        accepted = cairn.runs.submit(pipeline, submission)
        if detach:
            return leave(cairn, accepted, as_json=as_json)
        return execute(cairn, accepted, pipeline, as_json=as_json, quiet=quiet, with_trace=with_trace)


def _edited(cairn: Cairn, run: Run, pipeline: str, *, with_trace: bool) -> Pipeline:
    """With what the run's own configuration says of steps."""
    source = pipeline_source(cairn, pipeline, with_trace=with_trace)
    if run.configuration is None:
        return source.pipeline()
    from cairn.config.composing import recomposed
    from cairn.domain.runs import RunSettings, Submission
    from cairn.engine.configuring import configured_run

    given = Submission(report.read_outputs(run.parameters, cairn.store))
    return configured_run(source, recomposed(run.configuration), given, defaults=RunSettings()).pipeline


def _its_own(run: Run) -> Configuration | None:
    """What the run was configured with; a clone is no job of its sweep."""
    if run.configuration is None:
        return None
    return msgspec.structs.replace(run.configuration, sweep="", job=-1)
