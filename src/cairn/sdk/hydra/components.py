"""`component`: an ordinary KFP container component of a Hydra program."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.bootstrap import EXACT
from cairn.sdk.hydra.calling import exact_arguments
from cairn.sdk.hydra.description import Description, describe
from cairn.sdk.hydra.exactness import exact_json
from cairn.sdk.hydra.inputs import TYPES, Input
from cairn.sdk.hydra.keys import Keys, keys_of

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_KINDS = {name: kind for kind, name in TYPES.items()}


def component(
    program: str | os.PathLike[str] = "",
    *,
    name: str,
    image: str,
    module: str = "",
    project: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    config_name: str | None = None,
    overrides: Sequence[str] = (),
    inputs: Keys = (),
    input_artifacts: Keys = (),
    output_artifacts: Keys = (),
    output_parameters: Keys = (),
    imports: Sequence[str] = (),
    directory: str = "",
    description: str = "",
) -> Any:
    """A KFP component of the Hydra program in the file `program` (or of `module`, run with `python -m`).

    `project`: the folder that the image holds and works in; by default the program's own. Relative paths start from the
    file that calls this. `config_dir` and `config_name` are read from the program's @hydra.main where they are not
    given. `overrides` are Hydra's, used for composing here and given to the program. `inputs` are the keys offered:
    "train.lr" (its type and default as composed), "train.*" (each of its keys), {"optimizer": dict}, Key(…).
    `input_artifacts` and `output_artifacts` map keys to classes of kfp.dsl: the key holds the path.
    `output_parameters` map keys to types: the key holds the path of the file that the program writes the value to.
    `imports`: files of the project, or modules, that register structured configs. `directory`: where an image keeps the
    program, if not in its working directory.

    Returns a kfp.dsl container component: call it in a @dsl.pipeline. Its `defaults` are the composed values by
    input, for the pipeline's own parameters. Raises ConfigurationError, with Hydra's words.
    """
    base, caller = _caller()
    described = describe(
        os.fspath(program),
        base=base,
        module=module,
        project=project,
        config_dir=config_dir,
        config_name=config_name,
        overrides=overrides,
        imports=imports,
        directory=directory,
        asked={
            "inputs": keys_of(inputs, "inputs"),
            "input_artifacts": keys_of(input_artifacts, "input_artifacts"),
            "output_artifacts": keys_of(output_artifacts, "output_artifacts"),
            "output_parameters": keys_of(output_parameters, "output_parameters"),
        },
    )
    return _build(described, name, image, description, caller)


def _caller() -> tuple[Path, str]:
    """(directory, file) of the code that called `component`; the working directory and "" in a notebook."""
    frame = sys._getframe(2)
    file = frame.f_globals.get("__file__") or ""
    return (Path(file).resolve().parent, os.path.abspath(file)) if file else (Path.cwd(), "")


def _build(described: Description, name: str, image: str, description: str, caller: str) -> Any:
    try:
        from kfp import dsl
    except ImportError as error:
        raise ConfigurationError(f"kfp cannot be imported: {error}", remedy="install kfp beside Cairn") from None

    parameters = [_parameter(one) for one in described.inputs]
    parameters.append(inspect.Parameter(EXACT, inspect.Parameter.KEYWORD_ONLY, default="", annotation=str))
    for keys, wrap in ((described.input_artifacts, dsl.Input), (described.output_artifacts, dsl.Output)):
        parameters += [
            inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, annotation=wrap[key.type]) for key in keys
        ]
    for key in described.output_parameters:
        kind = dsl.OutputPath(key.type)
        parameters.append(inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, annotation=kind))
    parameters.sort(key=lambda one: one.default is not inspect.Parameter.empty)

    def container(*placeholders: Any) -> Any:
        by_name = dict(zip((one.name for one in parameters), placeholders, strict=True))
        words: list[Any] = ["--spec", exact_json(described.spec), "--executor-input", "{{$}}"]
        for key in described.input_artifacts:
            words += ["--artifact", key.key.removeprefix("+"), by_name[key.name].path]
        for key in described.output_artifacts:
            words += ["--output", key.key.removeprefix("+"), by_name[key.name].path]
        for key in described.output_parameters:
            words += ["--output", key.key.removeprefix("+"), by_name[key.name]]
        return dsl.ContainerSpec(image=image, command=["python3", "-c", _BOOTSTRAP.read_text()], args=words)

    container.__name__ = re.sub(r"\W", "_", name)
    container.__doc__ = _docstring(
        description or f"{' '.join(described.spec['program'])}, a Hydra program.", described.inputs
    )
    container.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made = dsl.container_component(container)
    made.__class__ = _exact_class(type(made))
    made.hydra_inputs = {one.name: one for one in described.inputs}
    made.defaults = {one.name: one.default for one in described.inputs if one.default is not ...}
    if caller:
        container.__code__ = container.__code__.replace(co_filename=caller)  # whose component it is
    return made


def _parameter(one: Input) -> inspect.Parameter:
    kind: Any = _KINDS[one.type]
    if one.required:
        return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
    if one.shown is ...:  # Optional: what kfp knows in every version
        return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Optional[kind])  # noqa: UP045
    shown = float(one.shown) if one.type == "float" else one.shown
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=kind)


def _docstring(description: str, offered: list[Input]) -> str:
    lines = [f"    {one.name}: {one.description}" for one in offered]
    exact = f"    {EXACT}: JSON of values that KFP cannot hold as they are; filled in by cairn.hydra."
    return "\n".join([description, "", "Args:", *lines, exact])


def _exact_class(kind: type) -> Any:
    """kfp's container component, whose call lets nothing be altered."""

    class HydraComponent(kind):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **exact_arguments(self.name, self.hydra_inputs, kwargs))

    HydraComponent.__name__ = HydraComponent.__qualname__ = kind.__name__
    return HydraComponent
