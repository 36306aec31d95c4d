"""What a run came to: for a person on standard output, or one JSON object as its last line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from cairn.cli import failures, nouns, output, words
from cairn.cli.tables import facts
from cairn.domain.runs import RunKind
from cairn.domain.states import RunState, TaskState
from cairn.engine import report
from cairn.engine.sources import split_source

if TYPE_CHECKING:
    from cairn.cli.progress import Progress
    from cairn.domain.runs import Run, TaskRecord
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

EXIT_STATUS = {RunState.SUCCEEDED: 0, RunState.FAILED: 1, RunState.CANCELLED: 130}
DEFECT = 70
METRICS = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")
DETAILED = 2_000  # leaf tasks up to which artifacts and metrics are looked up for the summary
SHOWN_ARTIFACTS = 20

_STYLES = {RunState.SUCCEEDED: "green", RunState.FAILED: "red", RunState.CANCELLED: "yellow"}


def tell(
    cairn: Cairn,
    pipeline: Pipeline,
    run: Run,
    *,
    as_json: bool,
    with_trace: bool = False,
    progress: Progress | None = None,
) -> int:
    """Say what the run came to; its exit status. `progress`: what was seen of it, so that a large run that went well
    needs no look at its records."""
    count = sum(progress.counts.values()) if progress is not None else 0
    records: list[TaskRecord] = []
    if as_json or run.state is not RunState.SUCCEEDED or count <= DETAILED:
        records = cairn.records.tasks(run.uid)
    if run.state is not RunState.SUCCEEDED:
        _tell_failures(cairn, pipeline, run, records, with_trace=with_trace)
    if as_json:
        for warning in run.warnings:
            output.warn(warning)
        leaves = report.leaves(pipeline, run, records, cairn.store)
        output.print_json(report.run_object(run, leaves, cairn.store))
    else:
        _tell(cairn, run, records, count)
    return exit_status(run)


def _tell(cairn: Cairn, run: Run, records: list[TaskRecord], count: int) -> None:
    paint = output.painter(sys.stdout)
    leaves = [record for record in records if record.kind == "leaf"]
    cached = sum(record.cached for record in leaves)
    took = words.duration(report.seconds_between(run.start_time, run.end_time))
    told = f", {cached:,} from the cache" if cached else ""
    tasks = f" ({words.plural(len(leaves) or count, 'task')}{told})" if run.kind is RunKind.PIPELINE else ""
    state = paint(run.state.lower(), _STYLES.get(run.state, "dim"))
    output.say(f"{paint(nouns.noun(run), 'bold')} {run.job_id} {state} in {took}{tasks}")
    tell_results(cairn, run, records)
    output.say(f"look further: {paint(nouns.show_command(run), 'cyan')}")


def exit_status(run: Run) -> int:
    """As the contract of the command line has it."""
    if run.error is not None and run.error.kind == "Defect":
        return DEFECT
    return EXIT_STATUS.get(run.state, 1)


def tell_results(cairn: Cairn, run: Run, records: list[TaskRecord]) -> None:
    """Outputs, metrics, artifacts, warnings."""
    if run.outputs:
        output.say(output.paint("outputs", "bold", sys.stdout))
        read = report.read_outputs(run.outputs, cairn.store)
        facts([(name, words.value(value, 200)) for name, value in read.items()], indent="  ")
    leaves = [record for record in records if record.kind == "leaf"]
    if len(leaves) <= DETAILED:
        _tell_metrics(leaves)
        _tell_artifacts(leaves)
    for warning in run.warnings:
        output.warn(warning)


def metrics_of(leaves: list[TaskRecord]) -> list[tuple[str, dict[str, Any]]]:
    """(task path/output, metrics) of every metrics artifact that holds something."""
    found = []
    for record in leaves:
        for name, artifacts in record.outputs.artifacts.items():
            for artifact in artifacts:
                if artifact.type.schema_title in METRICS and artifact.metadata:
                    found.append((f"{record.path}/{name}", artifact.metadata))
    return found


def _tell_metrics(leaves: list[TaskRecord]) -> None:
    found = metrics_of(leaves)
    if not found:
        return
    output.say(output.paint("metrics", "bold", sys.stdout))
    pairs = []
    for place, metadata in found[:SHOWN_ARTIFACTS]:
        plain = {name: value for name, value in metadata.items() if isinstance(value, int | float | str | bool)}
        said = "   ".join(f"{name} {number(value)}" for name, value in plain.items())
        pairs.append((place, said or f"({words.plural(len(metadata), 'field')})"))
    facts(pairs, indent="  ")


def number(value: Any) -> str:
    """Six significant digits are enough to look at."""
    return f"{value:.6g}" if isinstance(value, float) else words.value(value)


def _tell_artifacts(leaves: list[TaskRecord]) -> None:
    pairs = []
    for record in leaves:
        for name, artifacts in record.outputs.artifacts.items():
            for artifact in artifacts:
                if artifact.type.schema_title in METRICS and artifact.fingerprint is None:
                    continue  # nothing but its metadata, which has been told
                bytes_told = f"  ({words.size(artifact.fingerprint.size)})" if artifact.fingerprint else ""
                pairs.append((f"{record.path}/{name}", f"{artifact.uri}{bytes_told}"))
    if not pairs:
        return
    output.say(output.paint("artifacts", "bold", sys.stdout))
    facts(pairs[:SHOWN_ARTIFACTS], indent="  ")
    if len(pairs) > SHOWN_ARTIFACTS:
        output.say(f"  and {len(pairs) - SHOWN_ARTIFACTS} more")


def _tell_failures(cairn: Cairn, pipeline: Pipeline, run: Run, records: list[TaskRecord], *, with_trace: bool) -> None:
    """On standard error: each of the first failed steps, and how to go on."""
    leaves = report.leaves(pipeline, run, records, cairn.store)
    failed = [leaf for leaf in leaves if leaf.state is TaskState.FAILED]
    attempts = failures.last_attempts(cairn.records.attempts(run.uid)) if failed else {}
    for leaf in failed[: failures.SHOWN]:
        output.note("")
        for line in failures.explain(run, leaf, attempts.get(leaf.path), with_trace=with_trace):
            output.note(line)
    if len(failed) > failures.SHOWN:
        output.note(f"and {len(failed) - failures.SHOWN:,} more failed: `cairn runs show {run.uid[:8]}`")
    if not failed and run.error is not None:
        output.note(f"{output.paint('error:', 'red', sys.stderr)} {output.clean(run.error.message)}")
        if run.error.remedy:
            remedy = run.error.remedy if with_trace else run.error.remedy.partition("\n")[0]
            output.note(f"  → {output.clean(remedy)}")
    output.note("")
    for line in how_to_go_on(run):
        output.note(line)


def how_to_go_on(run: Run) -> list[str]:
    """`resume` runs what was recorded; only with the file it takes what has been edited since."""
    import shlex  # only after a failure

    command = f"cairn runs resume {run.uid[:8]}"
    if run.kind is not RunKind.PIPELINE:
        return [f"once more: {command}" if run.kind is not RunKind.TUNING_JOB else f"go on from here: {command}"]
    lines = [f"go on from here: {command}"]
    path, function = split_source(run.source)
    if path and os.path.isfile(path):
        near = os.path.relpath(path)
        told = near if not near.startswith(os.pardir) else path
        lines.append(f"with your edits: {command} {shlex.quote(told + (f':{function}' if function else ''))}")
    return lines
