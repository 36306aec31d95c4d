"""One recorded task laid out once more, somewhere else: for a debugger, and without a trace in the run."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping, Sequence

from cairn.domain.ids import ordered_uid
from cairn.domain.resources import Capacity
from cairn.domain.runs import Run, TaskInputs, TaskRecord
from cairn.engine.driver import Driver
from cairn.engine.layout import workspace_directory
from cairn.engine.leaves import Ready
from cairn.engine.ports import Environment, EnvironmentPlan, StartAttempt
from cairn.engine.services import Services
from cairn.engine.tree import DagNode, Plans, TaskNode
from cairn.errors import InputRefused, NotFound
from cairn.spec.types import ContainerSpec, Pipeline

_INDEX = re.compile(r"\[\d+\]")


def replay(
    run: Run,
    pipeline: Pipeline,
    record: TaskRecord,
    records: Sequence[TaskRecord],
    services: Services,
    plans: Mapping[str, EnvironmentPlan],
    machine: Capacity,
    environment: Environment,
    scratch: str,
) -> StartAttempt:
    """What an executor would be asked to start for `record`, with its recorded inputs; outputs go below `scratch`.

    `records` are all of the run: names of secrets and volumes may come from its other tasks. Raises InputRefused for
    what is no container task, or never had its inputs.
    """
    task = _node(pipeline, record, records)
    if not isinstance(task.component.executor, ContainerSpec):
        raise InputRefused("runs no command of its own", place=record.path)
    if not record.attempts and not record.cached:
        raise InputRefused(f"was never started ({record.state}), so its inputs are not known", place=record.path)
    elsewhere = dataclasses.replace(services, runs_directory=f"{scratch}/runs")
    driver = Driver(run, pipeline, elsewhere, plans, machine)
    driver.root = f"{scratch}/outputs"
    _copy_workspace(run, pipeline, services.runs_directory, elsewhere.runs_directory)
    leaf = driver.leaves[task.spec.component]
    leaf.environment = environment
    task.inputs = record.inputs
    attempt = driver.attempt(Ready(task, record.inputs, leaf), 1)
    return driver.requests.request(attempt, ordered_uid())


def _node(pipeline: Pipeline, record: TaskRecord, records: Sequence[TaskRecord]) -> TaskNode:
    """The task in a tree of its own DAG alone, its siblings as they are recorded."""
    known = {each.path: each for each in records}
    plans = Plans(pipeline)
    plan = plans.root
    *above, name = _INDEX.sub("", record.path).split("/")
    for part in above:
        if part not in plan.dag.tasks:
            raise NotFound("is not a task of the pipeline as it is recorded now", place=record.path)
        plan = plans.of(plan.dag.tasks[part].component)
    if name not in plan.dag.tasks:
        raise NotFound("is not a task of the pipeline as it is recorded now", place=record.path)
    prefix = record.path.rpartition("/")[0]
    owner = known.get(_INDEX.sub("", prefix) if prefix.endswith("]") else prefix)
    dag = DagNode(plan, prefix, owner.inputs if owner else TaskInputs(), None, None)
    for sibling, spec in plan.dag.tasks.items():
        node = dag.tasks[sibling] = TaskNode(spec, pipeline.components[spec.component], dag)
        there = known.get(node.path)
        if there is not None:
            node.uid, node.outputs, node.state = there.uid, there.outputs, there.state
    return dag.tasks[name]


def _copy_workspace(run: Run, pipeline: Pipeline, before: str, after: str) -> None:
    if pipeline.workspace is None:
        return
    original = workspace_directory(before, run)
    if os.path.isdir(original):
        shutil.copytree(original, workspace_directory(after, run), symlinks=True, dirs_exist_ok=True)
