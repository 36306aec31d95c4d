"""The REST face: a route for every HTTP rule of the API's description."""

from __future__ import annotations

import re
import threading
from typing import Any

from cairn.api.access import READ, READ_ANY, WRITE, WRITE_ANY, Access
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Handler, Reply, Route
from cairn.api.vertex import codec
from cairn.api.vertex.description import Method, Rule, methods
from cairn.api.vertex.handlers import dispatch, handler_of
from cairn.spec.load import load_text

PREFIXES = ("/v1/", "/ui/", "/v1beta1/", "/v3/")
# The protos have no field: handlers look for it.
_WITH_REQUEST_ID = frozenset(
    (
        "PipelineService.CreatePipelineJob",
        "PipelineService.CreateTrainingPipeline",
        "JobService.CreateCustomJob",
        "JobService.CreateHyperparameterTuningJob",
    )
)
_REQUEST_ID = ("requestId", "request_id")
_LEAST_PIPELINE = """\
{"schemaVersion": "2.1.0", "pipelineInfo": {"name": "none"},
 "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}, "taskInfo": {"name": "a"}}}}},
 "components": {"comp-a": {"executorLabel": "exec-a"}},
 "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "none", "command": ["true"]}}}}}
"""
_READING = re.compile(r"(Get|List|Lookup|Query|Search|BatchRead|Read|Export|Wait)")


def front(context: Context) -> Front:  # noqa: ARG001
    threading.Thread(target=_warm, name="vertex", daemon=True).start()
    return Front("vertex", PREFIXES, routes())


def routes() -> list[Route]:
    return [route for method in methods().values() for route in _routes(method)]


def _warm() -> None:
    """Load now what the first request would wait for: modules only, nothing of the home's is made here."""
    load_text(_LEAST_PIPELINE, origin="warm")
    codec.parse("google.cloud.aiplatform.v1.PipelineJob", {})


def access_of(method: Method, template: str = "projects/") -> Access:
    """Reading asks for a viewer, all else for an editor: in the project of the resource's name. A name without a
    project (publishers' models, the express mode) belongs to nobody's."""
    if method.name == "Projects.GetProject":
        return READ_ANY  # it may be named by number: the handler looks
    reads = _READING.match(method.verb) is not None
    if "projects/" in template:
        return READ if reads else WRITE
    return READ_ANY if reads else WRITE_ANY


def _routes(method: Method) -> list[Route]:
    found = []
    for number, rule in enumerate(method.rules):
        name = f"vertex.{method.name}" + (f".{number}" if number else "")
        found.append(Route(rule.verb, rule.template, _handler(method, rule), access_of(method, rule.template), name))
    return found


def _handler(method: Method, rule: Rule) -> Handler:
    named = method.name in _WITH_REQUEST_ID

    def handle(call: Call) -> Reply:
        handler_of(method)  # what is not there is said before anything else
        body: Any = call.json() if call.content else None
        query = [(name, value) for name, value in call.query if name not in _REQUEST_ID] if named else call.query
        request = codec.parse_request(method, rule, variables=call.variables, query=query, body=body)
        return Reply(200, codec.encode(dispatch(method, request, call)))

    return handle
