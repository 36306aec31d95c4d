"""`cairn run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cairn.cli import configuring, options, output
from cairn.cli.opening import opened
from cairn.errors import InputRefused, NoContainerEngine

if TYPE_CHECKING:
    from cairn.cli.views import View
    from cairn.config.composing import Composed
    from cairn.domain.artifacts import Artifact
    from cairn.domain.runs import Run, RunSettings
    from cairn.engine.ports import Batch
    from cairn.engine.sources import PipelineSource
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn


@click.command(short_help="Run a pipeline.")
@click.argument("pipeline", metavar="PIPELINE", type=click.Path())
@click.argument("assignments", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--params", "params_file", metavar="FILE", type=click.Path(), help="JSON or YAML file of parameters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
@click.option("--no-cache", is_flag=True, help="Run every step, whatever has been computed before.")
@click.option("--cache-ttl", metavar="DURATION", help="Take no cached result older than this: 90s, 12h, 30d.")
@click.option("--verify-cache", is_flag=True, help="Digest a cached result's artifacts in full before it is taken.")
@click.option("--detach", is_flag=True, help="Leave the run to the background host and return.")
@click.option("--executor", metavar="NAME", help="Where steps run: process, or docker (in containers).")
@click.option("--strict", is_flag=True, help="Refuse what exceeds this machine instead of capping it.")
@click.option(
    "--image", "images", metavar="PATTERN=TARGET", multiple=True,
    help="Run images that match as TARGET: host, project:DIR, docker[:IMAGE]. Repeatable; the first match wins.",
)  # fmt: skip
@click.option("--in-place", is_flag=True, help="project:DIR steps run in the directory itself.")
@click.option("--failure-policy", type=click.Choice(["slow", "fast"]), help="fast: begin nothing after a failure.")
@click.option("--name", "job_id", metavar="JOBID", default="", help="The run's id of your own choice.")
@click.option("--root", metavar="URI", default="", help="Where artifacts go, instead of the home's store.")
@click.option(
    "--artifact", "artifacts", metavar="NAME=ARTIFACT", multiple=True,
    help="A recorded artifact (id, its beginning, or URI) for an artifact that the pipeline takes. Repeatable.",
)  # fmt: skip
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label on the run. Repeatable.")
@click.option("--notify", metavar="URL|COMMAND", help="Called with the run as JSON when it ends.")
@click.option("--quiet", is_flag=True, help="No progress.")
@options.traceback
@configuring.options
def run(
    pipeline: str, assignments: tuple[str, ...], *, params_file: str | None, as_json: bool, detach: bool,
    job_id: str, root: str, labels: tuple[str, ...], artifacts: tuple[str, ...], executor: str | None, quiet: bool,
    with_trace: bool, config_dir: str | None, config_name: str | None, config_imports: tuple[str, ...],
    cfg: str | None, resolve: bool, multirun: bool, **flags: Any,
) -> int:  # fmt: skip
    """Run PIPELINE: a compiled .yaml or .json, a .py file with a @dsl.pipeline, or file.py:function.

    Parameters are given as NAME=VALUE, read by their declared type, or with --params. With --config-dir, NAME=VALUE are
    overrides of a configuration that Hydra composes, and parameters are taken from it.
    """
    from msgspec.structs import replace

    from cairn.domain.runs import Submission
    from cairn.engine.sources import read_parameters_file, source_name

    asked = configuring.asked(
        assignments, config_dir=config_dir, config_name=config_name, config_imports=config_imports, cfg=cfg,
        resolve=resolve, multirun=multirun,
    )  # fmt: skip
    if asked is not None and asked.cfg:
        return configuring.show(asked, as_json=as_json)
    composed = configuring.composed(asked) if asked is not None and not asked.multirun else None
    with opened(executor or _said_executor(composed)) as cairn:
        source, target = pipeline_source(cairn, pipeline, with_trace=with_trace), None
        given = Submission(
            {},
            run_settings(cairn, flags, executor=executor, detach=detach),
            job_id=job_id,
            labels=dict(map(options.parse_label, labels)),
            source=source_name(pipeline),
            pipeline_root=root,
            input_artifacts=given_artifacts(cairn, artifacts),
        )
        if asked is None:
            read = source.pipeline()
            submission = replace(given, parameters=read_parameters(read, assignments, params_file))
        else:
            given = replace(given, parameters=read_parameters_file(params_file) if params_file else {})
            said_by_flags = settings_of_flags(flags, executor=executor)
            if composed is None or composed.sweeping:
                from cairn.cli.sweeps import run_sweep

                if detach:
                    raise InputRefused("a sweep is driven from where it was started", place="--detach")
                return run_sweep(cairn, source, given, asked, flags=said_by_flags, as_json=as_json, quiet=quiet)
            meant = configuring.configured(cairn, source, composed, given, flags=said_by_flags)
            read, submission, target = meant.pipeline, meant.submission, meant.said.target
            if meant.said.schedule is not None:
                from cairn.cli.schedules import keep_configured

                return keep_configured(cairn, read, submission, meant.said.schedule, composed, as_json=as_json)
        try:
            accepted = cairn.runs.submit(read, submission)
        except NoContainerEngine as error:
            if asked is None or target is None:
                raise
            raise configuring.meant_for_elsewhere(error, target, pipeline, asked) from error
        if detach:
            return leave(cairn, accepted, as_json=as_json)
        return execute(cairn, accepted, read, as_json=as_json, quiet=quiet, with_trace=with_trace)


def _said_executor(composed: Composed | None) -> str:
    """Of the configuration: a home is opened with its executor."""
    if composed is None:
        return ""
    from cairn.config.mapping import run_configuration

    return run_configuration(composed).executor


def given_artifacts(cairn: Cairn, arguments: tuple[str, ...]) -> dict[str, tuple[Artifact, ...]]:
    """`--artifact NAME=ARTIFACT`, looked up. A name given several times is a list. Raises InputRefused, NotFound."""
    if not arguments:
        return {}
    from cairn.cli.artifacts import find_artifact

    found: dict[str, tuple[Artifact, ...]] = {}
    for argument in arguments:
        name, sign, reference = argument.partition("=")
        if not sign or not name or not reference:
            raise InputRefused(f"{argument!r} names no artifact", place="--artifact", remedy="write NAME=ARTIFACT")
        found[name] = (*found.get(name, ()), find_artifact(cairn, reference))
    return found


def execute(
    cairn: Cairn,
    accepted: Run,
    pipeline: Pipeline,
    *,
    as_json: bool,
    quiet: bool = False,
    with_trace: bool = False,
    renewed: bool = False,
) -> int:
    """Run it here to its end, say what it came to; the exit status. `renewed`: `runs resume` of a run that ended."""
    from cairn.cli import driving, nouns, summary, views

    view: View = views.make_view(pipeline, quiet=quiet)

    def committed(run: Run, batch: Batch) -> None:
        if run.uid == accepted.uid:
            view.committed(run, batch)
        elif batch.runs:  # what its steps have started: a line for each change, no part of the picture
            view.say(f"  {nouns.noun(run)} {run.display_name or run.job_id}  {run.state.lower()}")

    engine = cairn.engine(committed)
    try:
        if not quiet:
            view.say(f"{nouns.noun(accepted)} {accepted.job_id} ({accepted.uid[:8]})")
        with driving.Interrupts(engine) as interrupts:  # before the run is ours: from here on Ctrl-C cancels it
            cairn.runs.take(engine, accepted, renewed=renewed, pipeline=pipeline)
            driving.mention_abandoned(cairn.records.open_runs(), cairn.records.claimed, accepted.uid)
            try:
                ended = driving.drive(engine, accepted.uid, view, interrupts)
            finally:
                view.close()
    finally:
        engine.close()
    return summary.tell(cairn, pipeline, ended, as_json=as_json, with_trace=with_trace, progress=view.progress)


def leave(cairn: Cairn, accepted: Run, *, as_json: bool) -> int:
    """Hand the run to the background host, started if need be."""
    from cairn.cli import nouns
    from cairn.engine import report
    from cairn.engine.background import BackgroundHost

    host = BackgroundHost(cairn.home.background).ensured(cairn.home.root)
    output.note(f"{nouns.noun(accepted)} {accepted.job_id} is left to the {host.name}")
    output.note(f"  watch it:   {nouns.follow_command(accepted)}")
    output.note(f"  cancel it:  {nouns.cancel_command(accepted)}")
    if as_json:
        output.print_json(report.run_object(accepted, (), cairn.store))
    else:
        output.say(accepted.uid)
    return 0


def run_settings(cairn: Cairn, flags: dict[str, Any], *, executor: str | None, detach: bool) -> RunSettings:
    """Flags over what the home configures."""
    from msgspec.structs import replace

    from cairn.cli.words import parse_duration

    defaults = cairn.run_settings()
    ttl = flags["cache_ttl"]
    return replace(
        defaults,
        use_cache=defaults.use_cache and not flags["no_cache"],
        cache_ttl_seconds=parse_duration(ttl, "--cache-ttl") if ttl else defaults.cache_ttl_seconds,
        verify_cache=flags["verify_cache"],
        failure_policy=flags["failure_policy"] or defaults.failure_policy,
        executor=executor or defaults.executor,
        strict=flags["strict"] or defaults.strict,
        images=(*(options.parse_image(text) for text in flags["images"]), *defaults.images),
        in_place=flags["in_place"],
        notify=flags["notify"] or defaults.notify,
        detached=detach,
    )


def settings_of_flags(flags: dict[str, Any], *, executor: str | None) -> set[str]:
    """The fields of RunSettings that a flag has set, whatever to: a configuration does not change them."""
    said = {"use_cache": flags["no_cache"], "cache_ttl_seconds": flags["cache_ttl"], "executor": executor}
    same = {name: flags[name] for name in ("verify_cache", "failure_policy", "strict", "in_place", "notify")}
    return {name for name, value in {**said, **same}.items() if value}


def read_pipeline(cairn: Cairn, source: str, *, with_trace: bool = False) -> Pipeline:
    """A pipeline from its file; Python is compiled in an environment that has kfp."""
    return pipeline_source(cairn, source, with_trace=with_trace).pipeline()


def pipeline_source(cairn: Cairn, source: str, *, with_trace: bool = False) -> PipelineSource:
    """Nothing is read yet."""
    from cairn.engine.sources import PipelineSource

    return PipelineSource(source, cairn.environments, progress=output.note_building, traceback=with_trace)


def read_parameters(pipeline: Pipeline, assignments: tuple[str, ...], params_file: str | None) -> dict[str, Any]:
    """From --params, and name=value over it. Raises InputRefused (ParameterError)."""
    from cairn.engine.sources import read_parameters_file
    from cairn.spec.parameters import parse_argument

    values = read_parameters_file(params_file) if params_file else {}
    seen: set[str] = set()
    for text in assignments:
        name, value = parse_argument(pipeline, text)
        if name in seen:
            raise InputRefused(f"parameter {name!r} is given twice", place=text)
        seen.add(name)
        values[name] = value
    return values
