"""The routes of KFP v2beta1: every one that kfp_server_api 2.17 has, and those that earlier servers had beside."""

from __future__ import annotations

from cairn.api.access import PUBLIC, READ_ANY, WRITE_ANY, Access
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Handler, Reply, Route, json_reply
from cairn.api.kfp import artifacts, experiments, pipelines, recurring_runs, runs
from cairn.api.kfp.messages import worded
from cairn.api.kfp.uploads import UPLOAD_LIMIT
from cairn.errors import Unimplemented

PREFIX = "/apis/v2beta1"
_SMALL = 1024 * 1024  # bytes of a body that holds no pipeline


def front(context: Context) -> Front:  # noqa: ARG001
    routes = [*_pipelines(), *_experiments(), *_runs(), *_recurring_runs(), *_others()]
    return Front("kfp", (f"{PREFIX}/",), routes, worded)


def healthz(_call: Call) -> Reply:
    """`multi_user` false: the client needs no namespace."""
    return json_reply({"multi_user": False, "pipeline_store": "database"})


def authorize(_call: Call) -> Reply:
    """Whoever came as far as here may read; what else they may is decided where they do it."""
    return json_reply({})


def _route(method: str, path: str, handler: Handler, access: Access, name: str, limit: int = _SMALL) -> Route:
    return Route(method, f"{PREFIX}{path}", handler, access, f"kfp.{name}", limit)


def _refusing(what: str) -> Handler:
    def refuse(_call: Call) -> Reply:
        raise Unimplemented(what)

    return refuse


def _pipelines() -> list[Route]:
    version = "/pipelines/{pipeline_id}/versions/{pipeline_version_id}"
    changed = "/pipelines/{pipeline_version.pipeline_id}/versions/{pipeline_version.pipeline_version_id}"
    return [
        _route("POST", "/pipelines/upload", pipelines.upload, WRITE_ANY, "UploadPipeline", UPLOAD_LIMIT),
        _route(
            "POST",
            "/pipelines/upload_version",
            pipelines.upload_version,
            WRITE_ANY,
            "UploadPipelineVersion",
            UPLOAD_LIMIT,
        ),
        _route("POST", "/pipelines", pipelines.create, WRITE_ANY, "CreatePipeline"),
        _route("POST", "/pipelines/create", pipelines.create_with_version, WRITE_ANY, "CreatePipelineAndVersion"),
        _route("GET", "/pipelines", pipelines.list_, READ_ANY, "ListPipelines"),
        _route("GET", "/pipelines/names/{name}", pipelines.get_by_name, READ_ANY, "GetPipelineByName"),
        _route("GET", "/pipelines/{pipeline_id}", pipelines.get, READ_ANY, "GetPipeline"),
        _route("PATCH", "/pipelines/{pipeline.pipeline_id}", pipelines.update, WRITE_ANY, "UpdatePipeline"),
        _route("DELETE", "/pipelines/{pipeline_id}", pipelines.delete, WRITE_ANY, "DeletePipeline"),
        _route(
            "POST", "/pipelines/{pipeline_id}/versions", pipelines.create_version, WRITE_ANY, "CreatePipelineVersion"
        ),
        _route("GET", "/pipelines/{pipeline_id}/versions", pipelines.list_versions, READ_ANY, "ListPipelineVersions"),
        _route("GET", version, pipelines.get_version, READ_ANY, "GetPipelineVersion"),
        _route("PATCH", changed, pipelines.update_version, WRITE_ANY, "UpdatePipelineVersion"),
        _route("DELETE", version, pipelines.delete_version, WRITE_ANY, "DeletePipelineVersion"),
    ]


def _experiments() -> list[Route]:
    one = "/experiments/{experiment_id}"
    return [
        _route("POST", "/experiments", experiments.create, WRITE_ANY, "CreateExperiment"),
        _route("GET", "/experiments", experiments.list_, READ_ANY, "ListExperiments"),
        _route("GET", one, experiments.get, READ_ANY, "GetExperiment"),
        _route("POST", f"{one}:archive", experiments.archive, WRITE_ANY, "ArchiveExperiment"),
        _route("POST", f"{one}:unarchive", experiments.unarchive, WRITE_ANY, "UnarchiveExperiment"),
        _route("DELETE", one, experiments.delete, WRITE_ANY, "DeleteExperiment"),
    ]


def _runs() -> list[Route]:
    one = "/runs/{run_id}"
    no_metrics = _refusing("runs take no reported metrics; write a Metrics artifact in the step")
    no_bytes = _refusing("artifacts are not read through this API; their URI says where they are")
    return [
        _route("POST", "/runs", runs.create, WRITE_ANY, "CreateRun", UPLOAD_LIMIT),
        _route("GET", "/runs", runs.list_, READ_ANY, "ListRuns"),
        _route("GET", one, runs.get, READ_ANY, "GetRun"),
        _route("POST", f"{one}:terminate", runs.terminate, WRITE_ANY, "TerminateRun"),
        _route("POST", f"{one}:retry", runs.retry, WRITE_ANY, "RetryRun"),
        _route("POST", f"{one}:archive", runs.archive, WRITE_ANY, "ArchiveRun"),
        _route("POST", f"{one}:unarchive", runs.unarchive, WRITE_ANY, "UnarchiveRun"),
        _route("DELETE", one, runs.delete, WRITE_ANY, "DeleteRun"),
        _route("POST", f"{one}:reportMetrics", no_metrics, WRITE_ANY, "ReportRunMetrics"),
        _route("GET", f"{one}/nodes/{{node_id}}/artifacts/{{artifact_name}}:read", no_bytes, READ_ANY, "ReadArtifact"),
        _route(
            "GET",
            f"{one}/nodes/{{node_id}}/log",
            _refusing("logs are at /cairn/v1/runs/{run}/logs"),
            READ_ANY,
            "ReadRunLog",
        ),
    ]


def _recurring_runs() -> list[Route]:
    one = "/recurringruns/{recurring_run_id}"
    return [
        _route("POST", "/recurringruns", recurring_runs.create, WRITE_ANY, "CreateRecurringRun", UPLOAD_LIMIT),
        _route("GET", "/recurringruns", recurring_runs.list_, READ_ANY, "ListRecurringRuns"),
        _route("GET", one, recurring_runs.get, READ_ANY, "GetRecurringRun"),
        _route("POST", f"{one}:enable", recurring_runs.enable, WRITE_ANY, "EnableRecurringRun"),
        _route("POST", f"{one}:disable", recurring_runs.disable, WRITE_ANY, "DisableRecurringRun"),
        _route("DELETE", one, recurring_runs.delete, WRITE_ANY, "DeleteRecurringRun"),
    ]


def _others() -> list[Route]:
    no_writes = _refusing("artifacts are recorded by the engine, and through the Vertex API's MetadataService")
    no_workflows = _refusing("there are no Argo workflows here: the engine keeps its own record")
    return [
        _route("GET", "/healthz", healthz, PUBLIC, "GetHealthz"),
        _route("GET", "/auth", authorize, READ_ANY, "Authorize"),
        _route("GET", "/filters", _refusing("filters are given to lists"), READ_ANY, "GetFilter"),
        _route("GET", "/artifacts", artifacts.list_, READ_ANY, "ListArtifacts"),
        _route("GET", "/artifacts/{artifact_id}", artifacts.get, READ_ANY, "GetArtifact"),
        _route("POST", "/artifacts", no_writes, WRITE_ANY, "CreateArtifact"),
        _route("POST", "/artifacts:batchCreate", no_writes, WRITE_ANY, "CreateArtifactsBulk"),
        _route("GET", "/artifact_tasks", no_writes, READ_ANY, "ListArtifactTasks"),
        _route("POST", "/artifact_tasks", no_writes, WRITE_ANY, "CreateArtifactTask"),
        _route("POST", "/artifact_tasks:batchCreate", no_writes, WRITE_ANY, "CreateArtifactTasksBulk"),
        _route("POST", "/workflows", no_workflows, WRITE_ANY, "ReportWorkflow"),
        _route("POST", "/scheduledworkflows", no_workflows, WRITE_ANY, "ReportScheduledWorkflow"),
        _route(
            "POST",
            "/visualizations/{namespace}",
            _refusing("there are no visualizations"),
            WRITE_ANY,
            "CreateVisualization",
        ),
    ]
