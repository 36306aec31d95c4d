"""What a pipeline's native steps are going to be told, as far as it is known before the pipeline runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cairn.domain.values import Value
from cairn.spec.native_steps import options
from cairn.spec.placeholders import Placeholder, parse_text, value_text
from cairn.spec.types import ComponentInput, ComponentSpec, Constant, NativeSpec, ParameterBinding, Pipeline, TaskSpec

MAX_CALLS = 2000  # of nested pipelines, which may be used again and again
_OPEN = "\ue000"  # what is not known yet, in a text: characters of no meaning to anybody
_TEXT_OR_OPEN = re.compile(rf'"(?:[^"\\]|\\.)*"|({_OPEN})', re.DOTALL)


class KnownCall(msgspec.Struct, frozen=True):
    """`path` is the task's, without the numbers of iterations."""

    path: str
    native: NativeSpec
    message: dict[str, Any] | None  # the payload, where what is not known yet `is_open`; None where it cannot be read
    problem: str = ""  # why it never will


def known_calls(pipeline: Pipeline, parameters: Mapping[str, Value]) -> Iterator[KnownCall]:
    """Of every task that runs a native step; `parameters`: the run's."""
    waiting: list[tuple[str, ComponentSpec, Mapping[str, Value]]] = [("", pipeline.root, parameters)]
    left = MAX_CALLS
    for prefix, component, values in waiting:
        for task in component.dag.tasks.values() if component.dag else ():
            inner = pipeline.components[task.component]
            if inner.dag is None and not isinstance(inner.executor, NativeSpec):
                continue
            left -= 1
            if left < 0:
                return
            known = _known_inputs(task, inner, values)
            if isinstance(inner.executor, NativeSpec):
                yield _call(prefix + task.name, inner.executor, known)
            else:
                waiting.append((f"{prefix}{task.name}/", inner, known))


def is_open(value: Any) -> bool:
    """Whether a value of a known message, or part of it, is known only later."""
    if isinstance(value, str):
        return _OPEN in value
    if isinstance(value, dict):
        return any(map(is_open, value.values()))
    return any(map(is_open, value)) if isinstance(value, list) else False


def settled(value: Any) -> Any:
    """A message without what is known only later: fields are left out, items of lists are some text."""
    if isinstance(value, dict):
        return {
            name: settled(inner) for name, inner in value.items() if not (isinstance(inner, str) and is_open(inner))
        }
    if isinstance(value, list):
        return ["known-later" if isinstance(item, str) and is_open(item) else settled(item) for item in value]
    return value


def _known_inputs(task: TaskSpec, component: ComponentSpec, values: Mapping[str, Value]) -> dict[str, Value]:
    known: dict[str, Value] = {}
    iterated = task.iterator.item_input if task.iterator is not None else ""
    for name, declared in component.input_parameters.items():
        if declared.has_default:
            known[name] = declared.default
        elif declared.optional:
            known[name] = None
    for name, binding in task.parameters.items():  # also of what is not declared: the words may name it
        found = _known(binding, values)
        known.pop(name, None)
        if found is not _LATER:
            known[name] = found
    known.pop(iterated, None)
    # A constant may name other inputs of the same task.
    return {name: _filled(value, known) for name, value in known.items()}


_LATER = object()


def _known(binding: ParameterBinding, values: Mapping[str, Value]) -> Any:
    if isinstance(binding, Constant) and not binding.selector:
        return binding.value
    if isinstance(binding, ComponentInput) and not binding.selector:
        return values.get(binding.name, _LATER)
    return _LATER


def _filled(value: Value, known: Mapping[str, Value]) -> Value:
    if isinstance(value, str):
        return _text(value, known) if "{{$" in value else value
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return {key: _filled(item, known) for key, item in value.items()} if isinstance(value, dict) else value


def _call(path: str, native: NativeSpec, known: Mapping[str, Value]) -> KnownCall:
    text = _word(options(native.arguments).get("--payload", ""), known)

    def quoted(match: re.Match[str]) -> str:
        return f'"{_OPEN}"' if match[1] else match[0]

    problem = "the launcher's --payload is no JSON object"
    try:
        found = json.loads(_TEXT_OR_OPEN.sub(quoted, text), strict=False)
    except ValueError as error:
        found, problem = None, f"the launcher's --payload is no JSON: {error}"
    if isinstance(found, dict):
        return KnownCall(path, native, found)
    return KnownCall(path, native, None, "" if _OPEN in text else problem)


def _word(word: str, known: Mapping[str, Value]) -> str:
    if word.startswith("{") and ('"Concat"' in word or '"IfPresent"' in word):
        try:
            parsed = json.loads(word)
        except ValueError:
            return word
        if isinstance(parsed, dict) and len(parsed) == 1:
            return _struct(parsed, known)
    return _text(word, known)


def _struct(value: Any, known: Mapping[str, Value]) -> str:
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, list):
        return "".join(_struct(item, known) for item in value)
    if not isinstance(value, dict):
        return ""
    if "Concat" in value:
        return _struct(value["Concat"], known)
    inner = value.get("IfPresent") or {}
    name = str(inner.get("InputName"))
    if name not in known:
        return _OPEN
    return _struct(inner.get("Then" if known[name] is not None else "Else") or "", known)


def _text(text: str, known: Mapping[str, Value]) -> str:
    if "{{$" not in text:
        return text
    return "".join(part if isinstance(part, str) else _placeholder(part, known) for part in parse_text(text))


def _placeholder(placeholder: Placeholder, known: Mapping[str, Value]) -> str:
    if placeholder.kind == "nothing":
        return ""
    if placeholder.kind != "inputs.parameters" or placeholder.name not in known:
        return _OPEN
    text = value_text(known[placeholder.name])
    for _ in range(placeholder.escapes):
        text = json.dumps(text, ensure_ascii=False)[1:-1]
    return text
