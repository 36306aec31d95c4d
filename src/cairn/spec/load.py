"""Reading a pipeline: a file or text in, a checked `Pipeline` out, or SpecError with the place.

What is accepted: PipelineSpec (schema 2.0.0 and 2.1.x) as YAML or JSON, with a second YAML document for the platform;
the KFP API's `{pipeline_spec, platform_spec}`; and Vertex AI's PipelineJob (`pipelineSpec` + `runtimeConfig`).
"""

from __future__ import annotations

import json
import re
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.domain.values import Value
from cairn.errors import SpecError
from cairn.spec import definitions
from cairn.spec.checks import check_pipeline
from cairn.spec.coercion import coerce
from cairn.spec.completion import complete
from cairn.spec.documents import MAX_BYTES, canonical, parse_documents, read_text
from cairn.spec.platform import Platform, read_platform
from cairn.spec.reader import Bad, nearest, read, shown
from cairn.spec.tasks import dag
from cairn.spec.types import ComponentSpec, DagSpec, NativeSpec, Pipeline, PlatformSpec

if TYPE_CHECKING:
    from cairn.spec.custom_jobs import StepJob

MAX_TASKS = 20_000
MAX_COMPONENTS = 20_000
_VERSION = re.compile(r"2\.(0\.0|1\.[0-9]+)$")
_LAUNCHERS = "google_cloud_pipeline_components."  # in the words of one: `native_steps` looks closer
_OWN_COMMAND = "cairn-native"
_NEWER = re.compile(r"([0-9]+)\.([0-9]+)")
_POLICY = {
    "PIPELINE_FAILURE_POLICY_FAIL_SLOW": "slow",
    "PIPELINE_FAILURE_POLICY_FAIL_FAST": "fast",
}
_JOB_WARNED = {
    "serviceAccount": "the service account has no effect on this machine",
    "network": "the network has no effect on this machine",
    "reservedIpRanges": "reserved IP ranges have no effect on this machine",
    "encryptionSpec": "the encryption key has no effect on this machine",
}


def load_file(path: str | PathLike[str], *, max_bytes: int = MAX_BYTES) -> Pipeline:
    """The pipeline in a .yaml or .json file. Raises SpecError."""
    return load_text(read_text(path, max_bytes=max_bytes), origin=fspath(path))


def load_text(text: str, *, origin: str) -> Pipeline:
    """The pipeline in `text`; `origin` is what errors name as its file. Raises SpecError.

    `Pipeline.text` read again gives the same pipeline, and is read without YAML.
    """
    document = _joined(parse_documents(text, origin=origin), origin)
    written = canonical(document, origin=origin)
    if written != text:
        # In the order in which the text is going to be read again: a mapping given as text must not differ then.
        document = json.loads(written)
    try:
        return _Loader(_envelope(document), written).pipeline()
    except Bad as bad:
        raise bad.refused(origin) from None
    except RecursionError:
        raise SpecError("is nested too deeply", place=origin) from None


def _joined(documents: list[Any], origin: str) -> dict[str, Any]:
    """One document out of the pipeline's and the platform's."""
    if not documents:
        raise SpecError("is empty", place=origin)
    if len(documents) > 2:
        raise SpecError(
            f"holds {len(documents)} documents; a pipeline and perhaps its platform configuration are right",
            place=origin,
        )
    first = documents[0]
    if not isinstance(first, dict):
        raise SpecError(f"holds {shown(first)}, which is no pipeline", place=origin)
    if len(documents) == 1:
        return first
    second = documents[1]
    if not isinstance(second, dict) or "platforms" not in second:
        raise SpecError("its second document has no `platforms`", place=origin)
    if any(key in first for key in ("pipelineSpec", "pipeline_spec")):
        return {**first, "platformSpec": second}
    return {"pipelineSpec": first, "platformSpec": second}


def _envelope(document: dict[str, Any]) -> dict[str, Any]:
    if any(key in document for key in ("pipelineSpec", "pipeline_spec")):
        return read("Document", document)
    if "apiVersion" in document or "kind" in document:
        raise Bad(
            "is a Kubernetes or Argo resource, as KFP v1 compiled pipelines to",
            remedy="compile it with kfp 2 (kfp dsl compile)",
        )
    if "implementation" in document and "root" not in document:
        raise Bad("is a component.yaml of KFP v1", remedy="load it in a pipeline and compile that with kfp 2")
    if not any(
        key in document for key in ("root", "schemaVersion", "schema_version", "pipelineInfo", "deploymentSpec")
    ):
        raise Bad("holds no pipeline: it has neither `root` nor `pipelineSpec`")
    return {"pipelineSpec": read("PipelineSpec", document)}


class _Loader:
    def __init__(self, envelope: dict[str, Any], text: str) -> None:
        self.job = envelope
        self.spec: dict[str, Any] = envelope.get("pipelineSpec", {})
        self.text = text
        self.warnings: list[str] = []
        self.executors: dict[str, Any] = self.spec.get("deploymentSpec", {}).get("executors", {})
        self.jobs: dict[str, StepJob] = {}
        self.native: dict[str, NativeSpec] = {}

    def pipeline(self) -> Pipeline:
        import xxhash

        self._version()
        info = self.spec.get("pipelineInfo", {})
        name = info.get("name", "")
        if not name.strip():
            raise Bad("the pipeline has no name", "pipelineInfo", "name")
        if len(name) > 255 or not name.isprintable():
            raise Bad(f"{shown(name)} is no name for a pipeline", "pipelineInfo", "name")
        platform = self._platform()
        self._read_jobs()
        components = self._components(platform)
        root = self._root()
        by_kfp = self.spec.get("sdkVersion", "").startswith("kfp-")
        root = _completed(root, components, ("root",), by_kfp)
        components = {
            name: _completed(found, components, ("components", name), by_kfp) for name, found in components.items()
        }
        check_pipeline(
            root,
            components,
            {name: spec.get("executorLabel", "") for name, spec in self.spec.get("components", {}).items()},
        )
        self._job_warnings()
        return Pipeline(
            name=name,
            display_name=self.job.get("displayName") or info.get("displayName", ""),
            components=components,
            root=root,
            digest=xxhash.xxh3_128_hexdigest(self.text.encode()),
            text=self.text,
            default_root=self._default_root(),
            workspace=platform.workspace,
            warnings=(*self.warnings, *platform.warnings),
            parameters=self._parameters(root),
            active_deadline_seconds=platform.active_deadline_seconds,
            failure_policy=_POLICY.get(self._runtime().get("failurePolicy", ""), ""),
        )

    def _runtime(self) -> dict[str, Any]:
        found: dict[str, Any] = self.job.get("runtimeConfig", {})
        return found

    def _default_root(self) -> str:
        return str(self._runtime().get("gcsOutputDirectory") or self.spec.get("defaultPipelineRoot", ""))

    def _read_jobs(self) -> None:
        """What reads them takes a while to import, and few pipelines have any."""
        if not any("customJob" in executor for executor in self.executors.values()) and not any(
            _LAUNCHERS in str(word) or word == _OWN_COMMAND
            for executor in self.executors.values()
            for side in ("command", "args")
            for word in executor.get("container", {}).get(side) or ()
        ):
            return
        from cairn.spec.native_steps import read_native

        found = read_native(self.spec)
        self.jobs, self.native = found.jobs, found.steps
        self.warnings += [warning for job in self.jobs.values() for warning in job.warnings]
        self.warnings += found.warnings

    def _version(self) -> None:
        version = self.spec.get("schemaVersion", "")
        if _VERSION.match(version):
            return
        if not version:
            raise Bad("is missing; 2.1.0 is right", "schemaVersion")
        number = _NEWER.match(version)
        newer = number is not None and (int(number[1][:9]), int(number[2][:9])) > (2, 1)
        what = "newer than Cairn reads" if newer else "no schema version that Cairn reads"
        raise Bad(f"{shown(version)} is {what}; 2.0.0 and 2.1.x are right", "schemaVersion")

    def _platform(self) -> Platform:
        try:
            return read_platform(self.job.get("platformSpec", {}), self.executors)
        except Bad as bad:
            raise bad.at("platformSpec") if "platformSpec" not in bad.path else bad from None

    def _root(self) -> ComponentSpec:
        if "root" not in self.spec:
            raise Bad("is missing", "root")
        if "dag" not in self.spec["root"]:
            raise Bad("has no dag", "root")
        try:
            return self._component("root", self.spec["root"], PlatformSpec())
        except Bad as bad:
            raise bad.at("root") from None

    def _components(self, platform: Platform) -> dict[str, ComponentSpec]:
        given = self.spec.get("components", {})
        if len(given) > MAX_COMPONENTS:
            raise Bad(f"there are {len(given)} components; {MAX_COMPONENTS} are the most", "components")
        found: dict[str, ComponentSpec] = {}
        for name, spec in given.items():
            if name == "root":
                raise Bad("a component cannot be called root", "components", name)
            try:
                found[name] = self._component(
                    name, spec, platform.executors.get(spec.get("executorLabel", ""), PlatformSpec())
                )
            except Bad as bad:
                # What is wrong with an executor stands at the executor.
                raise bad if bad.path[:1] == ["deploymentSpec"] else bad.at("components", name) from None
        tasks = sum(len(component.dag.tasks) for component in found.values() if component.dag is not None)
        if tasks > MAX_TASKS:
            raise Bad(f"there are {tasks} tasks; {MAX_TASKS} are the most", "components")
        return found

    def _component(self, name: str, spec: dict[str, Any], platform: PlatformSpec) -> ComponentSpec:
        if spec.get("singlePlatformSpecs"):
            raise Bad("is not supported; platform configuration stands in its own document", "singlePlatformSpecs")
        inputs, outputs = spec.get("inputDefinitions", {}), spec.get("outputDefinitions", {})
        input_parameters = _each(inputs, "inputDefinitions", "parameters", definitions.input_parameter)
        input_artifacts = _each(inputs, "inputDefinitions", "artifacts", definitions.input_artifact)
        both = sorted(input_parameters.keys() & input_artifacts.keys())
        if both:
            raise Bad(f"{shown(both[0])} is both a parameter and an artifact", "inputDefinitions")
        job = self.jobs.get(name)
        if job is not None and job.timeout_seconds:
            seconds = min(job.timeout_seconds, platform.active_deadline_seconds or job.timeout_seconds)
            platform = msgspec.structs.replace(platform, active_deadline_seconds=seconds)
        return ComponentSpec(
            name=name,
            input_parameters=input_parameters,
            input_artifacts=input_artifacts,
            output_parameters=_each(outputs, "outputDefinitions", "parameters", definitions.output_parameter),
            output_artifacts=_each(outputs, "outputDefinitions", "artifacts", definitions.output_artifact),
            dag=self._dag(spec) if "dag" in spec else None,
            executor=None if "dag" in spec else job.executor if job is not None else self._executor(name, spec),
            platform=platform,
            task_config_inputs=tuple(
                key for key, parameter in input_parameters.items() if parameter.type == "TASK_CONFIG"
            ),
        )

    def _dag(self, spec: dict[str, Any]) -> DagSpec:
        try:
            found = dag(spec["dag"])
        except Bad as bad:
            raise bad.at("dag") from None
        if len(found.tasks) > MAX_TASKS:
            raise Bad(f"there are {len(found.tasks)} tasks; {MAX_TASKS} are the most", "dag", "tasks")
        return found

    def _executor(self, name: str, spec: dict[str, Any]) -> Any:
        if name in self.native:
            return self.native[name]
        label = spec.get("executorLabel", "")
        if not label:
            raise Bad("has neither dag nor executorLabel")
        if label not in self.executors:
            raise Bad(f"there is no executor {shown(label)}{nearest(label, self.executors)}", "executorLabel")
        try:
            return definitions.executor(self.executors[label])
        except Bad as bad:
            raise bad.at("deploymentSpec", "executors", label) from None

    def _parameters(self, root: ComponentSpec) -> dict[str, Value]:
        """A PipelineJob's parameters, as they are: `resolve_parameters` holds them to their types with the user's."""
        runtime = self._runtime()
        found = {name: definitions.old_value(value) for name, value in runtime.get("parameters", {}).items()}
        found.update(runtime.get("parameterValues", {}))
        for name, value in found.items():
            place = ("runtimeConfig", "parameterValues" if name in runtime.get("parameterValues", {}) else "parameters")
            if name not in root.input_parameters:
                raise Bad(f"the pipeline has no parameter {shown(name)}{nearest(name, root.input_parameters)}", *place)
            if value is not None:
                try:
                    found[name] = coerce(value, root.input_parameters[name].type)
                except ValueError as error:
                    raise Bad(f"{shown(value)} is given where {error}", *place, name) from None
        return found

    def _job_warnings(self) -> None:
        self.warnings += [text for field, text in _JOB_WARNED.items() if self.job.get(field)]
        if self._runtime().get("inputArtifacts"):
            raise Bad(
                "artifacts cannot be given by the file: use --artifact NAME=ID, or an importer",
                "runtimeConfig",
                "inputArtifacts",
            )
        retried = [
            name
            for component in (self.spec.get("root", {}), *self.spec.get("components", {}).values())
            for name, task in component.get("dag", {}).get("tasks", {}).items()
            if "retryPolicy" in task and self._is_dag(task)
        ]
        if retried:
            self.warnings.append(
                f"retries of nested pipelines have no effect, only those of their steps ({', '.join(sorted(retried))})"
            )

    def _is_dag(self, task: dict[str, Any]) -> bool:
        name = task.get("componentRef", {}).get("name", "")
        return "dag" in self.spec.get("components", {}).get(name, {})


def _completed(
    component: ComponentSpec, components: dict[str, ComponentSpec], place: tuple[str, ...], by_kfp: bool
) -> ComponentSpec:
    if component.dag is None:
        return component
    try:
        return msgspec.structs.replace(component, dag=complete(component.dag, components, by_kfp=by_kfp))
    except Bad as bad:
        raise bad.at(*place, "dag") from None


def _each(spec: dict[str, Any], where: str, kind: str, make: Any) -> dict[str, Any]:
    found = {}
    for name, given in spec.get(kind, {}).items():
        try:
            found[name] = make(given)
        except Bad as bad:
            raise bad.at(where, kind, name) from None
    return found
