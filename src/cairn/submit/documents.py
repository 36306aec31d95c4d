"""A checked pipeline as the document that clients send."""

from __future__ import annotations

import json
from typing import Any

from cairn.spec.types import Pipeline


def pipeline_documents(pipeline: Pipeline, *, caching: bool | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(PipelineSpec, PlatformSpec or {}). `caching`: of every task, also of nested pipelines; None: as it stands."""
    document = json.loads(pipeline.text)
    spec = document.get("pipelineSpec") or document.get("pipeline_spec") or document
    platform = document.get("platformSpec") or document.get("platform_spec") or {}
    if caching is not None:
        for component in (spec.get("root", {}), *spec.get("components", {}).values()):
            for task in component.get("dag", {}).get("tasks", {}).values():
                task.setdefault("cachingOptions", {})["enableCache"] = caching
    return spec, platform


def custom_jobs(pipeline: Pipeline) -> frozenset[str]:
    """Components whose executor is a CustomJob of Vertex AI; read, one may be a container."""
    spec, _ = pipeline_documents(pipeline)
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    components = spec.get("components", {})
    return frozenset(
        name for name, one in components.items() if "customJob" in executors.get(one.get("executorLabel", ""), {})
    )
