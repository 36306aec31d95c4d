"""A run's parameters: what the user gives, held to what the pipeline declares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cairn.domain.artifacts import Artifact
from cairn.domain.values import ParameterType, Value
from cairn.errors import ParameterError
from cairn.spec.coercion import coerce
from cairn.spec.reader import nearest, shown
from cairn.spec.types import ParameterInput, Pipeline

_SYSTEM = (ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG)
_ANY_ARTIFACT = ("", "system.Artifact")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


def resolve_parameters(pipeline: Pipeline, given: Mapping[str, Value]) -> dict[str, Value]:
    """Every parameter of the run, in the order of the pipeline's declaration.

    `given` wins over a PipelineJob's own values, those win over defaults; an optional one without any is None. Integers
    stay integers. Raises ParameterError for a name that does not exist, a value that does not fit, and what is missing.
    """
    declared = pipeline.root.input_parameters
    for name in given:
        if name not in declared:
            raise _unknown(pipeline, name)
    together = {**pipeline.parameters, **given}
    resolved = {name: _value(name, parameter, together) for name, parameter in declared.items()}
    missing = [name for name, parameter in declared.items() if resolved[name] is None and not parameter.optional]
    if missing:
        raise ParameterError(
            f"the pipeline needs {'a value for ' if len(missing) == 1 else 'values for '}"
            + ", ".join(f"{name} ({declared[name].type})" for name in missing),
            place=pipeline.name,
            remedy="give " + " ".join(f"{name}=…" for name in missing),
        )
    return resolved


def parse_argument(pipeline: Pipeline, argument: str) -> tuple[str, Value]:
    """`name=value` of the command line, the text read by the parameter's declared type. Raises ParameterError.

    STRING stays text; BOOLEAN is true or false; numbers are numbers; LIST and STRUCT are JSON; `null` is no value where
    the parameter is optional and no text.
    """
    name, equals, text = argument.partition("=")
    if not equals or not name:
        raise ParameterError(f"{argument[:80]!r} is no name=value", remedy="give parameters as name=value")
    parameter = pipeline.root.input_parameters.get(name)
    if parameter is None:
        raise _unknown(pipeline, name)
    if parameter.type is ParameterType.STRING:
        return name, _checked(name, parameter, text)
    if text == "null" and parameter.optional:
        return name, None
    return name, _checked(name, parameter, _read(name, parameter, text))


def _read(name: str, parameter: ParameterInput, text: str) -> Value:
    if parameter.type is ParameterType.BOOLEAN:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise _unfit(name, text, "true or false is wanted (BOOLEAN)")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        wanted = {
            ParameterType.NUMBER_INTEGER: "a whole number is wanted (NUMBER_INTEGER)",
            ParameterType.NUMBER_DOUBLE: "a number is wanted (NUMBER_DOUBLE)",
            ParameterType.LIST: "a list in JSON is wanted (LIST), such as [1, 2]",
        }
        raise _unfit(
            name, text, wanted.get(parameter.type, 'a mapping in JSON is wanted (STRUCT), such as {"a": 1}')
        ) from None


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is no number in JSON")


def _value(name: str, parameter: ParameterInput, given: Mapping[str, Value]) -> Value:
    value = given.get(name)
    if value is None:
        return parameter.default
    return fitted_parameter(name, parameter, value)


def fitted_parameter(name: str, parameter: ParameterInput, value: Value) -> Value:
    """`value`, which is not None, as that parameter's. Raises ParameterError."""
    if parameter.type in _SYSTEM:
        raise _unfit(name, value, f"this is {parameter.type}, which only a pipeline can give its tasks")
    return _checked(name, parameter, value)


def _checked(name: str, parameter: ParameterInput, value: Value) -> Value:
    if parameter.type is ParameterType.STRING and not isinstance(value, str):
        raise _unfit(name, value, "text is wanted (STRING)")
    try:
        fitted = coerce(value, parameter.type)
    except ValueError as error:
        raise _unfit(name, value, str(error)) from None
    if parameter.literals and fitted not in parameter.literals:
        allowed = ", ".join(shown(literal) for literal in parameter.literals[:10])
        raise _unfit(name, value, f"one of {allowed} is wanted")
    return fitted


def _unfit(name: str, value: Value, why: str) -> ParameterError:
    return ParameterError(f"{shown(value)} does not fit: {why}", place=f"parameter {name}")


def _unknown(pipeline: Pipeline, name: str) -> ParameterError:
    declared = pipeline.root.input_parameters
    if name in pipeline.root.input_artifacts:
        return ParameterError(
            f"the pipeline's input {shown(name)} is an artifact, not a parameter",
            place=pipeline.name,
            remedy="over the API it is given in `input_artifacts`, on the command line with --artifact NAME=ID",
        )
    known = f"it has {', '.join(sorted(declared))}" if declared else "it has none"
    return ParameterError(
        f"the pipeline has no parameter {shown(name)}{nearest(name, declared)}", place=pipeline.name, remedy=known
    )


def check_artifacts(pipeline: Pipeline, given: Mapping[str, Sequence[Artifact]]) -> None:
    """Hold the artifacts that a run is given from outside to what the pipeline declares.

    Raises ParameterError for a name that does not exist, another type, several where one is wanted, and what is
    missing.
    """
    declared = pipeline.root.input_artifacts
    for name, artifacts in given.items():
        if name not in declared:
            known = f"it has {', '.join(sorted(declared))}" if declared else "it has none"
            raise ParameterError(
                f"the pipeline has no input artifact {shown(name)}{nearest(name, declared)}",
                place=pipeline.name,
                remedy=known,
            )
        wanted = declared[name]
        if len(artifacts) != 1 and not wanted.is_list:
            raise ParameterError(f"one artifact is wanted, not {len(artifacts)}", place=f"input artifact {name}")
        titles = {one.type.schema_title for one in artifacts} - {wanted.type.schema_title}
        if titles and wanted.type.schema_title not in _ANY_ARTIFACT:
            raise ParameterError(
                f"{', '.join(sorted(titles))} is given where {wanted.type.schema_title} is wanted",
                place=f"input artifact {name}",
            )
    for name, artifact in declared.items():
        if not artifact.optional and name not in given:
            raise _artifact(pipeline, name)


def _artifact(pipeline: Pipeline, name: str) -> ParameterError:
    return ParameterError(
        f"the pipeline's input {shown(name)} is an artifact, and the run is given none",
        place=pipeline.name,
        remedy="name a recorded one: over the API `input_artifacts`, on the command line --artifact NAME=ID; "
        "or make a pipeline around it that imports it (dsl.importer)",
    )
