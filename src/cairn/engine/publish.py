"""From what a step left behind to its outputs: read, checked, digested. Nothing is moved: every attempt has written to
a place of its own, and the commit that follows is what makes it visible."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.ids import random_uid
from cairn.domain.runs import Exit, TaskOutputs
from cairn.domain.states import ExitReason
from cairn.domain.values import ParameterType, Value
from cairn.engine.custom_paths import bring
from cairn.engine.leaves import Attempt
from cairn.engine.ports import ArtifactStore
from cairn.engine.resolve import coerce
from cairn.engine.services import Services
from cairn.engine.spilling import kept
from cairn.errors import DeadlineExceeded, OutOfMemory, OutputMissing, StepError

INLINE_BYTES = 4 << 20
_METADATA_ONLY = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")
_PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.STRING: (str,),
    ParameterType.NUMBER_INTEGER: (int,),
    ParameterType.NUMBER_DOUBLE: (float, int),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list,),
    ParameterType.STRUCT: (dict,),
}


class Published(msgspec.Struct, frozen=True):
    outputs: TaskOutputs
    warnings: tuple[str, ...] = ()


def check_exit(ended: Exit, directory: str) -> None:
    """Raise the StepError that an unsuccessful exit means. `directory` is the attempt's."""
    match ended.reason:
        case ExitReason.EXITED if ended.code == 0:
            return
        case ExitReason.EXITED if ended.cause is not None:
            error = StepError(ended.message or ended.cause.message, remedy=ended.cause.remedy)
            error.kind = ended.cause.kind
            raise error
        case ExitReason.EXITED:
            from cairn.engine.last_words import failed_directory, last_words  # only for a step that failed

            said = last_words(failed_directory(directory, ended.message))
            status = ended.message or f"the step exited with status {ended.code}"
            raise StepError(f"{status}: {said}" if said else status)
        case ExitReason.SIGNALLED:
            raise StepError(ended.message or f"the step was ended by signal {ended.signal}")
        case ExitReason.OUT_OF_MEMORY:
            raise OutOfMemory(ended.message or "the step was ended for exceeding its memory limit")
        case ExitReason.DEADLINE_EXCEEDED:
            raise DeadlineExceeded(ended.message or "the step was ended for exceeding its time-out")
        case ExitReason.NOT_STARTED:
            raise StepError(ended.message or "the command could not be started")
        case _:
            raise StepError(ended.message or f"the step ended: {ended.reason}")


def is_large(attempt: Attempt, store: ArtifactStore) -> bool:
    """Whether publishing the outputs is work for another thread: more than 4 MiB, a tree, something to be copied."""
    total = 0
    if attempt.output_uris and _names_custom_path(attempt, store):
        return True
    for uri in attempt.output_uris.values():
        path = store.path_of(uri)
        if path is None:
            continue
        try:
            status = os.stat(path)
        except OSError:
            continue
        if not os.path.isfile(path):
            return True
        total += status.st_size
    for name in attempt.ready.task.component.output_parameters:
        try:
            total += os.stat(f"{attempt.layout.parameters}/{name}").st_size
        except OSError:
            continue
    return total > INLINE_BYTES


def _names_custom_path(attempt: Attempt, store: ArtifactStore) -> bool:
    path = store.path_of(attempt.layout.output_file)
    try:
        with open(path or "", "rb") as file:
            text = file.read()
    except OSError:
        return False
    return b'"custom_path"' in text or b'"customPath"' in text


def publish(attempt: Attempt, services: Services, run_uid: str) -> Published:
    """Everything the step declared, present and digested. Raises OutputMissing, or StepError for unreadable outputs."""
    report = _executor_output(attempt, services.store)
    warnings: list[str] = []
    parameters = _parameters(attempt, report.get("parameterValues") or {}, services, run_uid)
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    written = report.get("artifacts") or {}
    for name, spec in attempt.ready.task.component.output_artifacts.items():
        listed = (written.get(name) or {}).get("artifacts")
        if listed is None:
            listed = [{}]
        found = tuple(_artifact(attempt, name, item, spec.type, spec.metadata, services, warnings) for item in listed)
        artifacts[name] = found if spec.is_list else found[:1]
    return Published(TaskOutputs(parameters, artifacts), tuple(warnings))


def _executor_output(attempt: Attempt, store: ArtifactStore) -> dict[str, Any]:
    path = store.path_of(attempt.layout.output_file)
    if path is None:
        return {}
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    try:
        report = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise StepError(f"the step wrote an unreadable executor_output.json: {error}", place=path) from error
    if not isinstance(report, dict):
        raise StepError("the step wrote an executor_output.json that is not an object", place=path)
    return report


def _parameters(attempt: Attempt, reported: Mapping[str, Value], services: Services, run_uid: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, spec in attempt.ready.task.component.output_parameters.items():
        if name in reported:
            value = reported[name]
        else:
            value = _parameter_file(f"{attempt.layout.parameters}/{name}", name, spec.type)
        value = coerce(value, spec.type)
        wanted = _PYTHON_TYPES.get(spec.type)
        wrong = wanted is not None and (
            not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)
        )
        if wrong and value is not None:
            raise StepError(f"output parameter {name!r} is declared {spec.type} and the step wrote {_short(value)}")
        found[name] = kept(value, services.store, run_uid)
    return found


def _parameter_file(path: str, name: str, kind: ParameterType) -> Value:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
    except FileNotFoundError:
        raise OutputMissing(f"the step did not write output parameter {name!r}") from None
    except UnicodeDecodeError as error:
        raise StepError(f"output parameter {name!r} is not UTF-8 text: {error}") from error
    if kind is ParameterType.STRING:
        return text
    try:
        return msgspec.json.decode(text.lower() if kind is ParameterType.BOOLEAN else text)
    except msgspec.DecodeError as error:
        raise StepError(f"output parameter {name!r} is declared {kind} and the step wrote {_short(text)}") from error


def _artifact(
    attempt: Attempt,
    name: str,
    item: Mapping[str, Any],
    kind: ArtifactType,
    initial: Mapping[str, Any],
    services: Services,
    warnings: list[str],
) -> Artifact:
    uri = item.get("uri") or attempt.output_uris[name]
    custom_path = item.get("customPath") or item.get("custom_path") or ""
    path = services.store.path_of(uri)
    if custom_path and path is not None:
        bring(attempt, custom_path, path)
    metadata = {**initial, **(item.get("metadata") or {})}
    fingerprint = services.store.fingerprint(path) if path is not None else None
    if fingerprint is None and path is not None and not metadata and kind.schema_title not in _METADATA_ONLY:
        warnings.append(f"{attempt.ready.task.path} wrote nothing to its output artifact {name!r}")
    if fingerprint is not None and path is not None and uri == attempt.output_uris[name]:
        services.store.seal(path)
    return Artifact(
        id=random_uid(),
        type=kind,
        uri=uri,
        metadata=metadata,
        display_name=item.get("name") or name,
        fingerprint=fingerprint,
        create_time=services.clock.now(),
    )


def _short(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
