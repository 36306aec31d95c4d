"""The options that compose a configuration with Hydra, and what `cairn run`, sweeps and `cairn submit` make of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from cairn.cli import output
from cairn.errors import InputRefused, NoContainerEngine

if TYPE_CHECKING:
    from cairn.config.composing import Composed
    from cairn.domain.configuration import TargetConfiguration
    from cairn.domain.runs import Submission
    from cairn.engine.configuring import ConfiguredRun, Source
    from cairn.wiring import Cairn

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT_NAME = "config"


class Asked(msgspec.Struct, frozen=True):
    """What the options say. `overrides` are all that stands after PIPELINE."""

    directory: Path
    name: str
    overrides: tuple[str, ...]
    imports: tuple[str, ...]
    cfg: str = ""
    resolve: bool = False
    multirun: bool = False


_OPTIONS = (
    click.option(
        "--config-dir", "-cd", "config_dir", metavar="DIR", type=click.Path(),
        help="Compose a configuration with Hydra from this directory: what follows PIPELINE are overrides.",
    ),
    click.option(
        "--config-name", "-cn", "config_name", metavar="NAME", help="Its primary configuration, if not config."
    ),
    click.option(
        "--config-import", "config_imports", metavar="FILE|MODULE", multiple=True,
        help="Python that registers structured configs or resolvers, imported first. Repeatable.",
    ),
    click.option(
        "--cfg", type=click.Choice(["job", "hydra", "all"]), help="Print the composed configuration, no more."
    ),
    click.option("--resolve", is_flag=True, help="With --cfg: with its interpolations resolved."),
    click.option("-m", "--multirun", is_flag=True, help="A sweep: a run for each combination of the overrides."),
)  # fmt: skip


def options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def asked(
    assignments: tuple[str, ...], *, config_dir: str | None, config_name: str | None, config_imports: tuple[str, ...],
    cfg: str | None, resolve: bool, multirun: bool,
) -> Asked | None:  # fmt: skip
    """None without --config-dir. Raises InputRefused for options that make no sense together."""
    if config_dir is None:
        alone = {"--config-name": config_name, "--config-import": config_imports, "--cfg": cfg, "--resolve": resolve}
        for option, value in {**alone, "--multirun": multirun}.items():
            if value:
                raise InputRefused(
                    "there is no configuration without --config-dir", place=option, remedy="add --config-dir DIR"
                )
        return None
    if resolve and not cfg:
        raise InputRefused("says how --cfg shows a configuration", place="--resolve", remedy="add --cfg job")
    if cfg and multirun:
        raise InputRefused(
            "shows one configuration, not a sweep's",
            place="--cfg",
            remedy="leave out -m and give one value to each key",
        )
    return Asked(
        Path(config_dir), config_name or _DEFAULT_NAME, assignments, config_imports, cfg or "", resolve, multirun
    )


def composed(asked: Asked) -> Composed:
    """Raises ConfigurationError."""
    from cairn.config.composing import compose

    return compose(asked.directory, asked.name, asked.overrides, imports=asked.imports)


def place_of(composed: Composed, key: str) -> str:
    from cairn.config.nodes import Place

    return str(Place(composed, key))


def show(asked: Asked, *, as_json: bool) -> int:
    """`--cfg`: on standard output. Raises ConfigurationError."""
    from cairn.config.composing import Composer

    with Composer(asked.directory, asked.name, imports=asked.imports) as composer:
        text, values = composer.shown(asked.cfg, asked.overrides, resolve=asked.resolve)
    if as_json:
        output.print_json(values)
    else:
        output.say(text.rstrip("\n"))
    return 0


def configured(
    cairn: Cairn, source: Source, composed: Composed, given: Submission, *, flags: Collection[str]
) -> ConfiguredRun:
    """The run that is meant, its experiment and artifacts looked up. `given` is what flags say; `flags` names the
    fields of its settings that they set. Raises what `configured_run` raises, NotFound."""
    from msgspec.structs import replace

    from cairn.engine.configuring import configured_run, looked_up

    run = configured_run(source, composed, given, defaults=cairn.run_settings(), flags=flags)
    for warning in run.submission.warnings:
        if warning not in given.warnings and warning not in composed.warnings:  # before hours are spent on it
            output.warn(warning)
    return replace(run, submission=looked_up(run, cairn.lookups))


def meant_for_elsewhere(
    error: NoContainerEngine, target: TargetConfiguration, pipeline: str, asked: Asked
) -> NoContainerEngine:
    """The same error; where the configuration says where to submit to, that advice comes first."""
    import shlex

    if target == type(target)():
        return error
    name = ["--config-name", asked.name] if asked.name != _DEFAULT_NAME else []
    imports = [word for one in asked.imports for word in ("--config-import", one)]
    words = ["cairn", "submit", pipeline, *([] if target.to else ["--to", "vertex|kfp|http://HOST"]),
             "--config-dir", str(asked.directory), *name, *imports, *asked.overrides]  # fmt: skip
    line = " ".join(word if word == "vertex|kfp|http://HOST" else shlex.quote(word) for word in words)
    remedy = f"this configuration has a cairn.target, so it may be meant for `{line}`; else {error.remedy}"
    return type(error)(error.message, place=error.place, remedy=remedy)
