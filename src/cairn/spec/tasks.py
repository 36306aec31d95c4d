"""Tasks and DAGs: from checked messages to `types`. References between them are checked by `checks`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cairn.domain.values import Value
from cairn.spec.definitions import constant_of
from cairn.spec.reader import Bad, check_name, shown
from cairn.spec.types import (
    ArtifactBinding,
    ArtifactIterator,
    ComponentInput,
    Constant,
    DagSpec,
    FinalStatus,
    ParameterBinding,
    ParameterIterator,
    RetryPolicy,
    Selector,
    TaskOutput,
    TaskSpec,
    TriggerStrategy,
)


def dag(spec: dict[str, Any]) -> DagSpec:
    tasks: dict[str, TaskSpec] = {}
    for name, task_spec in spec.get("tasks", {}).items():
        try:
            tasks[name] = task(name, task_spec)
        except Bad as bad:
            raise bad.at("tasks", name) from None
    if not tasks:
        raise Bad("has no tasks; a pipeline needs one at least", "tasks")
    outputs = spec.get("outputs", {})
    return DagSpec(
        tasks=tasks,
        parameter_outputs={
            name: _parameter_selectors(name, output) for name, output in outputs.get("parameters", {}).items()
        },
        artifact_outputs={
            name: _artifact_selectors(name, output) for name, output in outputs.get("artifacts", {}).items()
        },
    )


def task(name: str, spec: dict[str, Any]) -> TaskSpec:
    inputs = spec.get("inputs", {})
    parameters = {key: _at(key, "parameters", given) for key, given in inputs.get("parameters", {}).items()}
    artifacts = {key: _artifact(key, given) for key, given in inputs.get("artifacts", {}).items()}
    trigger = spec.get("triggerPolicy", {})
    caching = spec.get("cachingOptions", {})
    parallelism = spec.get("iteratorPolicy", {}).get("parallelismLimit", 0)
    if parallelism < 0:
        raise Bad(f"{parallelism} is negative; 0 is no limit", "iteratorPolicy", "parallelismLimit")
    component = spec.get("componentRef", {}).get("name", "")
    if not component:
        raise Bad("names no component", "componentRef", "name")
    return TaskSpec(
        name=name,
        display_name=spec.get("taskInfo", {}).get("name") or name,
        component=component,
        parameters=parameters,
        artifacts=artifacts,
        upstream=upstream(spec.get("dependentTasks", ()), parameters, artifacts),
        condition=trigger.get("condition", ""),
        strategy=_strategy(trigger.get("strategy", "")),
        iterator=_iterator(spec),
        parallelism=parallelism,
        retry=_retry(spec["retryPolicy"]) if "retryPolicy" in spec else None,
        cache=caching.get("enableCache", False),
        cache_key=caching.get("cacheKey", ""),
    )


def upstream(
    named: Iterable[str],
    parameters: dict[str, ParameterBinding],
    artifacts: dict[str, ArtifactBinding],
    more: Iterable[ParameterBinding] = (),
) -> tuple[str, ...]:
    """The tasks named, and the producers of the inputs, each once."""
    producers = [
        binding.producer
        for binding in (*parameters.values(), *artifacts.values(), *more)
        if isinstance(binding, (TaskOutput, FinalStatus))
    ]
    return tuple(dict.fromkeys((*named, *producers)))


def parameter_binding(spec: dict[str, Any]) -> ParameterBinding:
    """An InputParameterSpec. Raises Bad when it says not where the value comes from."""
    selector = spec.get("parameterExpressionSelector", "")
    if "taskOutputParameter" in spec:
        source = spec["taskOutputParameter"]
        return TaskOutput(
            _named(source, "taskOutputParameter", "producerTask"),
            _named(source, "taskOutputParameter", "outputParameterKey"),
            selector,
        )
    if "componentInputParameter" in spec:
        return ComponentInput(_named(spec, "componentInputParameter"), selector)
    if "taskFinalStatus" in spec:
        return FinalStatus(_named(spec["taskFinalStatus"], "taskFinalStatus", "producerTask"), selector)
    if "runtimeValue" in spec:
        value = spec["runtimeValue"]
        if "runtimeParameter" in value:
            return ComponentInput(_named(value, "runtimeValue", "runtimeParameter"), selector)
        if not value:
            raise Bad("has no constant", "runtimeValue")
        return Constant(constant_of(value), selector)
    raise Bad(
        "does not say where its value comes from; taskOutputParameter, componentInputParameter, runtimeValue or "
        "taskFinalStatus are right"
    )


def _at(key: str, kind: str, spec: dict[str, Any]) -> ParameterBinding:
    try:
        return parameter_binding(spec)
    except Bad as bad:
        raise bad.at("inputs", kind, key) from None


def _artifact(key: str, spec: dict[str, Any]) -> ArtifactBinding:
    try:
        if "taskOutputArtifact" in spec:
            source = spec["taskOutputArtifact"]
            return TaskOutput(
                _named(source, "taskOutputArtifact", "producerTask"),
                _named(source, "taskOutputArtifact", "outputArtifactKey"),
            )
        if "componentInputArtifact" in spec:
            return ComponentInput(_named(spec, "componentInputArtifact"))
        raise Bad(
            "does not say where it comes from; taskOutputArtifact or componentInputArtifact are right",
        )
    except Bad as bad:
        raise bad.at("inputs", "artifacts", key) from None


def _named(spec: dict[str, Any], *path: str) -> str:
    name: str = spec.get(path[-1], "")
    if not name:
        raise Bad("is empty; a name is wanted", *path)
    return name


def _strategy(name: str) -> TriggerStrategy:
    if name in ("", "TRIGGER_STRATEGY_UNSPECIFIED"):
        return TriggerStrategy.ALL_SUCCEEDED
    return TriggerStrategy(name)


def _retry(spec: dict[str, Any]) -> RetryPolicy:
    count = spec.get("maxRetryCount", 0)
    if count < 0:
        raise Bad(f"{count} is negative; 0 is no retry", "retryPolicy", "maxRetryCount")
    factor = spec.get("backoffFactor", 0.0) or 2.0
    if factor < 0:
        raise Bad(f"{factor} is negative", "retryPolicy", "backoffFactor")
    return RetryPolicy(
        max_retries=count,
        backoff_seconds=spec.get("backoffDuration", 0.0),
        factor=factor,
        max_seconds=spec.get("backoffMaxDuration", 0.0) or 3600.0,
    )


def _iterator(spec: dict[str, Any]) -> ParameterIterator | ArtifactIterator | None:
    kind = next((kind for kind in ("parameterIterator", "artifactIterator") if kind in spec), "")
    if not kind:
        return None
    iterator = spec[kind]
    item_input, items = iterator.get("itemInput", ""), iterator.get("items", {})
    if not item_input:
        raise Bad("names no input for the item", kind, "itemInput")
    check_item(item_input, kind)
    if kind == "artifactIterator":
        if not items.get("inputArtifact"):
            raise Bad("does not say what to iterate over; inputArtifact is right", kind, "items")
        return ArtifactIterator(item_input, items["inputArtifact"])
    if "raw" in items:
        return ParameterIterator(item_input, raw=tuple(_raw(items["raw"])))
    if not items.get("inputParameter"):
        raise Bad("does not say what to iterate over; raw or inputParameter are right", kind, "items")
    return ParameterIterator(item_input, input_name=items["inputParameter"])


def check_item(name: str, kind: str) -> None:
    try:
        check_name(name, "loop item")
    except Bad as bad:
        raise bad.at(kind, "itemInput") from None


def _raw(text: str) -> list[Value]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Bad(f"{shown(text)} is not JSON: {error}", "parameterIterator", "items", "raw") from None
    if not isinstance(value, list):
        raise Bad(f"{shown(value)} is given where a list in JSON is wanted", "parameterIterator", "items", "raw")
    return value


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is no number in JSON")


def _parameter_selectors(name: str, spec: dict[str, Any]) -> tuple[Selector, ...]:
    place = ("outputs", "parameters", name)
    if "valueFromParameter" in spec:
        found = [spec["valueFromParameter"]]
    else:
        found = spec.get("valueFromOneof", {}).get("parameterSelectors", [])
    if not found:
        raise Bad("is not taken from any task; valueFromParameter or valueFromOneof are right", *place)
    return tuple(_selector(one, "outputParameterKey", place) for one in found)


def _artifact_selectors(name: str, spec: dict[str, Any]) -> tuple[Selector, ...]:
    place = ("outputs", "artifacts", name)
    found = spec.get("artifactSelectors", [])
    if not found:
        raise Bad("is not taken from any task; artifactSelectors are right", *place)
    return tuple(_selector(one, "outputArtifactKey", place) for one in found)


def _selector(spec: dict[str, Any], key: str, place: tuple[str, ...]) -> Selector:
    producer, output = spec.get("producerSubtask", ""), spec.get(key, "")
    if not producer or not output:
        raise Bad(f"wants producerSubtask and {key}", *place)
    return Selector(producer, output)
