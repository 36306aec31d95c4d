"""Submits to Vertex AI, or to a Cairn in its place, by google-cloud-aiplatform. `python vertex_jobs.py REQUEST.json`.

Standard library and that package only, Python 3.9 or newer.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from typing import Any

from telling import (  # type: ignore[import-not-found]  # found beside this program
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Refusal,
    Teller,
    check_reachable,
    main,
    sentence,
    watch,
)

_ENDS = {
    "PIPELINE_STATE_SUCCEEDED": SUCCEEDED,
    "PIPELINE_STATE_FAILED": FAILED,
    "PIPELINE_STATE_CANCELLED": CANCELLED,
}
_LOGIN = "log in with `gcloud auth application-default login`, or give --credentials FILE"

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[\d.]+e[+-]\d+')
_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\\\")

_ALLOWED = (
    "ask for roles/aiplatform.user in the project, and to act as the service account; "
    "check the project, and that its Vertex AI API is enabled"
)


def work(teller: Teller, request: dict[str, Any]) -> None:
    if request.get("url"):
        check_reachable(request["url"], os.environ.get("REQUESTS_CA_BUNDLE", ""))
    from google.cloud import aiplatform  # type: ignore[import-untyped,unused-ignore]

    if not request.get("traceback"):
        _quieten()
    _connect(aiplatform, request)
    with tempfile.TemporaryDirectory(prefix="cairn-submit-") as folder:
        job = _job(aiplatform, request, folder)
    if request.get("schedule"):
        _schedule(teller, request, job)
        return
    _submit(aiplatform, request, job)
    aiplatform.init(request_metadata=[])  # they are of the one request
    teller.say("submitted", name=job.resource_name, id=job.job_id, state=_state(job.gca_resource.state.name))
    if request.get("watch"):
        watch(teller, request, lambda: _look(job), worded)


def worded(error: BaseException) -> Refusal:
    """An error of the client's in one sentence, with what to do."""
    from google.api_core import exceptions  # type: ignore[import-untyped,unused-ignore]
    from google.auth import exceptions as auth  # type: ignore[import-untyped,unused-ignore]
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped,unused-ignore]

    said = sentence(getattr(error, "message", "") or str(error))
    if isinstance(error, auth.DefaultCredentialsError):
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            return Refusal("these credentials cannot be used: " + said, _LOGIN, status=2)
        return Refusal("there are no credentials for Google Cloud", _LOGIN, status=2)
    if isinstance(error, auth.RefreshError):
        return Refusal("these credentials are not taken: " + said, _LOGIN, status=2)
    table = (
        (exceptions.Unauthenticated, "who asks is not known", _LOGIN, 2, False),
        (
            exceptions.Forbidden, "who asks may not do this", _ALLOWED, 2, False,
        ),
        (exceptions.NotFound, "it is not there", "check project, region, experiment and what else was named", 2, False),
        (exceptions.Conflict, "there is one with this name already", "give another --name", 2, False),
        (
            exceptions.TooManyRequests, "a quota is used up",
            "try again later, in another --region, or ask for more of the quota", 1, True,
        ),
        (exceptions.GatewayTimeout, "it did not answer in time", "try again", 1, True),
        (exceptions.ClientError, "it was refused", "", 2, False),
        (exceptions.ServerError, "the service cannot answer at the moment", "try again", 1, True),
        (exceptions.RetryError, "it did not answer in time", "check the network, and try again", 1, True),
        (auth.TransportError, "the network does not lead there", "check the network, and try again", 1, True),
        (ParseError, "what answers there is no API of Vertex AI", "check the address", 1, False),
        (OSError, "the network does not lead there", "check the network, and try again", 1, True),
        (ValueError, "google-cloud-aiplatform refuses it", "", 2, False),
    )  # fmt: skip
    for kind, what, remedy, status, passing in table:
        if isinstance(error, kind):
            return Refusal(f"{what}: {said}", remedy, status=status, passing=passing)
    return Refusal(f"{type(error).__name__}: {said}", "--traceback shows where it came from")


def _quieten() -> None:
    """Our own lines say what it does. What it could not do is told in a line, not in a trace."""

    class Short(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.exc_info and record.exc_info[1] is not None:
                record.msg, record.args = f"{record.getMessage()}: {sentence(str(record.exc_info[1]), 200)}", ()
                record.exc_info = record.exc_text = None
            return record.levelno >= logging.WARNING

    for name in ("pipeline_jobs", "pipeline_job_schedules", "schedules", "base", "initializer"):
        logging.getLogger(f"google.cloud.aiplatform.{name}").addFilter(Short())
    logging.getLogger("google.cloud.aiplatform.preview.pipelinejobschedule").addFilter(Short())


def _connect(aiplatform: Any, request: dict[str, Any]) -> None:
    more: dict[str, Any] = {}
    if request.get("url"):
        more["api_transport"] = "rest"  # one port, one kind of TLS
        if not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            from google.auth.credentials import AnonymousCredentials  # type: ignore[import-untyped,unused-ignore]

            more["credentials"] = AnonymousCredentials()
    if request.get("headers"):
        more["request_metadata"] = list(request["headers"].items())
    if request.get("staging_bucket"):
        more["staging_bucket"] = request["staging_bucket"]
    try:
        aiplatform.init(project=request["project"], location=request["region"], **more)
    except ValueError as error:
        if "region" not in str(error):
            raise
        raise Refusal(
            f"{request['region']!r} is no region that google-cloud-aiplatform knows", "give --region", status=2
        ) from None


def _job(aiplatform: Any, request: dict[str, Any], folder: str) -> Any:
    path = os.path.join(folder, "pipeline.json")
    with open(path, "w", encoding="ascii") as file:
        file.write(as_yaml(request["pipeline"]))
    return aiplatform.PipelineJob(
        display_name=request["display_name"],
        template_path=path,
        job_id=request["job_id"],
        pipeline_root=request.get("root") or None,
        parameter_values=request.get("parameters") or {},
        input_artifacts=request.get("artifacts") or None,
        enable_caching=request.get("caching"),
        encryption_spec_key_name=request.get("encryption_key") or None,
        labels=request.get("labels") or None,
        failure_policy=request.get("failure_policy") or None,
    )


def as_yaml(document: Any) -> str:
    """JSON for a reader of YAML 1.1, which is what takes it: a surrogate pair is two characters there, 1e+22 text."""

    def one(token: re.Match[str]) -> str:
        text = token[0]
        if text[0] == '"':
            return _PAIR.sub(_character, text)
        return text if "." in text else text.replace("e", ".0e")

    return _TOKEN.sub(one, json.dumps(document))


def _character(found: re.Match[str]) -> str:
    if not found[1]:
        return found[0]
    return f"\\U{0x10000 + ((int(found[1], 16) - 0xD800) << 10) + int(found[2], 16) - 0xDC00:08x}"


def _submit(aiplatform: Any, request: dict[str, Any], job: Any) -> None:
    more = {}
    if request.get("experiment"):
        more["experiment"] = aiplatform.Experiment.get_or_create(request["experiment"])
    job.submit(
        service_account=request.get("service_account") or None,
        network=request.get("network") or None,
        reserved_ip_ranges=request.get("reserved_ip_ranges") or None,
        **more,
    )


def _schedule(teller: Teller, request: dict[str, Any], job: Any) -> None:
    said = request["schedule"]
    zone = said.get("time_zone")
    made = job.create_schedule(
        cron=f"TZ={zone} {said['cron']}" if zone else said["cron"],
        display_name=said.get("name") or request["display_name"],
        start_time=said.get("start") or None,
        end_time=said.get("end") or None,
        allow_queueing=bool(said.get("queue")),
        max_run_count=said.get("max_runs") or None,
        max_concurrent_run_count=said.get("max_concurrent", 1),
        service_account=request.get("service_account") or None,
        network=request.get("network") or None,
    )
    if said.get("paused"):
        made.pause()
    name = made.resource_name
    teller.say("submitted", name=name, id=name.rpartition("/")[2], state="PAUSED" if said.get("paused") else "ACTIVE")


def _state(name: str) -> str:
    return str(_ENDS.get(name, name.replace("PIPELINE_STATE_", "")))


def _look(job: Any) -> tuple[str, dict[str, str], str]:
    state = _state(job.state.name)  # asks
    resource = job.gca_resource
    details = list(resource.job_detail.task_details)
    named = {one.task_id: one for one in details}
    tasks = {}
    for one in details:
        path, parent = one.task_name, named.get(one.parent_task_id)
        while parent is not None and parent.task_name != job.job_id:  # Google's root is a task, named as the job
            path, parent = f"{parent.task_name}/{path}", named.get(parent.parent_task_id)
        if one.task_name != job.job_id:
            # "skipped due to cache hit" (PipelineTaskDetail.State)
            tasks[path] = "CACHED" if one.state.name == "SKIPPED" else one.state.name
    return state, tasks, sentence(resource.error.message) if resource.error.message else ""


if __name__ == "__main__":
    sys.path[:1] = []  # `telling` is loaded; nothing else is to be found here
    main(work, worded)
