"""`{{$…}}` in commands, environment, constants and metadata: taken apart once, resolved for each task.

One pass: a value that itself holds `{{$…}}` is put in as it is. Text stays text; every other value becomes JSON, as in
`kfp.local` (true, 3, 0.5, {"a": 1}). `.json_escape[N]` escapes a text N times for the inside of a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from cairn.domain.values import Value
from cairn.errors import SpecError

# What stands alone after `{{$.`, and the attribute of PlaceholderContext that it becomes.
_NAMES = {
    "pipeline_job_name": "job_name",
    "pipeline_job_uuid": "job_uuid",
    "pipeline_job_resource_name": "job_resource_name",
    "pipeline_job_create_time_utc": "create_time",
    "pipeline_job_schedule_time_utc": "schedule_time",
    "pipeline_task_name": "task_name",
    "pipeline_task_uuid": "task_uuid",
    "pipeline_root": "pipeline_root",
    "workspace_path": "workspace_path",
    # Of Vertex AI alone; what google-cloud-pipeline-components has as defaults.
    "pipeline_google_cloud_project_id": "project",
    "pipeline_google_cloud_location": "location",
    "pipeline_service_account": "nothing",
    "pipeline_network": "nothing",
    "pipeline_persistent_resource_id": "nothing",
    "pipeline_encryption_key_name": "nothing",
}
_LITERAL = "{{$.cairn_literal}}"  # stands for nothing, and keeps what is around it apart
_KEY = r"\[(?:''(.+?)''|'(.+?)'|\"(.+?)\")\]"
_WORD = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_INPUT_OUTPUT = re.compile(rf"\.(inputs|outputs)\.(parameters|artifacts){_KEY}(.*)$", re.DOTALL)
_ESCAPE = re.compile(r"(.*)\.json_escape\[([0-9])\]$", re.DOTALL)
_KEYS = re.compile(rf"(?:{_KEY})+$")
_ONE_KEY = re.compile(_KEY)


class Placeholder(msgspec.Struct, frozen=True):
    """One `{{$…}}`.

    `kind` is executor_input, output_file, inputs.parameters, inputs.artifacts, outputs.parameters, outputs.artifacts,
    or an attribute of PlaceholderContext; `name` is the input's or output's.
    """

    text: str
    kind: str
    name: str = ""
    field: str = ""  # of an artifact: uri | path | name | metadata; "" for all of it
    keys: tuple[str, ...] = ()  # into metadata
    escapes: int = 0


class Concat(msgspec.Struct, frozen=True):
    items: tuple[Node, ...]


class IfPresent(msgspec.Struct, frozen=True):
    name: str
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Part: TypeAlias = str | Placeholder
Node: TypeAlias = str | tuple[Part, ...] | Concat | IfPresent


class PlaceholderContext:
    """What placeholders stand for in one task.

    `executor_input` is the ExecutorInput as JSON: `inputs.parameterValues`, `inputs.artifacts.NAME.artifacts[]`,
    `outputs.parameters.NAME.outputFile`, `outputs.artifacts.NAME.artifacts[]`, `outputs.outputFile`.
    `path_of` gives the path that the step sees for a URI. Times are microseconds since the Unix epoch. `nothing` is
    what a run here has none of: a service account, a network.
    """

    __slots__ = (
        "_text",
        "create_time",
        "executor_input",
        "job_name",
        "job_resource_name",
        "job_uuid",
        "location",
        "nothing",
        "path_of",
        "pipeline_root",
        "project",
        "schedule_time",
        "task_name",
        "task_uuid",
        "workspace_path",
    )

    def __init__(
        self,
        executor_input: dict[str, Any],
        path_of: Callable[[str], str],
        *,
        job_name: str = "",
        job_uuid: str = "",
        job_resource_name: str = "",
        task_name: str = "",
        task_uuid: str = "",
        pipeline_root: str = "",
        create_time: int = 0,
        schedule_time: int = 0,
        workspace_path: str = "",
        project: str = "",
        location: str = "",
    ) -> None:
        self.executor_input = executor_input
        self.path_of = path_of
        self.job_name = job_name
        self.job_uuid = job_uuid
        self.job_resource_name = job_resource_name
        self.task_name = task_name
        self.task_uuid = task_uuid
        self.pipeline_root = pipeline_root
        self.create_time = create_time
        self.schedule_time = schedule_time
        self.workspace_path = workspace_path
        self.project = project
        self.location = location
        self.nothing = ""
        self._text = ""

    def text(self, text: str) -> str:
        """`text` with its placeholders resolved."""
        return resolve_text(text, self)

    def value_of(self, placeholder: Placeholder) -> Value:
        """What a placeholder stands for; None where an optional input was not given."""
        kind, name = placeholder.kind, placeholder.name
        inputs = self.executor_input.get("inputs") or {}
        outputs = self.executor_input.get("outputs") or {}
        if kind == "inputs.parameters":
            return (inputs.get("parameterValues") or {}).get(name)
        if kind == "inputs.artifacts":
            return self._artifact(inputs, placeholder)
        if kind == "outputs.artifacts":
            return self._artifact(outputs, placeholder)
        if kind == "outputs.parameters":
            return ((outputs.get("parameters") or {}).get(name) or {}).get("outputFile")
        if kind == "executor_input":
            self._text = self._text or json.dumps(self.executor_input)
            return self._text
        if kind == "output_file":
            return outputs.get("outputFile", "")
        value = getattr(self, kind)
        return _instant(value) if isinstance(value, int) else value

    def present(self, name: str) -> bool:
        """Whether an input was given: what IfPresent asks."""
        inputs = self.executor_input.get("inputs") or {}
        if (inputs.get("parameterValues") or {}).get(name) is not None:
            return True
        return bool(((inputs.get("artifacts") or {}).get(name) or {}).get("artifacts"))

    def _artifact(self, side: dict[str, Any], placeholder: Placeholder) -> Value:
        listed = (side.get("artifacts") or {}).get(placeholder.name)
        if listed is None:
            return None
        artifacts = listed.get("artifacts") or []
        if not placeholder.field:
            return artifacts  # kfp writes this for a list of artifacts, and reads it as one
        if not artifacts:
            return None
        artifact = artifacts[0]
        if placeholder.field == "path":
            return artifact.get("customPath") or self.path_of(artifact.get("uri", ""))
        value = artifact.get(placeholder.field, {} if placeholder.field == "metadata" else "")
        for key in placeholder.keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


class CommandTemplate:
    """A command taken apart. `uses` are all its placeholders; `conditions` the inputs that its IfPresent name."""

    __slots__ = ("_words", "conditions", "uses")

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(_parse_word(word) for word in words)
        self.uses: tuple[Placeholder, ...] = tuple(_placeholders(self._words))
        self.conditions: tuple[str, ...] = tuple(_conditions(self._words))

    def resolve(self, context: PlaceholderContext) -> tuple[str, ...]:
        """The command's words. An IfPresent whose branch is a list gives several words, one without a branch none."""
        words: list[str] = []
        for word in self._words:
            if type(word) is str:
                words.append(word)
            else:
                words.extend(_resolve_node(word, context))
        return tuple(words)


def compile_command(words: Sequence[str]) -> CommandTemplate:
    """Take command and arguments apart. Raises SpecError for a placeholder that does not exist.

    In a word of several lines, which is a program's source and not an argument, what is no placeholder stays text.
    """
    return CommandTemplate(words)


def literal(word: str) -> str:
    """A word that comes to `word` whatever it holds: also where that looks like a placeholder, Concat or IfPresent."""
    written = word.replace("{{$", f"{{{{{_LITERAL}$")
    return f"{_LITERAL}{written}" if _may_be_struct(word) else written


def parse_text(text: str) -> tuple[Part, ...]:
    """Text and placeholders in order. Raises SpecError for a placeholder that does not exist."""
    parts: list[Part] = []
    last = 0
    lenient = "\n" in text
    for match in _WORD.finditer(text):
        placeholder = _parse_placeholder(match.group(0), match.group(1))
        if placeholder is None:
            if lenient:
                continue
            raise SpecError(f"{match.group(0)[:80]} is no placeholder", remedy=_known())
        if match.start() > last:
            parts.append(text[last : match.start()])
        parts.append(placeholder)
        last = match.end()
    if last < len(text):
        parts.append(text[last:])
    return tuple(parts)


def resolve_text(text: str, context: PlaceholderContext) -> str:
    """`text` with every placeholder replaced; fast when it holds none."""
    if "{{$" not in text:
        return text
    return _joined(parse_text(text), context)


def resolve_value(value: Value, context: PlaceholderContext) -> Value:
    """A constant with its placeholders replaced, also inside lists, mappings and their keys.

    A constant that is one placeholder of a parameter and nothing else is that parameter's value, not its text.
    """
    if isinstance(value, str) and "{{$" in value:
        parts = parse_text(value)
        if len(parts) == 1 and isinstance(parts[0], Placeholder) and not parts[0].escapes:
            return context.value_of(parts[0])
        return _joined(parts, context)
    return _resolve_inside(value, context)


def _resolve_inside(value: Value, context: PlaceholderContext) -> Value:
    if isinstance(value, str):
        return resolve_text(value, context)
    if isinstance(value, list):
        return [_resolve_inside(item, context) for item in value]
    if isinstance(value, dict):
        return {resolve_text(key, context): _resolve_inside(item, context) for key, item in value.items()}
    return value


def value_text(value: Value) -> str:
    """A value as a command sees it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def placeholders_in(value: Value) -> Iterator[Placeholder]:
    """Every placeholder in a constant. Raises SpecError for one that does not exist."""
    if isinstance(value, str):
        if "{{$" in value:
            yield from (part for part in parse_text(value) if isinstance(part, Placeholder))
    elif isinstance(value, list):
        for item in value:
            yield from placeholders_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from placeholders_in(key)
            yield from placeholders_in(item)


def _known() -> str:
    inputs = "{{$.inputs.parameters['NAME']}}, {{$.inputs.artifacts['NAME'].uri}} (.path, .metadata, .name)"
    outputs = (
        "{{$.outputs.parameters['NAME'].output_file}}, {{$.outputs.artifacts['NAME'].uri}}, {{$.outputs.output_file}}"
    )
    return f"placeholders are {{{{$}}}}, {inputs}, {outputs}, " + ", ".join(f"{{{{$.{name}}}}}" for name in _NAMES)


def _parse_placeholder(text: str, inside: str) -> Placeholder | None:
    escapes = 0
    found = _ESCAPE.match(inside)
    if found:
        inside, escapes = found.group(1), int(found.group(2))
    if inside == "":
        return Placeholder(text, "executor_input", escapes=escapes)
    if inside in (".outputs.output_file", ".outputMetadataUri"):
        return Placeholder(text, "output_file", escapes=escapes)
    if text == _LITERAL:
        return Placeholder(text, "nothing")
    if inside[1:] in _NAMES and inside[0] == ".":
        return Placeholder(text, _NAMES[inside[1:]], escapes=escapes)
    match = _INPUT_OUTPUT.match(inside)
    if match is None:
        return None
    side, what, *names, rest = match.groups()
    name = names[0] or names[1] or names[2]
    kind = f"{side}.{what}"
    if what == "parameters":
        right = "" if side == "inputs" else ".output_file"
        return Placeholder(text, kind, name, escapes=escapes) if rest == right else None
    field, keys = _artifact_field(rest)
    return None if field is None else Placeholder(text, kind, name, field, keys, escapes)


def _artifact_field(rest: str) -> tuple[str | None, tuple[str, ...]]:
    if rest in ("", ".uri", ".path", ".name", ".metadata"):
        return rest[1:], ()
    if rest.startswith(".metadata[") and _KEYS.match(rest[len(".metadata") :]):
        return "metadata", tuple(a or b or c for a, b, c in _ONE_KEY.findall(rest))
    return None, ()


def _may_be_struct(word: str) -> bool:
    return word.startswith("{") and ('"Concat"' in word or '"IfPresent"' in word)


def _parse_word(word: str) -> Node:
    if _may_be_struct(word):
        try:
            value = json.loads(word)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Concat", "IfPresent"):
            return _parse_struct(value)
    return word if "{{$" not in word else parse_text(word)


def _parse_struct(value: Any) -> Node:
    if isinstance(value, str):
        return value if "{{$" not in value else parse_text(value)
    if isinstance(value, dict) and len(value) == 1:
        kind, inner = next(iter(value.items()))
        if kind == "Concat" and isinstance(inner, list):
            return Concat(tuple(_parse_struct(item) for item in inner))
        if kind == "IfPresent" and isinstance(inner, dict):
            return _parse_if_present(inner)
    raise SpecError(f"{json.dumps(value)[:80]} is neither text, nor Concat, nor IfPresent")


def _parse_if_present(inner: dict[str, Any]) -> IfPresent:
    unknown = set(inner) - {"InputName", "Then", "Else"}
    if unknown or not isinstance(inner.get("InputName"), str) or inner.get("Then") is None:
        raise SpecError("an IfPresent has InputName (text), Then, and perhaps Else")
    return IfPresent(inner["InputName"], _branch(inner["Then"]), _branch(inner.get("Else")))


def _branch(value: Any) -> tuple[Node, ...]:
    if value is None:
        return ()
    return tuple(_parse_struct(item) for item in value) if isinstance(value, list) else (_parse_struct(value),)


def _resolve_node(node: Node, context: PlaceholderContext) -> list[str]:
    match node:
        case str():
            return [node]
        case tuple():
            return [_joined(node, context)]
        case Concat(items):
            return ["".join(word for item in items for word in _resolve_node(item, context))]
        case IfPresent(name, then, otherwise):
            branch = then if context.present(name) else otherwise
            return [word for item in branch for word in _resolve_node(item, context)]


def _joined(parts: tuple[Part, ...], context: PlaceholderContext) -> str:
    return "".join(part if isinstance(part, str) else _placeholder_text(part, context) for part in parts)


def _placeholder_text(placeholder: Placeholder, context: PlaceholderContext) -> str:
    text = value_text(context.value_of(placeholder))
    for _ in range(placeholder.escapes):
        text = json.dumps(text)[1:-1]
    return text


def _placeholders(nodes: Iterable[Node]) -> Iterator[Placeholder]:
    for node in nodes:
        if isinstance(node, tuple):
            yield from (part for part in node if isinstance(part, Placeholder))
        elif isinstance(node, Concat):
            yield from _placeholders(node.items)
        elif isinstance(node, IfPresent):
            yield from _placeholders(node.then)
            yield from _placeholders(node.otherwise)


def _conditions(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Concat):
            yield from _conditions(node.items)
        elif isinstance(node, IfPresent):
            yield node.name
            yield from _conditions(node.then)
            yield from _conditions(node.otherwise)


def _instant(microseconds: int) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds // 1_000_000))
