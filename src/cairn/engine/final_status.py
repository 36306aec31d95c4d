"""PipelineTaskFinalStatus: what an exit task is told of the tasks before it (pipeline_spec.proto)."""

from __future__ import annotations

import re
from typing import Any

from cairn.domain.states import TaskState
from cairn.domain.values import ParameterType
from cairn.engine.tree import TaskNode
from cairn.spec.types import ContainerSpec, Pipeline

_COMPLETE = re.compile(r"""["']COMPLETE["']""")
_SUCCEEDED = re.compile(r"""["']SUCCEEDED["']""")


def success_spelling(pipeline: Pipeline) -> str:
    """How success is spelt to exit tasks.

    Vertex AI and kfp.local say SUCCEEDED, Kubeflow's own backend says COMPLETE (an ML-Metadata
    state), and a component can only be written for one of them. So the components that are given a status decide:
    COMPLETE when their code names that and not the other.
    """
    texts = [
        "\n".join((*component.executor.command, *component.executor.args))
        for component in pipeline.components.values()
        if isinstance(component.executor, ContainerSpec)
        and any(spec.type is ParameterType.TASK_FINAL_STATUS for spec in component.input_parameters.values())
    ]
    kubeflow = any(_COMPLETE.search(text) for text in texts) and not any(_SUCCEEDED.search(text) for text in texts)
    return "COMPLETE" if kubeflow else "SUCCEEDED"


def final_status(
    task: TaskNode, *, resource_name: str, job_name: str, job_uuid: str, success: str = "SUCCEEDED"
) -> dict[str, Any]:
    state = str(task.state)
    if task.state is TaskState.SUCCEEDED:
        state = success
    elif task.state is TaskState.SKIPPED:
        state = "SKIPPED" if task.error is None else "NOT_TRIGGERED"
    error: dict[str, Any] = {}
    if task.error is not None and task.state is TaskState.FAILED:
        error = {"code": task.error.code, "message": task.error.message}
    return {
        "state": state,
        "pipelineJobUuid": job_uuid,
        "pipelineJobName": job_name,
        "pipelineJobResourceName": resource_name,
        "pipelineTaskName": task.spec.name,
        "error": error,
    }
