"""A run in memory: the tree of its DAGs and tasks, grown as tasks unfold. Only `decide` changes it."""

from __future__ import annotations

from collections import deque

import msgspec

from cairn.domain.runs import Failure, TaskInputs, TaskOutputs
from cairn.domain.states import RunState, TaskState
from cairn.spec.types import ComponentSpec, DagSpec, Pipeline, TaskSpec


class DagPlan(msgspec.Struct, frozen=True):
    """What is fixed about a DAG, worked out once per component however often it is instantiated."""

    component: ComponentSpec
    dag: DagSpec
    dependents: dict[str, tuple[str, ...]]
    produces: bool  # whether it has outputs at all


class Plans:
    """The DagPlans of one pipeline, made when first needed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.root = _plan(pipeline.root)
        self._by_component: dict[str, DagPlan] = {}

    def of(self, component: str) -> DagPlan:
        plan = self._by_component.get(component)
        if plan is None:
            plan = self._by_component[component] = _plan(self.pipeline.components[component])
        return plan


def _plan(component: ComponentSpec) -> DagPlan:
    dag = component.dag
    assert dag is not None
    dependents: dict[str, list[str]] = {name: [] for name in dag.tasks}
    for name, task in dag.tasks.items():
        for upstream in task.upstream:
            dependents[upstream].append(name)
    return DagPlan(
        component,
        dag,
        {name: tuple(names) for name, names in dependents.items()},
        bool(dag.parameter_outputs or dag.artifact_outputs),
    )


class DagNode:
    """One instance of a DAG: the root, a nested pipeline, or one iteration of a loop."""

    __slots__ = ("failed", "index", "inputs", "open", "owner", "path", "plan", "tasks")

    def __init__(self, plan: DagPlan, path: str, inputs: TaskInputs, owner: TaskNode | None, index: int | None) -> None:
        self.plan = plan
        self.path = path  # prefix of its tasks' paths, without the slash; "" for the root
        self.inputs = inputs
        self.owner = owner
        self.index = index
        self.failed: TaskNode | None = None  # the first of its tasks that failed
        self.tasks: dict[str, TaskNode] = {}
        self.open = 0  # tasks that have not ended


class TaskNode:
    """One instance of a task. `kind` is leaf, dag or loop."""

    __slots__ = (
        "attempts",
        "cached",
        "children",
        "component",
        "dag",
        "error",
        "inputs",
        "iterations",
        "kind",
        "loop",
        "outputs",
        "path",
        "payload",
        "retries",
        "spec",
        "state",
        "uid",
        "waiting",
    )

    def __init__(self, spec: TaskSpec, component: ComponentSpec, dag: DagNode) -> None:
        self.spec = spec
        self.component = component
        self.dag = dag
        self.path = f"{dag.path}/{spec.name}" if dag.path else spec.name
        self.kind = "loop" if spec.iterator else "dag" if component.dag else "leaf"
        self.state = TaskState.PENDING
        self.waiting = len(spec.upstream)
        self.uid = ""
        self.inputs: TaskInputs | None = None
        self.outputs: TaskOutputs | None = None
        self.error: Failure | None = None
        self.children: DagNode | None = None
        self.loop: LoopProgress | None = None
        self.iterations = 0  # of a loop, once its items are known
        self.cached = False
        self.attempts = 0
        self.retries = 0
        self.payload: object = None  # the driver's own, between driving and the end


class LoopProgress:
    """Iterations are instantiated as the parallelism limit allows; when they end, only their outputs are kept."""

    __slots__ = ("active", "failed", "following", "items", "results", "running")

    def __init__(self, items: list[TaskInputs]) -> None:
        self.items: list[TaskInputs | None] = list(items)
        self.following = 0  # index of the next iteration to begin
        self.active = 0
        self.running: dict[int, DagNode] = {}
        self.results: list[TaskOutputs | None] = [None] * len(items)
        self.failed: Failure | None = None


class RunTree:
    """The whole state of a run that `decide` works on."""

    __slots__ = (
        "cancelling",
        "error",
        "expired",
        "fail_fast",
        "failing",
        "plans",
        "root",
        "running",
        "settled",
        "state",
    )

    def __init__(self, pipeline: Pipeline, *, fail_fast: bool = False) -> None:
        self.plans = Plans(pipeline)
        self.fail_fast = fail_fast
        self.failing = False  # fail-fast has struck: nothing new begins but exit tasks
        self.cancelling = False
        self.state = RunState.PENDING
        self.root: DagNode | None = None
        self.error: Failure | None = None
        self.expired: Failure | None = None  # the run is being ended for its time-out, not for a user
        self.running: set[TaskNode] = set()  # leaves driven or running: what a cancel has to stop
        self.settled: deque[TaskNode] = deque()  # tasks whose end has not been told to their dependents yet


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
