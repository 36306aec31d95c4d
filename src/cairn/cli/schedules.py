"""`cairn schedules`: pipelines that are run again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table
from cairn.errors import ConfigurationError, InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.config.composing import Composed
    from cairn.domain.configuration import ScheduleConfiguration
    from cairn.domain.runs import Submission
    from cairn.schedules.types import Schedule
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

_HERE = "cairn.cli.schedules"
_SEARCHED = 1000


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_schedules", "List schedules, newest first."),
        "show": (f"{_HERE}:show", "Show one schedule and its last runs."),
        "create": (f"{_HERE}:create", "Run a pipeline again and again."),
        "pause": (f"{_HERE}:pause", "Make no more runs until it is resumed."),
        "resume": (f"{_HERE}:resume", "Go on with a paused schedule."),
        "delete": (f"{_HERE}:delete", "Remove a schedule; its runs stay."),
    },
)
def schedules() -> None:
    """Schedules, whether made here, by a Vertex client or as a recurring run of Kubeflow Pipelines."""


def _argument(function: Any) -> Any:
    return click.argument("reference", metavar="SCHEDULE")(function)


@click.command(name="list")
@click.option("--project", default="", metavar="NAME", help="Only of this project.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@options.as_json
def list_schedules(*, project: str, limit: int, as_json: bool) -> None:
    """List schedules, newest first."""
    with opened() as cairn:
        found, _ = cairn.schedules.page(projects=[project] if project else None, limit=limit)
        if as_json:
            output.print_json([_object(schedule) for schedule in found])
            return
        rows = [
            (
                schedule.id[:8],
                schedule.display_name,
                str(schedule.state),
                _trigger(schedule),
                words.moment(_next(schedule)),
                str(schedule.started_run_count),
                schedule.pipeline_name,
            )
            for schedule in found
        ]
        columns = ("schedule", "name", "state", "when", "next run", "runs", "pipeline")
        table(columns, rows, empty="no schedules")


@click.command()
@_argument
@options.as_json
def show(reference: str, *, as_json: bool) -> None:
    """Show SCHEDULE (its id, the beginning of it, or its name) and its last runs."""
    from cairn.filters.tree import Comparison

    with opened() as cairn:
        schedule = find_schedule(cairn, reference)
        where = Comparison(("schedule",), "=", schedule.id)
        runs, _ = cairn.records.page_runs(
            projects=[schedule.project], location=schedule.location, where=where, limit=10
        )
        if as_json:
            told = [{"run_id": run.uid, "state": str(run.state), "schedule_time": run.schedule_time} for run in runs]
            output.print_json({**_object(schedule), "runs": told})
            return
        facts(_facts(schedule))
        rows = [(run.uid[:8], words.moment(run.schedule_time), str(run.state), run.display_name) for run in runs]
        table(("run", "for", "state", "name"), rows, empty="no runs yet")


@click.command()
@click.argument("pipeline", metavar="PIPELINE", type=click.Path())
@click.argument("assignments", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--cron", default="", metavar="EXPRESSION", help="When: minute hour day month weekday, or @hourly, …")
@click.option("--every", metavar="DURATION", help="Or how often: 90s, 15m, 12h.")
@click.option("--time-zone", default="", metavar="ZONE", help="Of --cron, --start and --end: Europe/Berlin; else UTC.")
@click.option("--start", metavar="TIME", help="Not before: 2026-05-01 or 2026-05-01T08:00.")
@click.option("--end", metavar="TIME", help="Not after.")
@click.option("--max-runs", default=0, metavar="N", help="Complete after so many runs.")
@click.option("--max-concurrent", default=1, show_default=True, metavar="N", help="Active runs; 0: any number.")
@click.option("--queue", is_flag=True, help="Where a run would be one too many it waits, instead of being skipped.")
@click.option("--latest-only", is_flag=True, help="Of several times that were missed run only the latest.")
@click.option("--name", default="", metavar="NAME", help="The schedule's name, if not the pipeline's.")
@click.option("--params", "params_file", metavar="FILE", type=click.Path(), help="JSON or YAML file of parameters.")
@click.option("--no-cache", is_flag=True, help="Run every step, whatever has been computed before.")
@click.option("--strict", is_flag=True, help="Refuse what exceeds this machine instead of capping it.")
@click.option("--image", "images", metavar="PATTERN=TARGET", multiple=True, help="As for `cairn run`.")
@click.option("--root", metavar="URI", default="", help="Where artifacts go, instead of the home's store.")
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label on the runs. Repeatable.")
@options.as_json
def create(
    pipeline: str, assignments: tuple[str, ...], *, cron: str, every: str | None, time_zone: str, start: str | None,
    end: str | None, max_runs: int, max_concurrent: int, queue: bool, latest_only: bool, name: str,
    params_file: str | None, root: str, labels: tuple[str, ...], as_json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Run PIPELINE (as for `cairn run`) at the times that --cron or --every gives.

    The home's background host makes the runs; it is started if need be, and stays as long as a schedule is active.
    """
    from cairn.cli.run import read_parameters, read_pipeline, run_settings
    from cairn.cli.words import parse_duration
    from cairn.domain.runs import Submission
    from cairn.engine.sources import source_name
    from cairn.schedules.types import Definition, Schedule, Trigger

    seconds = parse_duration(every, "--every") if every else 0
    if bool(cron) == bool(seconds):
        raise InputRefused("say when, once", place="--cron", remedy="give either --cron or --every")
    rest = {"cache_ttl": None, "verify_cache": False, "failure_policy": None, "in_place": False, "notify": ""}
    with opened() as cairn:
        read = read_pipeline(cairn, pipeline)
        submission = Submission(
            read_parameters(read, assignments, params_file),
            run_settings(cairn, {**rest, **flags}, executor=None, detach=True),
            labels=dict(map(options.parse_label, labels)),
            source=source_name(pipeline),
            pipeline_root=root,
        )
        schedule = Schedule(
            "",
            Trigger(cron=cron, time_zone=time_zone, interval_seconds=seconds),
            submission,
            display_name=name or read.display_name or read.name,
            start=_instant(start, time_zone, "--start"),
            end=_instant(end, time_zone, "--end"),
            max_run_count=max_runs,
            max_concurrent_run_count=max_concurrent,
            allow_queueing=queue,
            no_catchup=latest_only,
        )
        made = cairn.schedules.create(schedule, Definition(read.text))
        _leave(cairn, made, as_json=as_json)


def keep_configured(
    cairn: Cairn,
    pipeline: Pipeline,
    submission: Submission,
    said: ScheduleConfiguration,
    composed: Composed,
    *,
    as_json: bool,
) -> int:
    """`cairn run` of a configuration with `cairn.schedule`: the schedule is made, or brought up to what is said now.

    Raises ConfigurationError for what could never run."""
    from cairn.cli.configuring import place_of
    from cairn.schedules.configured import Outcome, apply

    try:
        made, outcome = apply(cairn.schedules, pipeline, submission, said)
    except InputRefused as error:
        if type(error) is not InputRefused:  # of a schedule that there is already
            raise
        cron = error.place == "cron"
        place = place_of(composed, "cairn.schedule.cron" if cron else "cairn.schedule")
        message = error.message if cron else f"{error.place} {error.message}"
        raise ConfigurationError(message, place=place, remedy=error.remedy) from error
    output.note(
        f"the configuration has cairn.schedule: schedule {made.display_name} is {outcome}, and nothing is run now"
    )
    if made.state == "PAUSED" and outcome is not Outcome.CREATED:
        output.note(f"  it is paused: `cairn schedules resume {made.id[:8]}` goes on with it")
    _leave(cairn, made, as_json=as_json, outcome=outcome)
    return 0


def _leave(cairn: Cairn, made: Schedule, *, as_json: bool, outcome: str = "") -> None:
    """To the background host, started if need be."""
    from cairn.engine.background import BackgroundHost

    host = BackgroundHost(cairn.home.background).ensured(cairn.home.root)
    output.note(f"schedule {made.display_name} is left to the {host.name}")
    output.note(f"  next run:  {words.moment(_next(made)) or 'none'}")
    if as_json:
        output.print_json({**_object(made), "outcome": outcome} if outcome else _object(made))
    else:
        output.say(made.id)


@click.command()
@_argument
@options.as_json
def pause(reference: str, *, as_json: bool) -> None:
    """Make no more runs until SCHEDULE is resumed; those that it has made go on."""
    with opened() as cairn:
        _tell(cairn.schedules.pause(find_schedule(cairn, reference)), as_json=as_json)


@click.command()
@_argument
@click.option("--catch-up", is_flag=True, help="Also run what fell due while it was paused.")
@options.as_json
def resume(reference: str, *, catch_up: bool, as_json: bool) -> None:
    """Go on with a paused SCHEDULE."""
    from cairn.engine.background import BackgroundHost

    with opened() as cairn:
        resumed = cairn.schedules.resume(find_schedule(cairn, reference), catch_up=catch_up)
        BackgroundHost(cairn.home.background).ensure(cairn.home.root)
        _tell(resumed, as_json=as_json)


@click.command()
@_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def delete(reference: str, *, yes: bool, as_json: bool) -> None:
    """Remove SCHEDULE. Its runs stay, and those in progress go on."""
    with opened() as cairn:
        schedule = find_schedule(cairn, reference)
        if not yes:
            options.ask(f"delete schedule {schedule.display_name!r} ({schedule.id})?", "cairn schedules delete")
        cairn.schedules.delete(schedule)
        if as_json:
            output.print_json({"deleted": schedule.id})
        else:
            output.note(f"schedule {schedule.display_name} deleted")


def find_schedule(cairn: Cairn, reference: str) -> Schedule:
    """By its id, the first four or more characters of it, or its name. Raises NotFound, InputRefused for several."""
    try:
        return cairn.schedules.find(reference)
    except NotFound:
        known, _ = cairn.schedules.page(limit=_SEARCHED)
    near = [one for one in known if len(reference) >= 4 and one.id.startswith(reference)]
    near = near or [one for one in known if one.display_name == reference]
    if not near:
        raise NotFound(f"there is no schedule {reference!r}", remedy="`cairn schedules list` shows what there is")
    if len(near) > 1:
        names = ", ".join(f"{one.id} ({one.display_name})" for one in near[:8])
        raise InputRefused(f"{reference!r} fits several schedules: {names}", remedy="give the id")
    return near[0]


def _instant(text: str | None, time_zone: str, option: str) -> int:
    """Microseconds; a time without an offset is one of the schedule's zone."""
    if not text:
        return 0
    from datetime import datetime

    from cairn.schedules.cron import parse_zone

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        remedy = "write 2026-05-01 or 2026-05-01T08:00"
        raise InputRefused(f"{text!r} is no time", place=option, remedy=remedy) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=parse_zone(time_zone or "UTC"))
    return round(moment.timestamp() * 1_000_000)


def _trigger(schedule: Schedule) -> str:
    trigger = schedule.trigger
    if not trigger.cron:
        return f"every {words.duration(trigger.interval_seconds)}"
    return f"{trigger.cron} ({trigger.time_zone})" if trigger.time_zone else trigger.cron


def _next(schedule: Schedule) -> int:
    return schedule.next_run_time if schedule.state == "ACTIVE" else 0


def _facts(schedule: Schedule) -> list[tuple[str, str]]:
    limit = f"{schedule.limit}, more {'wait' if schedule.allow_queueing else 'are skipped'}" if schedule.limit else ""
    runs = f"{schedule.started_run_count} of {schedule.max_run_count}" if schedule.max_run_count else ""
    return [
        ("schedule", schedule.id),
        ("name", schedule.display_name),
        ("description", schedule.description),
        ("project", f"{schedule.project}/{schedule.location}"),
        ("pipeline", schedule.pipeline_name),
        ("when", _trigger(schedule)),
        ("state", str(schedule.state)),
        ("next run", words.moment(_next(schedule))),
        ("start", words.moment(schedule.start)),
        ("end", words.moment(schedule.end)),
        ("runs", runs or str(schedule.started_run_count)),
        ("at once", limit),
        ("last", schedule.last_run.response),
        ("last error", schedule.last_error.response),
        ("warning", "\n".join(schedule.warnings)),
        ("paused", words.moment(schedule.last_pause_time)),
        ("resumed", words.moment(schedule.last_resume_time)),
        ("created", words.moment(schedule.create_time)),
    ]


def _object(schedule: Schedule) -> dict[str, Any]:
    import msgspec

    return {
        "schedule_id": schedule.id,
        "display_name": schedule.display_name,
        "state": str(schedule.state),
        "project": schedule.project,
        "location": schedule.location,
        "pipeline": schedule.pipeline_name,
        "cron": schedule.trigger.cron,
        "time_zone": schedule.trigger.time_zone,
        "interval_seconds": schedule.trigger.interval_seconds,
        "next_run_time": _next(schedule),
        "start_time": schedule.start,
        "end_time": schedule.end,
        "max_run_count": schedule.max_run_count,
        "max_concurrent_run_count": schedule.limit,
        "allow_queueing": schedule.allow_queueing,
        "no_catchup": schedule.no_catchup,
        "started_run_count": schedule.started_run_count,
        "last_run": msgspec.to_builtins(schedule.last_run),
        "last_error": msgspec.to_builtins(schedule.last_error),
        "warnings": schedule.warnings,
        "parameters": schedule.submission.parameters,
        "create_time": schedule.create_time,
        "update_time": schedule.update_time,
    }


def _tell(schedule: Schedule, *, as_json: bool) -> None:
    if as_json:
        output.print_json(_object(schedule))
        return
    following = words.moment(_next(schedule))
    output.note(f"schedule {schedule.display_name} is {schedule.state}{f', next run {following}' if following else ''}")
