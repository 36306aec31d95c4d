"""CustomJobs of a pipeline, in both forms: as an executor, and behind the launcher of Google's pipeline components.

`create_custom_training_job_from_component` and `CustomTrainingJobOp` (google-cloud-pipeline-components 1 and 2) compile
to a container that runs `google_cloud_pipeline_components.container.v1.custom_job.launcher --payload JSON`. Its worker
pools are a constant of the task or a default of its component, with the user's container in them and placeholders for
the task's own inputs. On Vertex AI the launcher creates a CustomJob of it; here the user's container is the step.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from cairn.errors import SpecError
from cairn.spec.coercion import with_integers
from cairn.spec.custom_jobs import StepJob, step_job
from cairn.spec.definitions import container
from cairn.spec.placeholders import Placeholder, parse_text, value_text
from cairn.spec.reader import Bad, shown
from cairn.spec.tasks import parameter_binding
from cairn.spec.types import Constant, ContainerSpec, ResourceSpec

_LAUNCHER = re.compile(r"google_cloud_pipeline_components\.container\.\S+\.launcher$")
_OWN_IMAGE = re.compile(r"google-cloud-pipeline-components(:|@|$)")
_TEXT_OR_PLACEHOLDER = re.compile(r'"(?:[^"\\]|\\.)*"|(\{\{\$[^{}]*\}\})', re.DOTALL)
_ESCAPED = re.compile(r"\.json_escape\[(\d)\]\}\}")
_BARE = ""  # the key of the object that stands for a placeholder outside of a JSON text
# As the launcher writes it (GcpResources of gcp_resources.proto, as JSON). The URI names the task that ran it here.
_RESOURCES = """{
  "resources": [
    {
      "resourceType": "CustomJob",
      "resourceUri": "cairn:runs/{{$.pipeline_job_uuid}}/tasks/{{$.pipeline_task_uuid}}"
    }
  ]
}"""


def read_jobs(spec: dict[str, Any]) -> dict[str, StepJob]:
    """By component, what its CustomJob comes to. `spec` is changed in place: a worker pool that became an executor is
    no input any more, and tasks of one component with different pools get components of their own. Raises Bad."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    jobs: dict[str, StepJob] = {}
    launchers: dict[str, _Launcher] = {}
    for name, component in spec.get("components", {}).items():
        label = component.get("executorLabel", "")
        executor = executors.get(label, {})
        try:
            if "customJob" in executor:
                jobs[name] = _of_executor(executor["customJob"], name)
            elif is_launcher(executor.get("container", {})):
                launchers[name] = _Launcher(name, component, executor["container"])
        except Bad as bad:
            raise bad.at("deploymentSpec", "executors", label) from None
    if launchers:
        for place, task in list(_tasks(spec)):
            launcher = launchers.get(task.get("componentRef", {}).get("name", ""))
            if launcher is not None:
                try:
                    launcher.take(task, spec["components"], jobs)
                except Bad as bad:
                    raise bad.at(*place) from None
    return jobs


def _of_executor(spec: Mapping[str, Any], component: str) -> StepJob:
    try:
        return step_job(spec.get("customJob", {}), component=component)
    except Bad as bad:
        raise bad.at("customJob", "customJob") from None


def is_launcher(spec: Mapping[str, Any]) -> bool:
    command = spec.get("command") or [""]
    args = spec.get("args") or []
    return bool(_LAUNCHER.search(command[-1])) and _options(args).get("--type") == "CustomJob"


def _options(args: list[str]) -> dict[str, str]:
    found = dict(pairwise(args))
    found.update((name, value) for name, equals, value in (arg.partition("=") for arg in args) if equals)
    return found


def _tasks(spec: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    named: list[tuple[tuple[str, ...], dict[str, Any]]] = [(("root",), spec.get("root", {}))]
    named += [(("components", name), component) for name, component in spec.get("components", {}).items()]
    for place, component in named:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield (*place, "dag", "tasks", name), task


class _Launcher:
    """A component that launches a CustomJob, and the tasks that use it."""

    def __init__(self, name: str, component: dict[str, Any], spec: dict[str, Any]) -> None:
        self.name = name
        self.component = copy.deepcopy(component)
        self.own = container(spec)
        options = _options(list(self.own.args))
        self.payload = _read_payload(options.get("--payload", ""))
        self.resources_output = _output_of(options.get("--gcp_resources", ""))
        self.named: dict[bytes, str] = {}  # what tasks came to, and the component for it

    def take(self, task: dict[str, Any], components: dict[str, Any], jobs: dict[str, StepJob]) -> None:
        pools: set[str] = set()
        given = task.get("inputs", {}).get("parameters", {})
        job = self._filled(self.payload, given, pools)
        found = self._completed(step_job(job, component=task.get("taskInfo", {}).get("name") or self.name))
        key = msgspec.json.encode(found, order="deterministic")
        name = self.named.get(key, "")
        if not name:
            name = self.named[key] = _free(self.name, len(self.named), components) if self.named else self.name
            component = copy.deepcopy(self.component)
            for pool in pools:
                component.get("inputDefinitions", {}).get("parameters", {}).pop(pool, None)
            components[name] = component
            jobs[name] = found
        task["componentRef"] = {"name": name}
        for pool in pools:
            given.pop(pool, None)

    def _completed(self, job: StepJob) -> StepJob:
        """With what the launcher's own container says: set on the task, it is meant for the training."""
        if not isinstance(job.executor, ContainerSpec):
            return job
        found, own = job.executor, self.own
        said = {name: value for name, value in msgspec.structs.asdict(own.resources).items() if value}
        executor = msgspec.structs.replace(
            found,
            image=found.image if _OWN_IMAGE.search(own.image) else own.image,
            env={**found.env, **own.env},
            resources=ResourceSpec(**{**msgspec.structs.asdict(found.resources), **said}),
            output_files={self.resources_output: _RESOURCES} if self.resources_output else {},
        )
        return msgspec.structs.replace(job, executor=executor)

    def _filled(self, value: Any, given: Mapping[str, Any], pools: set[str], key: str = "") -> Any:
        """The payload with what is constant put in; `pools` gets the names of the inputs that hold worker pools."""
        if isinstance(value, dict):
            if value.keys() == {_BARE}:
                return self._bare(
                    value[_BARE], given, pools if key in ("worker_pool_specs", "workerPoolSpecs") else None
                )
            return {name: self._filled(inner, given, pools, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner, given, pools) for inner in value]
        name = _input_of(value)
        found = self._constant(name, given) if name else None
        if name and not isinstance(found, Placeholder):
            return "" if found is None else value_text(found)
        return value

    def _bare(self, text: str, given: Mapping[str, Any], pools: set[str] | None) -> Any:
        name = _input_of(text)
        found = self._constant(name, given) if name else text
        if isinstance(found, Placeholder):
            return text
        if isinstance(found, str) and name:
            found = _json(found, name)
        if pools is not None:
            pools.add(name)
            return _unescaped(found)
        return found

    def _constant(self, name: str, given: Mapping[str, Any]) -> Any:
        """The input's value; the placeholder itself when it is known only when the task runs."""
        if name in given:
            try:
                binding = parameter_binding(given[name])
            except Bad as bad:
                raise bad.at("inputs", "parameters", name) from None
            if isinstance(binding, Constant) and not binding.selector:
                return with_integers(binding.value)
            return Placeholder("", "inputs.parameters", name)
        declared = self.component.get("inputDefinitions", {}).get("parameters", {}).get(name, {})
        return with_integers(declared.get("defaultValue"))


def _read_payload(text: str) -> dict[str, Any]:
    """The payload with every placeholder that stands outside of a text made an object of its own."""

    def quoted(match: re.Match[str]) -> str:
        return json.dumps({_BARE: match[1]}) if match[1] else match[0]

    try:
        found = json.loads(_TEXT_OR_PLACEHOLDER.sub(quoted, text), strict=False)
    except ValueError as error:
        raise Bad(f"the launcher's --payload is no JSON: {error}", "container", "args") from None
    if not isinstance(found, dict):
        raise Bad(f"the launcher's --payload is {shown(found)} and no CustomJob", "container", "args")
    return found


def _placeholder_of(text: Any) -> Placeholder | None:
    """The one placeholder that the text is."""
    if not isinstance(text, str) or not text.startswith("{{$"):
        return None
    try:
        parts = parse_text(text)
    except SpecError:
        return None
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Placeholder) else None


def _input_of(text: Any) -> str:
    found = _placeholder_of(text)
    return found.name if found is not None and found.kind == "inputs.parameters" else ""


def _output_of(text: str) -> str:
    found = _placeholder_of(text)
    return found.name if found is not None and found.kind == "outputs.parameters" else ""


def _json(text: str, name: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise Bad(f"{shown(text)} is no JSON: {error}", "inputs", "parameters", name) from None


def _unescaped(value: Any) -> Any:
    """Texts as they are once the launcher has read its payload: one level of JSON less around each placeholder."""
    if isinstance(value, str):
        return _ESCAPED.sub(
            lambda level: f".json_escape[{int(level[1]) - 1}]}}}}" if int(level[1]) > 1 else "}}", value
        )
    if isinstance(value, list):
        return [_unescaped(item) for item in value]
    return {key: _unescaped(item) for key, item in value.items()} if isinstance(value, dict) else value


def _free(name: str, number: int, components: Mapping[str, Any]) -> str:
    while f"{name}-job-{number + 1}" in components:
        number += 1
    return f"{name}-job-{number + 1}"
