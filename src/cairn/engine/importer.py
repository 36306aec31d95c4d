"""Importer tasks: an artifact that exists already, or is recorded anew, without a process."""

from __future__ import annotations

import os
import shutil

from cairn.domain.artifacts import Artifact
from cairn.domain.ids import random_uid
from cairn.domain.runs import Run, TaskInputs
from cairn.engine.services import Services
from cairn.engine.tree import TaskNode
from cairn.errors import InputRefused, StepError
from cairn.spec.placeholders import PlaceholderContext, resolve_value
from cairn.spec.types import ImporterSpec


def import_artifact(
    task: TaskNode,
    spec: ImporterSpec,
    inputs: TaskInputs,
    context: PlaceholderContext,
    services: Services,
    run: Run,
    workspace: str,
) -> Artifact:
    """The imported artifact. Without `reimport` the newest recorded one of the same URI, type and metadata is taken.

    Raises StepError when the URI has no value or may not be read.
    """
    uri = context.text(spec.uri) if spec.uri else inputs.parameters.get(spec.uri_parameter)
    if not isinstance(uri, str) or not uri:
        raise StepError(f"the importer's URI has no value (input {spec.uri_parameter!r})")
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    metadata = resolve_value(spec.metadata, context) if spec.metadata else {}
    try:
        if not services.store.shows(uri, run.project):
            raise InputRefused(f"there is no such bucket in project {run.project}")
        fingerprint = services.store.import_uri(uri)
    except InputRefused as error:
        raise StepError(f"cannot import {uri!r}: {error.message}", remedy=error.remedy) from error
    if not spec.reimport and not spec.download_to_workspace:
        for known in services.records.artifacts_by_uri(run.project, run.location, uri, spec.type.schema_title):
            if known.metadata == metadata and known.fingerprint == fingerprint:
                return known
    custom_path = _into_workspace(task, uri, services, workspace) if spec.download_to_workspace else ""
    return Artifact(
        id=random_uid(),
        type=spec.type,
        uri=uri,
        metadata=metadata,
        display_name=next(iter(task.component.output_artifacts), "artifact"),
        custom_path=custom_path,
        fingerprint=fingerprint,
        create_time=services.clock.now(),
    )


def _into_workspace(task: TaskNode, uri: str, services: Services, workspace: str) -> str:
    if not workspace:
        raise StepError(
            "download_to_workspace needs a workspace",
            remedy="give the pipeline one: dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size=…))",
        )
    source = services.store.path_of(uri)
    if source is None or not os.path.exists(source):
        raise StepError(f"download_to_workspace: there is nothing at {uri}")
    # kfp.dsl looks for it there, as `artifact_json` tells it.
    target = os.path.join(workspace, ".artifacts", services.store.step_path_of(uri).strip("/"))
    if os.path.exists(target):
        return target
    os.makedirs(os.path.dirname(target), exist_ok=True)
    staged = f"{target}.{task.uid}.part"
    if os.path.isdir(source):
        shutil.rmtree(staged, ignore_errors=True)
        shutil.copytree(source, staged, symlinks=True)
    else:
        shutil.copyfile(source, staged)
    os.rename(staged, target)
    return target
