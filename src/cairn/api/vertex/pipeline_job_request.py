"""A PipelineJob as a client hands it in: its pipeline, and what it says about the run. Schedules take it too."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.vertex.names import Place
from cairn.api.vertex.naming import check_display_name, check_labels
from cairn.domain.artifacts import Artifact
from cairn.domain.configuration import Configuration
from cairn.domain.runs import Submission
from cairn.errors import InputRefused, NotFound, UnsupportedFeature
from cairn.metadata.types import StoreName
from cairn.pipelines.packages import read_package
from cairn.spec.documents import MAX_BYTES
from cairn.spec.load import load_text

if TYPE_CHECKING:
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

CONFIGURATION_HEADER = "x-cairn-configuration"
_MAX_CONFIGURATION = 1 << 20  # bytes
_JOB_ID = re.compile(r"[a-z0-9][-a-z0-9]{0,127}")
_POLICIES = {
    "PIPELINE_FAILURE_POLICY_UNSPECIFIED": "",
    "PIPELINE_FAILURE_POLICY_FAIL_SLOW": "slow",
    "PIPELINE_FAILURE_POLICY_FAIL_FAST": "fast",
}
# Accepted, without effect here, and told back as they came.
_WARNED = {
    "serviceAccount": "the service account has no effect on this machine",
    "network": "the network has no effect on this machine",
    "reservedIpRanges": "reserved IP ranges have no effect on this machine",
    "encryptionSpec": "the encryption key has no effect on this machine",
    "pscInterfaceConfig": "a Private Service Connect interface has no effect on this machine",
    "preflightValidations": "preflight validations have no effect: Cairn checks every pipeline before it starts",
}


def read_job(cairn: Cairn, job: Mapping[str, Any], *, field: str = "pipelineJob") -> Pipeline:
    """The pipeline of a job: the spec it carries, or the one its template has. Raises InputRefused."""
    spec = job.get("pipelineSpec")
    if spec:
        # A Struct knows no integers: what has no fraction is one, as in the file that the spec was read from.
        text = msgspec.json.encode(whole(spec), order="sorted").decode()
        return load_text(text, origin=f"{field}.pipelineSpec")
    uri = job.get("templateUri", "")
    if not uri:
        raise InputRefused("a job needs a pipelineSpec or a templateUri", place=f"{field}.pipelineSpec")
    if not re.match(r"(gs|s3|minio)://", uri):
        raise UnsupportedFeature(
            f"{uri[:200]!r} is in a registry, which this version does not ask",
            place=f"{field}.templateUri",
            remedy="copy the compiled pipeline to a bucket and name it as gs://…, or send it as pipelineSpec",
        )
    cairn.store.check(uri, f"{field}.templateUri")
    try:
        content = cairn.store.read(uri, MAX_BYTES)
    except NotFound:
        raise NotFound(f"there is no object {uri[:200]!r}", place=f"{field}.templateUri") from None
    return load_text(read_package(content, origin=uri), origin=uri)


def submission_of(
    cairn: Cairn, place: Place, job: Mapping[str, Any], *, field: str = "pipelineJob", **more: Any
) -> Submission:
    """What a job says about its run but its pipeline. `more`: further fields of the Submission.

    Raises InputRefused with the place.
    """
    runtime = job.get("runtimeConfig") or {}
    settings = msgspec.structs.replace(cairn.run_settings(), detached=True)
    policy = _POLICIES[runtime.get("failurePolicy", "PIPELINE_FAILURE_POLICY_UNSPECIFIED")]
    if policy:
        settings = msgspec.structs.replace(settings, failure_policy=policy)
    name = check_display_name(job.get("displayName", ""), f"{field}.displayName")
    told = {key: job[key] for key in (*_WARNED, "templateUri") if job.get(key)}
    return Submission(
        parameters=_parameters(runtime, f"{field}.runtimeConfig"),
        settings=settings,
        project=place.project,
        location=place.location,
        display_name=name,
        labels=check_labels(job.get("labels") or {}, f"{field}.labels"),
        source=job.get("templateUri", ""),
        pipeline_root=runtime.get("gcsOutputDirectory", ""),
        input_artifacts=_artifacts(cairn, place, runtime, f"{field}.runtimeConfig.inputArtifacts"),
        client={"vertex": told} if told else {},
        warnings=tuple(f"{field}.{key}: {warning}" for key, warning in _WARNED.items() if job.get(key)),
        **more,
    )


def configuration_of(headers: Mapping[str, str]) -> Configuration | None:
    """What `cairn submit` of another home says that the run was composed from; None where nothing is said.

    `x-cairn-configuration` is base64 of deflated JSON. Raises InputRefused for what is not.
    """
    text = headers.get(CONFIGURATION_HEADER, "")
    if not text:
        return None
    try:
        inflating = zlib.decompressobj()
        content = inflating.decompress(base64.b64decode(text, validate=True), _MAX_CONFIGURATION)
        if not inflating.eof:
            raise InputRefused("is cut off, or too large", place=CONFIGURATION_HEADER)
        found = msgspec.json.decode(content, type=Configuration)
    except (ValueError, zlib.error, msgspec.MsgspecError, RecursionError):
        raise InputRefused("is no configuration", place=CONFIGURATION_HEADER) from None
    if any("\0" in text for text in (found.name, found.digest, found.text, *found.overrides)):
        raise InputRefused("holds a NUL, which is no text", place=CONFIGURATION_HEADER)
    return msgspec.structs.replace(found, directory="", sweep="", job=-1)  # sweeps are this home's own


def check_job_id(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise InputRefused(
            f"{job_id[:140]!r} is no id for a job: up to 128 of a-z, 0-9 and -, not beginning with -",
            place="pipelineJobId",
        )
    return job_id


def whole(value: Any) -> Any:
    """A Struct's value with numbers that have no fraction as integers."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 63 else value
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


def _parameters(runtime: Mapping[str, Any], place: str) -> dict[str, Any]:
    found = {name: whole(value) for name, value in (runtime.get("parameterValues") or {}).items()}
    for name, value in (runtime.get("parameters") or {}).items():  # as pipelines of schema 2.0.0 have them
        if name in found:
            raise InputRefused("is given in parameterValues too", place=f"{place}.parameters.{name}")
        found[name] = _legacy(value)
    return found


def _legacy(value: Mapping[str, Any]) -> Any:
    """aiplatform.v1 Value: intValue, doubleValue or stringValue."""
    if "intValue" in value:
        return int(value["intValue"])
    if "doubleValue" in value:
        return float(value["doubleValue"])
    return value.get("stringValue", "")


def _artifacts(cairn: Cairn, place: Place, runtime: Mapping[str, Any], field: str) -> dict[str, tuple[Artifact, ...]]:
    found: dict[str, tuple[Artifact, ...]] = {}
    store = StoreName(place.project, place.location)
    for name, given in (runtime.get("inputArtifacts") or {}).items():
        wanted = str(given.get("artifactId", "")).rpartition("/")[2]
        if not wanted:
            raise InputRefused("names no artifact", place=f"{field}.{name}.artifactId")
        try:
            found[name] = (cairn.metadata.artifact(wanted, store),)
        except NotFound as error:
            raise NotFound(error.message, place=f"{field}.{name}.artifactId") from None
    return found
