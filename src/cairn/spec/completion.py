"""What a task's own part of the document does not say: the types of its constants, and waiting for platform values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cairn.domain.values import ParameterType, Value
from cairn.errors import SpecError
from cairn.spec.coercion import NUMBERS, coerce
from cairn.spec.conditions import selector_steps
from cairn.spec.definitions import constant
from cairn.spec.kfp_conditions import requoted
from cairn.spec.platform import sources
from cairn.spec.reader import Bad
from cairn.spec.tasks import upstream
from cairn.spec.types import ComponentSpec, Constant, DagSpec, ParameterBinding, ParameterIterator, TaskSpec


def complete(dag: DagSpec, components: Mapping[str, ComponentSpec], *, by_kfp: bool) -> DagSpec:
    """`dag` with constants held to their types. A component that does not exist is left to `checks`. Raises Bad.

    `by_kfp`: kfp.dsl compiled it, whose conditions are not always CEL.
    """
    tasks: dict[str, TaskSpec] = {}
    for name, task in dag.tasks.items():
        component = components.get(task.component)
        try:
            tasks[name] = task if component is None else _task(task, component, by_kfp)
        except Bad as bad:
            raise bad.at("tasks", name) from None
    return msgspec.structs.replace(dag, tasks=tasks)


def _task(task: TaskSpec, component: ComponentSpec, by_kfp: bool) -> TaskSpec:
    parameters = {name: _binding(name, binding, component) for name, binding in task.parameters.items()}
    iterator = task.iterator
    if isinstance(iterator, ParameterIterator) and iterator.raw is not None:
        declared = component.input_parameters.get(iterator.item_input)
        if declared is not None:
            iterator = msgspec.structs.replace(iterator, raw=_items(iterator.raw, declared.type))
    return msgspec.structs.replace(
        task,
        parameters=parameters,
        iterator=iterator,
        condition=requoted(task.condition) if by_kfp and task.condition else task.condition,
        upstream=upstream(task.upstream, {}, {}, sources(component.platform)),
    )


def _items(items: tuple[Value, ...], type_: ParameterType) -> tuple[Value, ...]:
    """Items as numbers of their type, which is what the compiler guessed and never a reason to refuse."""
    return tuple(_number(item, type_) for item in items) if type_ in NUMBERS else items


def _number(item: Value, type_: ParameterType) -> Value:
    try:
        return coerce(item, type_)
    except ValueError:
        return item


def _binding(name: str, binding: ParameterBinding, component: ComponentSpec) -> ParameterBinding:
    place = ("inputs", "parameters", name)
    if binding.selector:
        try:
            selector_steps(binding.selector)
        except SpecError as error:
            raise Bad(error.message, *place, "parameterExpressionSelector", remedy=error.remedy) from None
    declared = component.input_parameters.get(name)
    if not isinstance(binding, Constant) or declared is None or binding.selector:
        return binding
    if binding.value is None:
        if declared.optional:
            return binding
        raise Bad(f"null is given where component {component.name} needs a value", *place, "runtimeValue", "constant")
    value = constant(binding.value, declared.type, *place, "runtimeValue", "constant")
    if declared.literals and value not in declared.literals and not (isinstance(value, str) and "{{$" in value):
        raise Bad(f"{value!r} is none of the literals that component {component.name} allows", *place)
    return Constant(value)
