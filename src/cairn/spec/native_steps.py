"""Steps that launch something on Vertex AI: the components of google-cloud-pipeline-components, 1.x and 2.x.

They compile to a container that runs `python3 -u -m google_cloud_pipeline_components.container.….launcher --type T
--payload JSON …`. Cairn's own services do what it asks for, so such a step becomes a NativeSpec: the launcher's words,
or the reason why it is refused (`native_services`).

A constant of the task, or a default of its component, may hold placeholders for the task's own inputs and outputs, as
`create_custom_training_job_from_component` writes them into `worker_pool_specs`. Vertex AI resolves them where they end
up: in the payload. So such a value is written into the launcher's words, and is no input any more.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from cairn.domain.values import Value
from cairn.errors import SpecError
from cairn.spec.coercion import with_integers
from cairn.spec.custom_jobs import StepJob, step_job
from cairn.spec.definitions import container
from cairn.spec.native_services import OWN_COMMAND, refusal_of
from cairn.spec.placeholders import compile_command
from cairn.spec.reader import Bad
from cairn.spec.tasks import parameter_binding
from cairn.spec.types import Constant, NativeSpec

PACKAGE = "google_cloud_pipeline_components.container."
_PLAIN = ("experimental.sklearn.",)  # steps as any other
_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']+)'|\"([^\"]+)\")\]\}\}")
_PLACEHOLDER = re.compile(r"\{\{\$([^{}]*)\}\}")
_QUOTED_KEY = re.compile(r"\[\"([^\"']*)\"\]")
_JOB_TYPES = ("CustomJob",)  # whose worker pools a step's configuration changes


class NativeReading(msgspec.Struct):
    """By component: what its executor is."""

    steps: dict[str, NativeSpec] = {}
    jobs: dict[str, StepJob] = {}
    warnings: list[str] = []


def is_launcher(spec: Mapping[str, Any]) -> bool:
    """Whether a container launches a CustomJob."""
    words = _words(spec)
    return bool(module_of(words)) and options(words).get("--type") in _JOB_TYPES


def module_of(words: list[str]) -> str:
    """The launcher's module, without the package; "" where it is none of Google's pipeline components, or one that does
    its work itself."""
    for flag, word in pairwise(words):
        if flag == "-m":
            module = word.removeprefix(PACKAGE)
            return "" if module == word or module.startswith(_PLAIN) else module
    return ""


def options(words: list[str] | tuple[str, ...]) -> dict[str, str]:
    """The launcher's options, as argparse reads them: `--name value` and `--name=value`."""
    found: dict[str, str] = {}
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        position += 1
        if not name.startswith("--"):
            continue
        if not equals and position < len(words):
            value = words[position]
            position += 1
        found[name] = value
    return found


def read_native(spec: dict[str, Any]) -> NativeReading:
    """`spec` is changed in place: an input that was written into the launcher's words is no input any more, and tasks
    of one component for which these words differ get components of their own. Raises Bad."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    found = NativeReading()
    launchers: dict[str, _Launcher] = {}
    for name, component in spec.get("components", {}).items():
        label = component.get("executorLabel", "")
        executor = executors.get(label, {})
        try:
            if "customJob" in executor:
                found.jobs[name] = _of_executor(executor["customJob"], name)
            elif _words(executor.get("container", {}))[:1] == [OWN_COMMAND]:
                found.steps[name] = _own(executor["container"])
            elif module_of(_words(executor.get("container", {}))):
                launchers[name] = _Launcher(name, component, executor["container"])
        except Bad as bad:
            raise bad.at("deploymentSpec", "executors", label) from None
    used: set[str] = set()
    for place, task in list(_tasks(spec)) if launchers else ():
        launcher = launchers.get(task.get("componentRef", {}).get("name", ""))
        if launcher is not None:
            used.add(launcher.name)
            try:
                launcher.take(task, spec["components"], found.steps)
            except Bad as bad:
                raise bad.at(*place) from None
    for name, launcher in launchers.items():
        if name not in used:
            found.steps[name] = launcher.native
        found.warnings += launcher.warnings
    return found


def _own(spec: Mapping[str, Any]) -> NativeSpec:
    words = tuple(_words(spec)[1:])
    return NativeSpec(type=options(words).get("--type", ""), arguments=words, container=container(dict(spec)))


def _of_executor(spec: Mapping[str, Any], component: str) -> StepJob:
    try:
        return step_job(spec.get("customJob", {}), component=component)
    except Bad as bad:
        raise bad.at("customJob", "customJob") from None


def _words(spec: Mapping[str, Any]) -> list[str]:
    return [*(spec.get("command") or ()), *(spec.get("args") or ())]


def _tasks(spec: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    named: list[tuple[tuple[str, ...], dict[str, Any]]] = [(("root",), spec.get("root", {}))]
    named += [(("components", name), component) for name, component in spec.get("components", {}).items()]
    for place, component in named:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield (*place, "dag", "tasks", name), task


class _Launcher:
    """A component that launches something, and the tasks that use it."""

    def __init__(self, name: str, component: dict[str, Any], spec: dict[str, Any]) -> None:
        self.name = name
        self.component = copy.deepcopy(component)
        self.own = container(spec)
        words = [*self.own.command, *self.own.args]
        module = module_of(words)
        self.words = tuple(words[words.index(PACKAGE + module) + 1 :])
        self.type = options(self.words).get("--type", "")
        self.refusal, self.remedy = refusal_of(self.type, module, self.words)
        self.inputs = [one or other for word in self.words for one, other in _INPUT.findall(word)]
        self.warnings = tuple(self._without_effect())
        self.native = self._native({})
        self.named: dict[bytes, str] = {}  # what tasks came to, and the component for it

    def _native(self, inlined: Mapping[str, str]) -> NativeSpec:
        words = tuple(_with(word, inlined) for word in self.words)
        try:
            compile_command(words)
        except SpecError as error:
            raise Bad(error.message, "container", "args", remedy=error.remedy) from None
        return NativeSpec(
            type=self.type or module_of([*self.own.command, *self.own.args]),
            arguments=words,
            container=msgspec.structs.replace(self.own, args=words) if inlined else self.own,
            refusal=self.refusal,
            remedy=self.remedy,
        )

    def _without_effect(self) -> Iterator[str]:
        resources = self.own.resources
        if any(msgspec.structs.astuple(resources)) and not self.refusal:
            yield (
                f"{self.name}: cpu, memory and accelerators of the step itself have no effect: "
                "what it starts says its own"
            )

    def take(self, task: dict[str, Any], components: dict[str, Any], steps: dict[str, NativeSpec]) -> None:
        given = task.get("inputs", {}).get("parameters", {})
        inlined: dict[str, str] = {}
        for name in self.inputs:
            value = self._constant(name, given)
            if _holds_placeholder(value):
                inlined[name] = json.dumps(_escaped(value))
        key = msgspec.json.encode(inlined, order="deterministic")
        name = self.named.get(key, "")
        if not name:
            name = self.named[key] = _free(self.name, len(self.named), components) if self.named else self.name
            steps[name] = self._native(inlined)
            component = copy.deepcopy(self.component)
            for parameter in inlined:
                component.get("inputDefinitions", {}).get("parameters", {}).pop(parameter, None)
            components[name] = component
        task["componentRef"] = {"name": name}
        for parameter in inlined:
            given.pop(parameter, None)

    def _constant(self, name: str, given: Mapping[str, Any]) -> Value:
        """A list or a mapping that the document says, also as JSON text; None for what is known only when it runs."""
        if name in given:
            try:
                binding = parameter_binding(given[name])
            except Bad as bad:
                raise bad.at("inputs", "parameters", name) from None
            value = binding.value if isinstance(binding, Constant) and not binding.selector else None
        else:
            declared = self.component.get("inputDefinitions", {}).get("parameters", {}).get(name, {})
            value = declared.get("defaultValue")
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") and not value.lstrip().startswith("{{"):
            try:
                value = json.loads(value, strict=False)
            except ValueError:
                return None
        return with_integers(value) if isinstance(value, (list, dict)) else None


def _with(word: str, inlined: Mapping[str, str]) -> str:
    """A word with inputs replaced by texts; inside the JSON of a Concat they are texts of that JSON."""
    if not inlined or "{{$" not in word:
        return word
    if word.startswith("{") and ('"Concat"' in word or '"IfPresent"' in word):
        try:
            return json.dumps(_with_inside(json.loads(word), inlined))
        except ValueError:
            pass
    return _INPUT.sub(lambda match: inlined.get(match[1] or match[2], match[0]), word)


def _with_inside(value: Any, inlined: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _INPUT.sub(lambda match: inlined.get(match[1] or match[2], match[0]), value)
    if isinstance(value, list):
        return [_with_inside(item, inlined) for item in value]
    return {key: _with_inside(item, inlined) for key, item in value.items()} if isinstance(value, dict) else value


def _holds_placeholder(value: Any) -> bool:
    if isinstance(value, str):
        return "{{$" in value
    if isinstance(value, dict):
        return any(map(_holds_placeholder, value)) or any(map(_holds_placeholder, value.values()))
    return any(map(_holds_placeholder, value)) if isinstance(value, list) else False


def _escaped(value: Any) -> Any:
    """With placeholders spelt so that they stay whole inside a JSON text, and what they stand for too."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(_escape, value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return {_escaped(key): _escaped(item) for key, item in value.items()} if isinstance(value, dict) else value


def _escape(match: re.Match[str]) -> str:
    inside = _QUOTED_KEY.sub(r"['\1']", match[1])
    return f"{{{{${inside}}}}}" if ".json_escape[" in inside else f"{{{{${inside}.json_escape[1]}}}}"


def _free(name: str, number: int, components: Mapping[str, Any]) -> str:
    while f"{name}-job-{number + 1}" in components:
        number += 1
    return f"{name}-job-{number + 1}"
