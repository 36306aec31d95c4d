"""What a configuration says of steps, written into a pipeline's document: that is what is run, recorded, submitted.

A document shares components between tasks, and executors between components. Where only some of their users are
configured, or differently, those get a copy of their own; what nobody configured stays as it was, name and all.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from cairn.domain.configuration import StepConfiguration
from cairn.errors import ConfigurationError
from cairn.spec.documents import canonical
from cairn.spec.launched_steps import (
    check_launched,
    pools_are_the_tasks,
    write_launched_component,
    write_launched_task,
)
from cairn.spec.load import MAX_TASKS, load_text
from cairn.spec.native_steps import is_launcher
from cairn.spec.reader import nearest, shown
from cairn.spec.spelling import member, value_of
from cairn.spec.step_writing import check_step, said_of, write_executor, write_task
from cairn.spec.types import Pipeline

NODE = "cairn.steps"
_PATTERN = re.compile(r"[*?[]")
# Tasks that the compiler makes of `with` blocks: nobody has to name them.
_BLOCK = re.compile(r"(for-loop|condition|condition-branches|exit-handler)-[0-9]+$")
_OF_TASKS = ("caching", "retries", "backoff_seconds")  # the rest is the executor's, or its component's
_OF_LAUNCHING_TASKS = (*_OF_TASKS, "timeout_seconds")
_NOTHING = StepConfiguration()


def with_steps(pipeline: Pipeline, steps: Mapping[str, StepConfiguration]) -> Pipeline:
    """The pipeline whose document says what `steps` say.

    Keys are tasks' paths (`train`, `inner/train`) or patterns over them (`*`, `inner/*`); of several that match the
    later wins, field by field. Loops, conditions and exit handlers are left out of a path or written, `_` is as good as
    `-`. Raises ConfigurationError, whose place is the key of the configuration, for what matches no step (with the
    nearest path) or cannot be; SpecError for what makes no pipeline.
    """
    if not any(step != _NOTHING for step in steps.values()):
        _Steps(json.loads(pipeline.text), steps)
        return pipeline
    origin = f"{pipeline.name} with cairn.steps"
    return load_text(canonical(configured_document(json.loads(pipeline.text), steps), origin=origin), origin=origin)


def configured_document(document: Mapping[str, Any], steps: Mapping[str, StepConfiguration]) -> dict[str, Any]:
    """A new document; `document` is one that `load_text` reads without error."""
    return _Steps(copy.deepcopy(dict(document)), steps).written()


class _Leaf(msgspec.Struct, frozen=True):
    """A task that is no pipeline, as it is reached from the root."""

    path: str
    short: str  # without loops, conditions and exit handlers
    component: str
    task: dict[str, Any]


class _Kinds:
    """The ways in which one shared thing is wanted, in the order of the tasks. "" is: as it is."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, None]] = {}

    def add(self, name: str, kind: str) -> None:
        self.of.setdefault(name, {})[kind] = None

    def named(self, taken: Mapping[str, Any]) -> dict[tuple[str, str], str]:
        """A name for each: its own where nothing, or nobody else, wants another; else NAME-2, NAME-3, …"""
        names: dict[tuple[str, str], str] = {}
        used = set(taken)
        for name, kinds in self.of.items():
            keeps = "" if "" in kinds else next(iter(kinds))
            for kind in kinds:
                number, own = 2, name
                while kind != keeps and own in used:
                    own, number = f"{name}-{number}", number + 1
                used.add(own)
                names[name, kind] = own
        return names


class _Steps:
    def __init__(self, document: dict[str, Any], steps: Mapping[str, StepConfiguration]) -> None:
        self.document = document
        envelope = any(key in document for key in ("pipelineSpec", "pipeline_spec"))
        self.enveloped = envelope
        self.spec: dict[str, Any] = member(document, "pipelineSpec") if envelope else document
        self.components: dict[str, Any] = value_of(self.spec, "components", {})
        self.executors: dict[str, Any] = value_of(value_of(self.spec, "deploymentSpec", {}), "executors", {})
        self.wanted = self._matched(steps)
        self.kinds = _Kinds()
        self.numbers: dict[str, str] = {}
        self.steps: dict[tuple[str, str], StepConfiguration] = {}  # (component, kind) → what its executor is to be
        self.tasks: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}  # … of a pipeline: task → (kind, its own)

    # --- which ------------------------------------------------------------------------------------------------------

    def _matched(self, steps: Mapping[str, StepConfiguration]) -> dict[str, StepConfiguration]:
        """By path, all that is said of it. Raises ConfigurationError."""
        leaves = list(self._leaves())
        found: dict[str, dict[str, Any]] = {}
        for key, step in steps.items():
            named = [leaf for leaf in leaves if _matches(key, leaf)]
            if _PATTERN.search(key):
                named = [leaf for leaf in named if "importer" not in self._executor_of(leaf.component)]
            if not named:
                raise self._unmatched(key, leaves)
            said = said_of(step)
            for leaf in named:
                check_step(step, self._executor_of(leaf.component), leaf.short, f"{NODE}.{key}")
                if self._launches(leaf.component):
                    check_launched(step, leaf.task, self.components[leaf.component], f"{NODE}.{key}")
                together = found.setdefault(leaf.path, {})
                environment = {**together.get("environment", {}), **said.get("environment", {})}
                together.update(said)
                if environment:
                    together["environment"] = environment
        return {path: StepConfiguration(**said) for path, said in found.items()}

    def _leaves(self) -> Iterator[_Leaf]:
        waiting: list[tuple[str, str, dict[str, Any]]] = [("", "", self.spec["root"])]
        count = 0
        for path, short, component in waiting:
            for name, task in value_of(component["dag"], "tasks", {}).items():
                count += 1
                if count > MAX_TASKS:
                    raise ConfigurationError(f"the pipeline has more than {MAX_TASKS} steps to choose from", place=NODE)
                of = value_of(task, "componentRef")["name"]
                inner = self.components[of]
                is_block = "dag" in inner and _BLOCK.match(name)
                below = short if is_block else f"{short}{name}/"
                if "dag" in inner:
                    waiting.append((f"{path}{name}/", below, inner))
                else:
                    yield _Leaf(path + name, short + name, of, task)

    def _unmatched(self, key: str, leaves: list[_Leaf]) -> ConfigurationError:
        place = f"{NODE}.{key}"
        known = list(dict.fromkeys(leaf.short for leaf in leaves))
        if any(fnmatchcase(_dashed(path), f"{_dashed(key)}/*") for leaf in leaves for path in (leaf.path, leaf.short)):
            remedy = f"name its steps: {key}/*"
            return ConfigurationError(
                f"{shown(key)} is a pipeline inside the pipeline, no step", place=place, remedy=remedy
            )
        shows = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
        return ConfigurationError(
            f"the pipeline has no step {shown(key)}{nearest(key, known)}", place=place, remedy=f"it has {shows}"
        )

    def _executor_of(self, component: str) -> dict[str, Any]:
        found: dict[str, Any] = self.executors[value_of(self.components[component], "executorLabel")]
        return found

    def _launches(self, component: str) -> bool:
        """Whether it starts a CustomJob on Vertex AI, whose worker pools are what is configured."""
        return "dag" not in self.components[component] and is_launcher(
            self._executor_of(component).get("container") or {}
        )

    # --- what -------------------------------------------------------------------------------------------------------

    def written(self) -> dict[str, Any]:
        root = self._kind_of_dag("root", self.spec["root"], "")
        names = self.kinds.named(self.components)
        labels = self._labels()
        components = dict(self.components)
        for (name, kind), own in names.items():
            if not kind:
                continue
            component = copy.deepcopy(self.components[name])
            if "dag" in component:
                self._write_tasks(component, self.tasks[name, kind], names)
            elif self._launches(name):
                write_launched_component(component, self.steps[name, kind])
            else:
                key = "executorLabel" if "executorLabel" in component else "executor_label"
                component[key] = labels[component[key], kind]
            components[own] = component
        if root:
            self._write_tasks(self.spec["root"], self.tasks["root", root], names)
        self.components.clear()
        self.components.update(components)
        return self.document

    def _kind_of_dag(self, name: str, component: dict[str, Any], path: str) -> str:
        changed: dict[str, tuple[str, str]] = {}
        for task_name, task in value_of(component["dag"], "tasks", {}).items():
            of = value_of(task, "componentRef")["name"]
            inner, at = self.components[of], path + task_name
            own, kind = self._kinds_of_leaf(of, task, self.wanted.get(at, _NOTHING))
            if "dag" in inner:
                kind = self._kind_of_dag(of, inner, f"{at}/")
            self.kinds.add(of, kind)
            if kind or own:
                changed[task_name] = (kind, own)
        if not changed:
            return ""
        # A number for each: the text of one inside the text of another would double with every level.
        kind = self.numbers.setdefault(json.dumps(changed, sort_keys=True), f"{len(self.numbers) + 1}")
        self.tasks[name, kind] = changed
        return kind

    def _kinds_of_leaf(self, component: str, task: dict[str, Any], step: StepConfiguration) -> tuple[str, str]:
        """What is the task's and what is the component's, as text; "" for nothing."""
        said = said_of(step)
        of_task: Collection[str] = _OF_TASKS
        if said and self._launches(component):
            of_task = said.keys() if pools_are_the_tasks(task) else _OF_LAUNCHING_TASKS
        own, kind = (
            json.dumps(part, sort_keys=True) if part else ""
            for part in (
                {name: value for name, value in said.items() if name in of_task},
                {name: value for name, value in said.items() if name not in of_task},
            )
        )
        if kind:
            self.steps[component, kind] = step
        return own, kind

    def _write_tasks(
        self, component: dict[str, Any], changed: Mapping[str, tuple[str, str]], names: Mapping[tuple[str, str], str]
    ) -> None:
        for task_name, (kind, own) in changed.items():
            task = component["dag"]["tasks"][task_name]
            reference, step = member(task, "componentRef"), StepConfiguration(**json.loads(own or "{}"))
            write_task(task, step)
            if own and self._launches(reference["name"]):
                write_launched_task(task, step)
            reference["name"] = names[reference["name"], kind]

    def _labels(self) -> dict[tuple[str, str], str]:
        """Writes the executors; the label for each (label, kind)."""
        kinds = _Kinds()
        steps: dict[tuple[str, str], StepConfiguration] = {}
        for name, component in self.components.items():
            if "dag" in component:
                continue
            label = value_of(component, "executorLabel")
            for kind in {"": None} if self._launches(name) else self.kinds.of.get(name, {"": None}):
                kinds.add(label, kind)
                steps[label, kind] = self.steps.get((name, kind), _NOTHING)
        labels = kinds.named(self.executors)
        originals, platforms = dict(self.executors), self._platforms()
        before = [dict(executors) for executors in platforms]
        for (label, kind), own in labels.items():
            if not kind:
                continue
            self.executors[own] = copy.deepcopy(originals[label])
            for executors, there in zip(platforms, before, strict=True):
                if label in there:
                    executors[own] = copy.deepcopy(there[label])
            seconds = write_executor(self.executors[own], steps[label, kind])
            if seconds:
                self._write_deadline(own, seconds)
        return labels

    def _platforms(self) -> list[dict[str, Any]]:
        """The executors of each platform that there is."""
        platform = value_of(self.document, "platformSpec", {}) if self.enveloped else {}
        return [
            member(member(single, "deploymentSpec"), "executors")
            for single in value_of(platform, "platforms", {}).values()
            if value_of(value_of(single, "deploymentSpec", {}), "executors")
        ]

    def _write_deadline(self, label: str, seconds: int) -> None:
        if not self.enveloped:
            self.document, self.enveloped = {"pipelineSpec": self.document}, True
        kubernetes = member(member(member(self.document, "platformSpec"), "platforms"), "kubernetes")
        executor = member(member(member(kubernetes, "deploymentSpec"), "executors"), label)
        key = "active_deadline_seconds" if "active_deadline_seconds" in executor else "activeDeadlineSeconds"
        executor[key] = str(seconds)  # an int64, as protobuf writes them


def _matches(key: str, leaf: _Leaf) -> bool:
    return any(
        fnmatchcase(_dashed(path), _dashed(key)) if _PATTERN.search(key) else _dashed(path) == _dashed(key)
        for path in (leaf.path, leaf.short)
    )


def _dashed(path: str) -> str:
    """The compiler makes task `load-data` of a function `load_data`."""
    return path.replace("_", "-")
