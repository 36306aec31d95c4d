"""A component before it is KFP's: the program found, its configuration composed, and what its bootstrap is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.composition import composing
from cairn.sdk.hydra.inputs import Input, check_path_key, input_of
from cairn.sdk.hydra.keys import Key, check_apart, expanded
from cairn.sdk.hydra.overrides import Overrides, read_overrides
from cairn.sdk.hydra.program import Program, find_program


@dataclass(frozen=True)
class Description:
    """`spec` is the bootstrap's --spec."""

    inputs: list[Input]
    input_artifacts: list[Key]
    output_artifacts: list[Key]
    output_parameters: list[Key]
    spec: dict[str, Any]


def describe(
    program: str,
    *,
    base: Path,
    module: str = "",
    project: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    config_name: str | None = None,
    overrides: Sequence[str] = (),
    imports: Sequence[str] = (),
    directory: str = "",
    asked: Mapping[str, list[Key]],
) -> Description:
    """As `component` says; `asked` are its four kinds of keys by name. Raises ConfigurationError."""
    found = find_program(program, module, project, base)
    given = read_overrides(overrides)
    where, which, flags = _configuration(found, config_dir, given.name or config_name, base)
    with composing(where, which, given.words, imports, found.project) as composition:
        others = [key for name, keys in asked.items() if name != "inputs" for key in keys]
        asked = {**asked, "inputs": expanded(asked["inputs"], others, composition.inside)}
        check_apart([*asked["inputs"], *others])
        offered = [input_of(key, composition) for key in asked["inputs"]]
        for key in others:
            check_path_key(key, composition)
    spec = _spec(found, flags, given, offered, asked, directory)
    return Description(offered, asked["input_artifacts"], asked["output_artifacts"], asked["output_parameters"], spec)


def _configuration(
    program: Program, config_dir: str | os.PathLike[str] | None, config_name: str | None, base: Path
) -> tuple[Path | None, str | None, list[str]]:
    """Where to compose from, and the flags that tell the program of it, if it would not by itself."""
    where = (base / config_dir).resolve() if config_dir is not None else program.config_dir
    which = config_name if config_name is not None else program.config_name
    if not program.known and config_dir is None:
        raise ConfigurationError(
            "has no @hydra.main",
            place=str(program.file),
            remedy="give config_dir= and config_name=",
        )
    for name, chosen in (("config_path", config_dir), ("config_name", config_name)):
        if name in program.unread and chosen is None:
            raise ConfigurationError(
                f"{name}={program.unread[name]} of its @hydra.main is known only when it runs",
                place=str(program.file),
                remedy=f"give {'config_dir=' if name == 'config_path' else 'config_name='}",
            )
    flags: list[str] = []
    if program.known and where is not None and where != program.config_dir:
        if not where.is_relative_to(program.project):
            raise ConfigurationError("does not lie in the project", place=str(where), remedy=f"it is {program.project}")
        flags += ["--config-path", os.path.relpath(where, program.file.parent)]
    if program.known and which != program.config_name and which is not None:
        flags += ["--config-name", which]
    return where, which, flags


def _spec(
    program: Program,
    flags: list[str],
    given: Overrides,
    offered: list[Input],
    asked: Mapping[str, list[Key]],
    directory: str,
) -> dict[str, Any]:
    """What the bootstrap is told (see there)."""
    told: dict[str, Any] = {}
    for one in offered:
        entry: dict[str, Any] = {"key": one.key.removeprefix("+"), "type": one.type}
        if one.shown is ... and one.default is not ...:
            entry["default"] = one.default
        if one.replaced:
            entry["replaced"] = one.replaced
        told[one.name] = entry
    metrics = {
        key.name: [key.key.removeprefix("+"), "Classification" in _schema(key.type)]
        for key in asked["output_artifacts"]
        if _schema(key.type).endswith("Metrics")
    }
    paths = [key.key for keys in list(asked.values())[1:] for key in keys]
    return {
        "program": program.words,
        "file": program.file.relative_to(program.project).as_posix(),
        "flags": flags,
        "overrides": given.told({one.name: one.key for one in offered}, paths),
        "inputs": told,
        "metrics": metrics,
        "directory": directory,
    }


def _schema(kind: Any) -> str:
    return str(getattr(kind, "schema_title", ""))
