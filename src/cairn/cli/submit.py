"""`cairn submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import msgspec

from cairn.cli import configuring, options, output
from cairn.cli.opening import opened
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.cli.configuring import Asked
    from cairn.domain.configuration import RunConfiguration, TargetConfiguration
    from cairn.domain.runs import RunSettings
    from cairn.submit.limits import Findings, Subject
    from cairn.submit.requests import Request
    from cairn.submit.targets import Target
    from cairn.wiring import Cairn

Flags: TypeAlias = dict[str, Any]

_FILE = click.Path(dir_okay=False)
_OF_TARGET = (
    ("--project", "NAME", "Google Cloud's project; of another Cairn, its own. [default: GOOGLE_CLOUD_PROJECT]"),
    ("--region", "NAME", "Such as europe-west4. [default: GOOGLE_CLOUD_REGION]"),
    ("--host", "URL", "Of Kubeflow Pipelines' API. [default: KF_PIPELINES_ENDPOINT]"),
    ("--namespace", "NAME", "Of Kubeflow Pipelines with several users."),
    ("--service-account", "NAME", "As whom its steps run."),
    ("--network", "NAME", "projects/NUMBER/global/networks/NAME, that its steps are in."),
    ("--encryption-key", "NAME", "Of Cloud KMS."),
    ("--staging-bucket", "URI", "Where the pipeline root is, if nobody says: gs://BUCKET."),
    ("--credentials", "FILE", "A service account's key; of Kubeflow Pipelines a file with a token."),
    ("--authority", "FILE", "PEM of the authority to trust, for a server with TLS of its own."),
)


def _target_options(command: Any) -> Any:
    for name, metavar, words in reversed(_OF_TARGET):
        kind = _FILE if metavar == "FILE" else None
        command = click.option(name, metavar=metavar, default="", type=kind, help=words)(command)
    return command


@click.command(short_help="Run a pipeline on Vertex AI, Kubeflow Pipelines or another Cairn.")
@click.argument("pipeline", metavar="PIPELINE", type=click.Path())
@click.argument("assignments", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--to", metavar="TARGET", default="", help="vertex, kfp, or http(s)://HOST:PORT of another Cairn.")
@click.option("--wait", is_flag=True, help="Wait for the end; the exit status is by what it came to.")
@click.option("--follow", is_flag=True, help="Wait, and show each task's states.")
@click.option("--dry-run", is_flag=True, help="Send nothing: show what would be sent, and what the target cannot do.")
@click.option("--params", "params_file", metavar="FILE", type=click.Path(), help="JSON or YAML file of parameters.")
@click.option("--no-cache", is_flag=True, help="Run every step, whatever has been computed before.")
@click.option("--failure-policy", type=click.Choice(["slow", "fast"]), help="fast: begin nothing after a failure.")
@click.option("--image", "images", metavar="PATTERN=TARGET", multiple=True, help="As of `cairn run`; it stays here.")
@click.option("--name", "job_id", metavar="JOBID", default="", help="The run's id of your own choice.")
@click.option("--display-name", metavar="NAME", default="", help="What it is shown as.")
@click.option("--experiment", metavar="NAME", default="", help="What it belongs to; made when there is none.")
@click.option("--root", metavar="URI", default="", help="Where artifacts go: gs://BUCKET/…")
@click.option(
    "--artifact", "artifacts", metavar="NAME=ID", multiple=True,
    help="An artifact that the pipeline takes, by its id in the metadata store there. Repeatable.",
)  # fmt: skip
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label on the run. Repeatable.")
@_target_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
@options.traceback
@configuring.options
def submit(
    pipeline: str, assignments: tuple[str, ...], *, as_json: bool, dry_run: bool, config_dir: str | None,
    config_name: str | None, config_imports: tuple[str, ...], cfg: str | None, resolve: bool, multirun: bool,
    **flags: Any,
) -> int:  # fmt: skip
    """Submit PIPELINE (as for `cairn run`) by the target's own client: google-cloud-aiplatform or kfp.

    What the target cannot do is said before anything is sent. The clients run in your own environment if it has
    them, else in one that is made for them.
    """
    asked = configuring.asked(
        assignments, config_dir=config_dir, config_name=config_name, config_imports=config_imports, cfg=cfg,
        resolve=resolve, multirun=multirun,
    )  # fmt: skip
    if asked is not None and asked.cfg:
        return configuring.show(asked, as_json=as_json)
    if multirun:
        raise InputRefused(
            "a sweep is driven by this machine",
            place="--multirun",
            remedy="run it here with `cairn run --multirun`, or submit its jobs one by one",
        )
    with opened() as cairn:
        subject = _subject(cairn, pipeline, asked, assignments, flags)
        from cairn.submit.limits import find_limits
        from cairn.submit.requests import request_of

        found = find_limits(cairn, subject)
        watch = "follow" if flags["follow"] else "wait" if flags["wait"] else ""
        request = request_of(subject, watch=watch, traceback=flags["with_trace"])
        # What a pipeline is warned of when it is read is about this machine.
        warnings = (*subject.submission.warnings, *found.warned)
        for warning in dict.fromkeys(warnings):
            output.warn(warning)
        if dry_run:
            return _rehearse(request, found, warnings, as_json=as_json)
        error = found.error()
        if error is not None:
            raise error
        if watch and request.schedule is not None:
            output.warn("a schedule is not waited for")
        return _send(cairn, subject.target, request, Path(pipeline), warnings, as_json=as_json)


def _subject(cairn: Cairn, source: str, asked: Asked | None, assignments: tuple[str, ...], flags: Flags) -> Subject:
    from msgspec.structs import replace

    from cairn.cli.run import pipeline_source, read_parameters
    from cairn.config.composing import compose
    from cairn.config.mapping import run_configuration
    from cairn.domain.configuration import RunConfiguration
    from cairn.domain.runs import Submission
    from cairn.engine.sources import source_name
    from cairn.submit.limits import Subject
    from cairn.submit.targets import target_of

    composed = compose(asked.directory, asked.name, asked.overrides, imports=asked.imports) if asked else None
    said = run_configuration(composed) if composed is not None else RunConfiguration()
    # A target that is none is told before anything is compiled.
    target = target_of(_target_wanted(said.target, flags), project=said.project)
    given = Submission(
        {},
        _settings(cairn, flags),
        job_id=flags["job_id"],
        display_name=flags["display_name"],
        labels=dict(map(options.parse_label, flags["labels"])),
        source=source_name(source),
        pipeline_root=flags["root"],
        experiment=flags["experiment"],
    )
    artifacts = _artifacts(said, flags["artifacts"])
    read = pipeline_source(cairn, source, with_trace=flags["with_trace"])
    if composed is None:
        pipeline = read.pipeline()
        values = read_parameters(pipeline, assignments, flags["params_file"])
        return Subject(pipeline, replace(given, parameters=values), said, target, artifacts=artifacts)
    from cairn.engine.configuring import configured_run
    from cairn.engine.sources import read_parameters_file

    given = replace(given, parameters=read_parameters_file(flags["params_file"]) if flags["params_file"] else {})
    named = {"use_cache": flags["no_cache"], "failure_policy": flags["failure_policy"]}
    by_flags = {field for field, value in named.items() if value}
    meant = configured_run(read, composed, given, defaults=_defaults(cairn), flags=by_flags)
    return Subject(meant.pipeline, meant.submission, meant.said, target, artifacts=artifacts)


def _target_wanted(said: TargetConfiguration, flags: dict[str, Any]) -> TargetConfiguration:
    names = ("to", *(name.removeprefix("--").replace("-", "_") for name, _, _ in _OF_TARGET))
    return msgspec.structs.replace(said, **{name: flags[name] for name in names if flags[name]})


def _defaults(cairn: Cairn) -> RunSettings:
    """What the home configures is about runs of its own, but for the images: they tell what is nowhere else."""
    from cairn.domain.runs import RunSettings

    return RunSettings(images=cairn.run_settings().images)


def _settings(cairn: Cairn, flags: Flags) -> RunSettings:
    plain = _defaults(cairn)
    return msgspec.structs.replace(
        plain,
        use_cache=not flags["no_cache"],
        failure_policy=flags["failure_policy"] or plain.failure_policy,
        images=(*map(options.parse_image, flags["images"]), *plain.images),
    )


def _artifacts(said: RunConfiguration, arguments: tuple[str, ...]) -> dict[str, str]:
    given = dict(map(_artifact, arguments))
    for name, references in said.artifacts.items():
        if name not in given:
            if len(references) != 1:
                raise InputRefused("one artifact is wanted", place=f"cairn.artifacts.{name}")
            given[name] = references[0]
    return given


def _artifact(text: str) -> tuple[str, str]:
    name, sign, id_ = text.partition("=")
    if not sign or not name or not id_:
        raise InputRefused(f"{text!r} names no artifact", place="--artifact", remedy="write NAME=ID")
    return name, id_


def _rehearse(request: Request, found: Findings, warnings: tuple[str, ...], *, as_json: bool) -> int:
    from cairn.submit.sending import shown

    if as_json:
        told = [{"place": one.place, "message": one.message, "remedy": one.remedy} for one in found.refused]
        sent = msgspec.to_builtins(request)
        output.print_json(
            {"target": found.target.kind, "request": sent, "refused": told, "warnings": list(dict.fromkeys(warnings))}
        )
    else:
        output.say(shown(request))
    error = found.error()
    if error is not None:
        output.complain(error)
        return error.exit_status
    output.note(f"nothing was sent; {found.target.kind.spoken} would be sent this")
    return 0


def _send(
    cairn: Cairn, target: Target, request: Request, source: Path, warnings: tuple[str, ...], *, as_json: bool
) -> int:
    from cairn.cli import submitting

    program, module, package = target.kind.client
    environment = cairn.environments.client_environment(
        module, package, source.absolute().parent, progress=output.note_building
    )
    variables: dict[str, str | None] = {**environment.variables, **client_variables(target)}
    progress = submitting.Progress(target, request, warnings)
    return submitting.send(progress, program, environment.python, variables, as_json=as_json)


def client_variables(target: Target) -> dict[str, str | None]:
    """What the client is told by its environment."""
    from cairn.submit.targets import Kind

    if target.kind is Kind.CAIRN:
        return _pointed(target)
    if target.kind is Kind.VERTEX and target.credentials:
        return {"GOOGLE_APPLICATION_CREDENTIALS": target.credentials}
    return {}


def _pointed(target: Target) -> dict[str, str | None]:
    """At another Cairn, as `cairn env --url` does it; without credentials at one that asks for none."""
    from cairn.cli.pointing import read_account, roots_of
    from cairn.client.environment import variables

    if target.credentials:
        read_account(Path(target.credentials))
    found = variables(
        target.url,
        Path(target.credentials),
        project=target.project,
        location=target.region,
        roots_file=roots_of(Path(target.authority)) if target.authority else None,
        login=bool(target.credentials),
    )
    return found if target.credentials else {**found, "GOOGLE_APPLICATION_CREDENTIALS": None}
