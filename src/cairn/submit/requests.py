"""What a client program is asked to send."""

from __future__ import annotations

import base64
import re
import time
import zlib
from typing import Any

import msgspec

from cairn.domain.configuration import Configuration
from cairn.domain.ids import random_uid
from cairn.submit.documents import pipeline_documents
from cairn.submit.limits import Subject
from cairn.submit.targets import Kind, Target

CONFIGURATION_HEADER = "x-cairn-configuration"  # read by api/vertex; base64 of deflated JSON of a Configuration
REQUEST_ID_HEADER = "x-goog-request-id"
_HEADER_BYTES = 6000  # of a configuration; servers take 8 to 16 KiB of headers in all


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file for the program of `Kind.client`. Credentials are named by their file, never carried."""

    pipeline: dict[str, Any]  # PipelineSpec
    display_name: str
    platform: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    artifacts: dict[str, str] = {}
    root: str = ""
    job_id: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    caching: bool | None = None
    failure_policy: str = ""
    experiment: str = ""
    schedule: dict[str, Any] | None = None
    url: str = ""
    project: str = ""
    region: str = ""
    namespace: str = ""
    credentials: str = ""
    authority: str = ""
    service_account: str = ""
    network: str = ""
    reserved_ip_ranges: tuple[str, ...] = ()
    encryption_key: str = ""
    staging_bucket: str = ""
    headers: dict[str, str] = {}
    watch: str = ""  # "" | wait | follow
    traceback: bool = False


def request_of(subject: Subject, *, watch: str = "", traceback: bool = False) -> Request:
    submission, target = subject.submission, subject.target
    kubeflow = target.kind is Kind.KUBEFLOW
    caching = None if submission.settings.use_cache else False
    # Kubeflow's API has no switch for a run: it stands in the pipeline, as kfp itself writes it.
    spec, platform = pipeline_documents(subject.pipeline, caching=caching if kubeflow else None)
    name = submission.display_name or submission.job_id or subject.pipeline.display_name or subject.pipeline.name
    common: dict[str, Any] = {
        "pipeline": spec,
        "display_name": name,
        "parameters": {**subject.pipeline.parameters, **submission.parameters},
        "root": submission.pipeline_root or subject.pipeline.default_root,
        "experiment": submission.experiment or subject.said.experiment,
        "schedule": _schedule(subject),
        "url": target.url,
        "credentials": target.credentials,
        "authority": target.authority,
        "service_account": target.service_account,
        "watch": watch,
        "traceback": traceback,
    }
    if kubeflow:
        return Request(
            **common,
            platform=platform,
            namespace=target.namespace,
            description=_described(submission.description, submission.configuration),
        )
    return Request(
        **common,
        **_vertex(subject, target, caching),
    )


def _vertex(subject: Subject, target: Target, caching: bool | None) -> dict[str, Any]:
    submission = subject.submission
    policy = subject.pipeline.failure_policy or submission.settings.failure_policy
    return {
        "artifacts": subject.artifacts,
        "job_id": submission.job_id or _job_id(subject.pipeline.name),
        "labels": {**_digest_label(submission.configuration), **submission.labels},
        "caching": caching,
        "failure_policy": policy if policy == "fast" else "",
        "project": target.project,
        "region": target.region,
        "network": target.network,
        "reserved_ip_ranges": target.reserved_ip_ranges,
        "encryption_key": target.encryption_key,
        "staging_bucket": target.staging_bucket,
        "headers": _headers(submission.configuration) if target.kind is Kind.CAIRN else {},
    }


def _job_id(pipeline: str) -> str:
    """The client's own has a resolution of one second: two would be one name."""
    stem = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")[:90]
    if not stem[:1].isalpha():
        stem = f"run-{stem}".rstrip("-")
    return f"{stem}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{random_uid()[:6]}"


def _digest_label(configuration: Configuration | None) -> dict[str, str]:
    """By it runs of one configuration are found, wherever labels are kept."""
    return {"cairn-configuration": configuration.digest} if configuration and configuration.digest else {}


def _headers(configuration: Configuration | None) -> dict[str, str]:
    found = {REQUEST_ID_HEADER: random_uid()}
    if configuration is not None:
        found[CONFIGURATION_HEADER] = _packed(msgspec.structs.replace(configuration, directory=""))
        if len(found[CONFIGURATION_HEADER]) > _HEADER_BYTES:  # too long for a header: its digest and overrides at least
            short = _packed(msgspec.structs.replace(configuration, directory="", text=""))
            found[CONFIGURATION_HEADER] = short
            if len(short) > _HEADER_BYTES:
                del found[CONFIGURATION_HEADER]
    return found


def _packed(configuration: Configuration) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(configuration), 9)).decode()


def _described(description: str, configuration: Configuration | None) -> str:
    if configuration is None:
        return description
    said = [f"configuration {configuration.name} {configuration.digest}".rstrip(), *configuration.overrides]
    return "\n".join([*([description] if description else []), " ".join(said)])


def _schedule(subject: Subject) -> dict[str, Any] | None:
    schedule = subject.said.schedule
    if schedule is None:
        return None
    told: dict[str, Any] = msgspec.to_builtins(schedule)
    told["max_concurrent"] = schedule.max_concurrent
    if subject.target.kind is Kind.KUBEFLOW and len(schedule.cron.split()) == 5:
        told["cron"] = f"0 {schedule.cron}"  # Kubeflow's begins with seconds
    return told
