"""The operations of Cairn's own API."""

from __future__ import annotations

from typing import Any

from cairn.api.access import PUBLIC, READ_ANY, WRITE_ANY, Access, Role, Scope
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Reply, json_reply
from cairn.api.own import events, runs, server_state, types
from cairn.api.own.events import Events
from cairn.api.own.metrics import Metrics
from cairn.api.own.openapi import describe
from cairn.api.own.operations import LOCATION, PREFIX, PROJECT, RUN, TASK, Operation, Parameter, answering
from cairn.api.own.watching import JournalWatch
from cairn.domain.states import RunState
from cairn.launcher.logs import STREAMS

_RUN = f"{PREFIX}/runs/{{run}}"
_SEEN = Access(Scope.SERVER, Role.VIEWER)
_WHERE = (RUN, PROJECT, LOCATION)


def front(context: Context) -> Front:
    operations = [*_runs(Events(JournalWatch(context))), *_server(Metrics(context))]
    described: dict[str, Any] = {}

    def openapi(_call: Call) -> Reply:
        """This description."""
        return json_reply(described)

    operations.append(
        Operation("GET", f"{PREFIX}/openapi.json", "openapi", "This description.", openapi, READ_ANY, dict, statuses=())
    )
    described.update(describe(operations))
    prefixes = (f"{PREFIX}/", "/healthz", "/readyz", "/livez", "/metrics")
    return Front("own", prefixes, [operation.route() for operation in operations])


def _runs(streams: Events) -> list[Operation]:
    integer, text = {"type": "integer"}, {"type": "string"}
    page = (
        Parameter("page_size", "At most this many.", {**integer, "minimum": 1, "maximum": runs.MAX_PAGE}),
        Parameter("page_token", "`next_page_token` of the page before.", text),
        Parameter("state", "Only runs in this state.", {"enum": [str(state) for state in RunState]}),
        Parameter("pipeline", "Only runs of this pipeline.", text),
        PROJECT,
        LOCATION,
    )
    after = Parameter("after", "Events after this sequence; Last-Event-ID goes before it.", {**integer, "minimum": 0})
    with_logs = Parameter("logs", "Also what the steps write.", {"enum": ["true", "false"]})
    one_task = Parameter(TASK.name, TASK.description, TASK.schema)
    attempt = Parameter("attempt", "A number, or all; the latest of each task when left out.", text)
    stream = Parameter("stream", "One of the two.", {"enum": list(STREAMS)})
    replica = Parameter("replica", "One of a job's replicas, such as workerpool1-0; all when left out.", text)
    other = Parameter("with", "The other run.", text, required=True)
    summary, listed = types.RunSummary, types.RunList
    return [
        Operation(
            "GET",
            f"{PREFIX}/runs",
            "listRuns",
            "Runs, newest first.",
            answering(runs.list_runs),
            READ_ANY,
            listed,
            page,
        ),
        Operation(
            "POST",
            f"{PREFIX}/runs",
            "submitRun",
            "Record a run and start it.",
            answering(runs.submit),
            WRITE_ANY,
            summary,
            (),
            types.NewRun,
            (400, 404, 409),
        ),
        Operation(
            "GET", _RUN, "showRun", "A run with its tasks.", answering(runs.show), READ_ANY, types.RunDetail, _WHERE
        ),
        Operation(
            "DELETE",
            _RUN,
            "deleteRun",
            "Delete a run with what only it refers to.",
            answering(runs.delete),
            WRITE_ANY,
            dict,
            _WHERE,
        ),
        Operation(
            "POST",
            f"{_RUN}:cancel",
            "cancelRun",
            "Ask for a run's end.",
            answering(runs.cancel),
            WRITE_ANY,
            summary,
            _WHERE,
            types.Cancellation,
        ),
        Operation(
            "POST",
            f"{_RUN}:resume",
            "resumeRun",
            "Go on with a run that ended, from what did not succeed.",
            answering(runs.resume),
            WRITE_ANY,
            summary,
            _WHERE,
            types.Resumption,
        ),
        Operation(
            "GET",
            f"{_RUN}/why",
            "explainTask",
            "Why a task was computed or taken from the cache.",
            answering(runs.why),
            READ_ANY,
            types.Why,
            (*_WHERE, TASK),
        ),
        Operation(
            "GET",
            f"{_RUN}/diff",
            "diffRuns",
            "What differs between two runs.",
            answering(runs.diff),
            READ_ANY,
            types.Differences,
            (*_WHERE, other),
        ),
        Operation(
            "GET",
            f"{_RUN}/logs",
            "runLogs",
            "What its steps have written so far.",
            events.logs,
            READ_ANY,
            "text/plain",
            (*_WHERE, one_task, attempt, stream, replica),
        ),
        Operation(
            "GET",
            f"{_RUN}/events",
            "watchRun",
            "Its transitions as server-sent events, until it has ended.",
            streams.stream,
            READ_ANY,
            "text/event-stream",
            (*_WHERE, after, with_logs, one_task),
        ),
    ]


def _server(metrics: Metrics) -> list[Operation]:
    health = types.Health
    return [
        Operation(
            "GET", "/healthz", "healthz", "The process answers.", server_state.livez, PUBLIC, health, statuses=()
        ),
        Operation("GET", "/livez", "livez", "The process answers.", server_state.livez, PUBLIC, health, statuses=()),
        Operation(
            "GET", "/readyz", "readyz", "Requests are welcome.", server_state.readyz, PUBLIC, health, statuses=()
        ),
        Operation(
            "GET",
            f"{PREFIX}/status",
            "status",
            "What this server is.",
            answering(server_state.status),
            READ_ANY,
            types.ServerStatus,
            statuses=(),
        ),
        Operation(
            "GET", "/metrics", "metrics", "Prometheus metrics.", metrics.expose, _SEEN, "text/plain", statuses=()
        ),
    ]
