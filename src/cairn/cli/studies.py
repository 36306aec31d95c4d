"""`cairn studies`: what tuning jobs and Vizier clients have tried, and what came of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.options import as_json as json_option
from cairn.cli.tables import facts, table
from cairn.errors import InputRefused, NotFound, WrongState

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cairn.domain.runs import Run
    from cairn.tuning.types import Study, StudySpec, Trial
    from cairn.wiring import Cairn

_HERE = "cairn.cli.studies"


def _complete_studies(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from cairn.wiring import open_cairn

    cairn = open_cairn()
    try:
        newest, _ = cairn.studies.page(limit=200)
        found = [("latest", "the newest study")] if newest else []
        found += [(study.id, study.display_name) for study in newest]
        return [CompletionItem(value, help=words) for value, words in found if value.startswith(incomplete)]
    finally:
        cairn.close()


_argument = click.argument("reference", metavar="STUDY", shell_complete=options.quiet(_complete_studies))


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_studies", "List studies, newest first."),
        "show": (f"{_HERE}:show", "What a study looks for, how far it has come, and its best trial."),
        "trials": (f"{_HERE}:trials", "The trials of a study with their parameters and metrics."),
        "plot": (f"{_HERE}:plot", "Draw the objective over the trials, as text."),
        "optimal": (f"{_HERE}:optimal", "The best trial; of several objectives, all that no other dominates."),
        "stop": (f"{_HERE}:stop", "Try nothing more, and end what is being tried; or end one trial."),
        "delete": (f"{_HERE}:delete", "Remove a study and what it knows of its trials."),
    },
)
def studies() -> None:
    """Look at studies: what was tried, what came of it, what is best.

    STUDY is its id (a tuning job has the id of its study), its display name, or `latest`.
    """


@click.command(name="list")
@click.option("--project", default="", metavar="PROJECT", help="Only studies of this project.")
@click.option("--limit", default=30, show_default=True, help="At most so many.")
@json_option
def list_studies(*, project: str, limit: int, as_json: bool) -> None:
    """List studies of every project, newest first."""
    with opened() as cairn:
        found, _ = cairn.studies.page(projects=[project] if project else None, limit=limit)
        seen = [(study, cairn.studies.trials(study)) for study in found]
        if as_json:
            output.print_json([_study_object(cairn, study, trials) for study, trials in seen])
            return
        rows = [
            (study.id, study.display_name, str(study.state), _counts(trials), _best(cairn, study, trials),
             words.ago(study.create_time))
            for study, trials in seen
        ]  # fmt: skip
        table(("study", "name", "state", "trials", "best", "created"), rows, empty="no studies")


@click.command()
@_argument
@json_option
def show(reference: str, *, as_json: bool) -> None:
    """What STUDY looks for, how far it has come, and its best trial."""
    with opened() as cairn:
        study = find_study(cairn, reference)
        trials = cairn.studies.trials(study)
        if as_json:
            output.print_json(_study_object(cairn, study, trials))
            return
        spec = cairn.studies.spec(study)
        job = _tuning_run(cairn, study)
        facts(
            [
                ("study", study.id),
                ("name", study.display_name),
                ("state", f"{study.state}{f': {study.reason}' if study.reason else ''}"),
                ("tuning job", f"{str(job.state).lower()}, run {job.uid[:8]}" if job is not None else ""),
                ("algorithm", f"{study.algorithm}{f', seed {study.seed}' if study.seed is not None else ''}"),
                ("metrics", "\n".join(_metric_words(spec))),
                ("parameters", "\n".join(_parameter_words(spec))),
                ("trials", _counts(trials)),
                ("warnings", "\n".join(study.warnings)),
            ]
        )
        for trial in cairn.studies.optimal_trials(study):
            output.say("")
            facts(
                [
                    ("best", f"trial {trial.id}"),
                    *((name, _text(value)) for name, value in _final(trial).items()),
                    *((name, _text(value)) for name, value in trial.parameters.items()),
                ]
            )


@click.command()
@_argument
@json_option
def trials(reference: str, *, as_json: bool) -> None:
    """The trials of STUDY with their parameters and metrics."""
    with opened() as cairn:
        study = find_study(cairn, reference)
        found = cairn.studies.trials(study)
        best = {trial.id for trial in cairn.studies.optimal_trials(study)}
        if as_json:
            output.print_json([_trial_object(trial, best=trial.id in best) for trial in found])
            return
        spec = cairn.studies.spec(study)
        names = list(dict.fromkeys(name for trial in found for name in trial.parameters))
        metrics = [metric.id for metric in spec.metrics]
        rows = [
            (
                trial.id,
                str(trial.state),
                *(_text(_shown(trial).get(name)) for name in metrics),
                *(_text(trial.parameters.get(name)) for name in names),
                _took(trial),
                "best" if trial.id in best else trial.infeasible_reason or trial.stopped,
            )
            for trial in found
        ]
        table(("trial", "state", *metrics, *names, "took", "note"), rows, empty="no trials yet")


@click.command()
@_argument
@click.option("--metric", default="", metavar="ID", help="Another metric than the first objective.")
@click.option("--width", type=click.IntRange(20, 400), help="Columns; as wide as the terminal otherwise.")
@click.option("--height", type=click.IntRange(4, 100), default=16, show_default=True, help="Lines.")
@json_option
def plot(reference: str, *, metric: str, width: int | None, height: int, as_json: bool) -> None:
    """Draw the objective of STUDY over its trials: each trial a mark, and the best so far as a line."""
    with opened() as cairn:
        study = find_study(cairn, reference)
        spec = cairn.studies.spec(study)
        chosen = next((one for one in spec.metrics if one.id == metric), None) if metric else spec.objectives[0]
        if chosen is None:
            known = ", ".join(one.id for one in spec.metrics)
            raise InputRefused(f"the study has no metric {metric!r}", place="--metric", remedy=f"it has {known}")
        found = cairn.studies.trials(study)
        values = [(trial.number, _shown(trial)[chosen.id]) for trial in found if chosen.id in _shown(trial)]
        if as_json:
            output.print_json([{"trial": str(number), chosen.id: value} for number, value in values])
            return
        if not values:
            output.note(f"no trial has reported {chosen.id} yet")
            return
        goal = "minimize" if chosen.minimize else "maximize"
        output.say(f"{chosen.id} ({goal}) over trials; * a trial, - the best so far")
        for line in drawing(values, minimize=chosen.minimize, width=width or _width(), height=height):
            output.say(line)


@click.command()
@_argument
@json_option
def optimal(reference: str, *, as_json: bool) -> None:
    """The best trial of STUDY; of several objectives, all that no other dominates."""
    with opened() as cairn:
        found = cairn.studies.optimal_trials(find_study(cairn, reference))
        if as_json:
            output.print_json([_trial_object(trial, best=True) for trial in found])
            return
        rows = [
            (
                trial.id,
                *(f"{name}={_text(value)}" for name, value in (*_final(trial).items(), *trial.parameters.items())),
            )
            for trial in found
        ]
        table(("trial", *[""] * (max(map(len, rows), default=1) - 1)), rows, empty="no trial has succeeded")


@click.command()
@_argument
@click.option("--trial", "trial_id", metavar="ID", default="", help="Only this trial; the study goes on.")
@json_option
def stop(reference: str, *, trial_id: str, as_json: bool) -> None:
    """Try nothing more of STUDY, and end early what is being tried: what it has reported counts.

    `cairn jobs cancel` ends a tuning job at once instead."""
    with opened() as cairn:
        study = find_study(cairn, reference)
        if trial_id:
            trial = cairn.studies.trial(study, trial_id)
            if trial.state.terminal:
                raise WrongState(f"trial {trial_id} is {trial.state} already")
            stopped = [cairn.studies.stop(trial)]
        else:
            study = cairn.studies.end(study, "somebody asked for it")
            stopped = [cairn.studies.stop(trial) for trial in cairn.studies.trials(study) if not trial.state.terminal]
        output.note(
            f"study {study.id}: {len(stopped)} {'trial is' if len(stopped) == 1 else 'trials are'} to end early"
        )
        if as_json:
            output.print_json([_trial_object(trial, best=False) for trial in stopped])


@click.command()
@click.argument(
    "references", metavar="STUDY…", nargs=-1, required=True, shell_complete=options.quiet(_complete_studies)
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def delete(references: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Remove each STUDY with its trials; the jobs that they ran stay.

    The study of a tuning job that has not ended is refused."""
    with opened() as cairn:
        found = [find_study(cairn, reference) for reference in references]
        for study in found:
            job = _tuning_run(cairn, study)
            if job is not None and not job.state.terminal:
                raise WrongState(
                    f"its tuning job is {job.state}", place=study.id, remedy=f"`cairn runs cancel {job.uid[:8]}` first"
                )
        if not yes:
            told = ", ".join(f"{study.id} ({output.clean(study.display_name)})" for study in found)
            options.ask(f"delete {told}?", "cairn studies delete")
        for study in found:
            cairn.studies.delete(study)
            output.note(f"study {study.id} ({study.display_name}) is gone")
        if as_json:
            output.print_json([study.id for study in found])


# --- parts -----------------------------------------------------------------------------------------------------------


def find_study(cairn: Cairn, reference: str) -> Study:
    """By id, display name, the beginning of an id, or `latest`. Raises NotFound."""
    if reference == "latest":
        found, _ = cairn.studies.page(limit=1)
        if not found:
            raise NotFound("there is no study yet")
        return found[0]
    return cairn.studies.find(reference)


def _tuning_run(cairn: Cairn, study: Study) -> Run | None:
    from cairn.domain.runs import RunKind

    run = cairn.records.run_by_job_id(study.project, study.location, study.id)
    return run if run is not None and run.kind is RunKind.TUNING_JOB else None


def _study_object(cairn: Cairn, study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    job = _tuning_run(cairn, study)
    return {
        "study": study.id,
        "name": study.display_name,
        "project": study.project,
        "location": study.location,
        "state": str(study.state),
        "reason": study.reason,
        "algorithm": study.algorithm,
        "seed": study.seed,
        "labels": study.labels,
        "warnings": list(study.warnings),
        "run_id": job.uid if job is not None else None,
        "trials": dict(Counter(str(trial.state) for trial in trials)),
        "optimal": [_trial_object(trial, best=True) for trial in cairn.studies.optimal_trials(study)],
        "create_time": study.create_time,
        "spec": study.message,
    }


def _trial_object(trial: Trial, *, best: bool) -> dict[str, Any]:
    return {
        "trial": trial.id,
        "state": str(trial.state),
        "parameters": trial.parameters,
        "metrics": _final(trial) or None,
        "measurements": [
            {"step": one.step, "elapsed_seconds": one.elapsed / 1e6, "metrics": one.metrics}
            for one in trial.measurements
        ],
        "optimal": best,
        "infeasible_reason": trial.infeasible_reason,
        "stopped": trial.stopped,
        "custom_job": trial.custom_job,
        "start_time": trial.start_time,
        "end_time": trial.end_time,
    }


def _final(trial: Trial) -> dict[str, float]:
    return trial.final.metrics if trial.final is not None else {}


def _shown(trial: Trial) -> dict[str, float]:
    """The final metrics; of a trial that goes on, the last it has reported."""
    if trial.final is not None or trial.state.terminal:
        return _final(trial)
    found: dict[str, float] = {}
    for one in trial.measurements:
        found.update(one.metrics)
    return found


def _counts(trials: Sequence[Trial]) -> str:
    counts = Counter(str(trial.state).lower() for trial in trials)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _best(cairn: Cairn, study: Study, trials: Sequence[Trial]) -> str:
    from cairn.tuning.selection import optimal as best_of

    found = best_of(cairn.studies.spec(study), trials)
    return "; ".join(", ".join(f"{name}={_text(value)}" for name, value in _final(one).items()) for one in found[:2])


def _metric_words(spec: StudySpec) -> list[str]:
    found = []
    for metric in spec.metrics:
        goal = "minimize" if metric.minimize else "maximize"
        safe = f", safe {'up to' if metric.minimize else 'from'} {_text(metric.safety_threshold)}"
        found.append(f"{metric.id}: {goal}{safe if metric.safety_threshold is not None else ''}")
    return found


def _parameter_words(spec: StudySpec) -> list[str]:
    found = []
    for parameter in spec.parameters:
        if parameter.values:
            said = ", ".join(_text(value) for value in parameter.values)
        else:
            said = f"{_text(parameter.low)} to {_text(parameter.high)}"
        scale = "" if "LINEAR" in parameter.scale else f", {parameter.scale.removeprefix('UNIT_').lower()}"
        below = f", {len(parameter.children)} below it" if parameter.children else ""
        found.append(f"{parameter.id}: {str(parameter.kind).lower()} {said}{scale}{below}")
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _took(trial: Trial) -> str:
    if not trial.start_time or not trial.end_time:
        return ""
    return words.duration((trial.end_time - trial.start_time) / 1e6)


def _width() -> int:
    import shutil

    return min(shutil.get_terminal_size().columns, 120) if output.is_terminal(sys.stdout) else 80


def drawing(values: Sequence[tuple[int, float]], *, minimize: bool, width: int, height: int) -> list[str]:
    """Lines of text: (trial's number, value) as `*`, the best so far as `-`, with what the axes stand for."""
    low, high = min(value for _, value in values), max(value for _, value in values)
    if high == low:
        height = 1  # there is nothing above it and nothing below it
    span = high - low or 1.0
    labels = [_text(float(f"{low + span * row / max(height - 1, 1):.4g}")) for row in range(height - 1, -1, -1)]
    margin = max(map(len, labels))
    columns = max(2, width - margin - 2)
    first, last = values[0][0], values[-1][0]

    def column(number: int) -> int:
        return round((number - first) / max(last - first, 1) * (columns - 1))

    def row(value: float) -> int:
        return height - 1 - round((value - low) / span * (height - 1))

    cells = [[" "] * columns for _ in range(height)]
    best: float | None = None
    for at, (number, value) in enumerate(values):
        best = value if best is None else min(best, value) if minimize else max(best, value)
        until = column(values[at + 1][0]) if at + 1 < len(values) else column(number) + 1
        for place in range(column(number), max(until, column(number) + 1)):
            cells[row(best)][min(place, columns - 1)] = "-"
    for number, value in values:
        cells[row(value)][column(number)] = "*"
    lines = [f"{label.rjust(margin)} |{''.join(line).rstrip()}" for label, line in zip(labels, cells, strict=True)]
    ends = f"{first}{str(last).rjust(columns - len(str(first)))}" if last > first else str(first)
    return [*lines, f"{' ' * margin} +{'-' * columns}", f"{' ' * margin}  {ends}"]
