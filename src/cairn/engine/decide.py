"""What follows from what: state and event in, actions out. No I/O, no clock, no randomness.

Each event costs work in proportion to what it touches (the task, its dependents, its loop's next iteration), never to
the size of the run. The same events in the same order give the same actions, which is how a run is recovered: its
recorded results are fed through here again.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import msgspec

from cairn.domain.runs import Failure, TaskInputs, TaskOutputs
from cairn.domain.states import RunState, TaskState
from cairn.engine.outputs import collect_dag, collect_loop
from cairn.engine.transitions import check_run, check_task
from cairn.engine.tree import DagNode, DagPlan, LoopProgress, RunTree, TaskNode
from cairn.spec.types import TriggerStrategy

# --- events ----------------------------------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True):
    """The run starts with these inputs of the root."""

    inputs: TaskInputs


class Skip(msgspec.Struct, frozen=True):
    """The driver found the task's condition false."""

    task: TaskNode
    reason: str = ""


class Unfold(msgspec.Struct, frozen=True):
    """The driver resolved the inputs of a nested pipeline."""

    task: TaskNode
    inputs: TaskInputs


class Iterate(msgspec.Struct, frozen=True):
    """The driver resolved a loop: the inputs of each iteration, in order."""

    task: TaskNode
    inputs: TaskInputs
    items: list[TaskInputs]


class Started(msgspec.Struct, frozen=True):
    """An attempt of a leaf was admitted."""

    task: TaskNode


class Again(msgspec.Struct, frozen=True):
    """An attempt ended and another is to follow: the leaf waits for it."""

    task: TaskNode


class Finished(msgspec.Struct, frozen=True):
    """A leaf ended for good."""

    task: TaskNode
    state: TaskState
    outputs: TaskOutputs | None = None
    error: Failure | None = None


class Cancel(msgspec.Struct, frozen=True):
    """The run is to end: the user wants it, or it has `expired`, which makes it a failure."""

    expired: Failure | None = None


Event: TypeAlias = Begin | Skip | Unfold | Iterate | Started | Again | Finished | Cancel

# --- actions ---------------------------------------------------------------------------------------------------------


class Drive(msgspec.Struct, frozen=True):
    """Everything upstream allows it: resolve the task's inputs and go on."""

    task: TaskNode


class Record(msgspec.Struct, frozen=True):
    """The task's state changed."""

    task: TaskNode


class Stop(msgspec.Struct, frozen=True):
    """A leaf in progress is to be stopped; its end still has to be reported."""

    task: TaskNode


class EndRun(msgspec.Struct, frozen=True):
    state: RunState
    outputs: TaskOutputs | None
    error: Failure | None


Action: TypeAlias = Drive | Record | Stop | EndRun


def decide(run: RunTree, event: Event) -> list[Action]:
    """Take `event` in and say what has to happen, in order."""
    actions: list[Action] = []
    match event:
        case Finished():
            run.running.discard(event.task)
            _settle(run, event.task, event.state, event.outputs, event.error, actions)
        case Started():
            _change(event.task, TaskState.RUNNING, actions)
        case Skip():
            run.running.discard(event.task)
            error = Failure(event.reason, kind="Skipped", code=0) if event.reason else None
            _settle(run, event.task, TaskState.SKIPPED, None, error, actions)
        case Unfold():
            run.running.discard(event.task)
            event.task.inputs = event.inputs
            _change(event.task, TaskState.RUNNING, actions)
            plan = run.plans.of(event.task.spec.component)
            event.task.children = _open(run, plan, event.task.path, event.inputs, event.task, None, actions)
        case Iterate():
            run.running.discard(event.task)
            event.task.inputs = event.inputs
            event.task.loop = LoopProgress(event.items)
            event.task.iterations = len(event.items)
            _change(event.task, TaskState.RUNNING, actions)
            _advance(run, event.task, actions)
        case Again():
            _change(event.task, TaskState.PENDING, actions)
            if run.cancelling:
                run.running.discard(event.task)
                _settle(run, event.task, TaskState.CANCELLED, None, None, actions)
        case Begin():
            check_run(run.state, RunState.RUNNING)
            run.state = RunState.RUNNING
            run.root = _open(run, run.plans.root, "", event.inputs, None, None, actions)
        case Cancel():
            _cancel(run, event.expired, actions)
    _propagate(run, actions)
    return actions


def _open(
    run: RunTree,
    plan: DagPlan,
    path: str,
    inputs: TaskInputs,
    owner: TaskNode | None,
    index: int | None,
    actions: list[Action],
) -> DagNode:
    node = DagNode(plan, path, inputs, owner, index)
    components = run.plans.pipeline.components
    for name, spec in plan.dag.tasks.items():
        node.tasks[name] = TaskNode(spec, components[spec.component], node)
    node.open = len(node.tasks)
    for task in node.tasks.values():
        if not task.waiting:
            _trigger(run, task, actions)
    return node


def _trigger(run: RunTree, task: TaskNode, actions: list[Action]) -> None:
    """Everything upstream of the task has ended: does it run?"""
    if run.cancelling:
        _settle(run, task, TaskState.CANCELLED, None, None, actions)
        return
    if task.spec.strategy is TriggerStrategy.ALL_SUCCEEDED:
        siblings = task.dag.tasks
        for name in task.spec.upstream:
            if siblings[name].state is not TaskState.SUCCEEDED:
                reason = Failure(f"not run: {siblings[name].path} is {siblings[name].state}", kind="Skipped", code=0)
                _settle(run, task, TaskState.SKIPPED, None, reason, actions)
                return
        if run.failing:
            reason = Failure("not run: the failure policy is fast and a task failed", kind="Skipped", code=0)
            _settle(run, task, TaskState.SKIPPED, None, reason, actions)
            return
    run.running.add(task)
    actions.append(Drive(task))


def _change(task: TaskNode, state: TaskState, actions: list[Action]) -> None:
    if task.state is not state:
        check_task(task.state, state, task.path)
        task.state = state
        actions.append(Record(task))


def _settle(
    run: RunTree,
    task: TaskNode,
    state: TaskState,
    outputs: TaskOutputs | None,
    error: Failure | None,
    actions: list[Action],
) -> None:
    check_task(task.state, state, task.path)
    task.state = state
    task.outputs = outputs
    task.error = error
    actions.append(Record(task))
    if state is TaskState.FAILED and run.fail_fast:
        run.failing = True
    run.settled.append(task)


def _propagate(run: RunTree, actions: list[Action]) -> None:
    """Tell the ends that have not been told. A queue, not recursion: chains may be thousands of tasks long."""
    while run.settled:
        task = run.settled.popleft()
        dag = task.dag
        if task.state is TaskState.FAILED and dag.failed is None:
            dag.failed = task
        for name in dag.plan.dependents[task.spec.name]:
            dependent = dag.tasks[name]
            dependent.waiting -= 1
            if not dependent.waiting and dependent.state is TaskState.PENDING:
                _trigger(run, dependent, actions)
        dag.open -= 1
        if not dag.open:
            _close(run, dag, actions)


def _close(run: RunTree, dag: DagNode, actions: list[Action]) -> None:
    """Every task of the DAG has ended."""
    outputs = collect_dag(dag) if dag.plan.produces else TaskOutputs()
    error = _blame(dag)
    owner = dag.owner
    if owner is None:
        _end(run, outputs, error, actions)
    elif dag.index is None:
        owner.children = None
        state = _outcome(run, error)
        _settle(run, owner, state, outputs, error, actions)
    else:
        loop = owner.loop
        assert loop is not None
        del loop.running[dag.index]
        loop.active -= 1
        loop.results[dag.index] = outputs if dag.plan.produces else None
        if error and loop.failed is None:
            loop.failed = error
        _advance(run, owner, actions)


def _blame(dag: DagNode) -> Failure | None:
    if dag.failed is None:
        return None
    cause = dag.failed
    if cause.error is not None and cause.error.place:
        return cause.error
    message = cause.error.message if cause.error else "the task failed"
    kind = cause.error.kind if cause.error else "StepError"
    code = cause.error.code if cause.error else 13
    remedy = cause.error.remedy if cause.error else ""
    return Failure(message, kind=kind, code=code, place=cause.path, remedy=remedy)


def _outcome(run: RunTree, error: Failure | None) -> TaskState:
    if run.cancelling:
        return TaskState.CANCELLED
    return TaskState.FAILED if error else TaskState.SUCCEEDED


def _advance(run: RunTree, task: TaskNode, actions: list[Action]) -> None:
    """Begin the loop's next iterations as far as its parallelism allows, or end it."""
    loop = task.loop
    assert loop is not None and task.inputs is not None
    limit = task.spec.parallelism or len(loop.items)
    plan = run.plans.of(task.spec.component)
    halted = run.cancelling or run.failing
    while loop.following < len(loop.items) and loop.active < limit and not halted:
        index = loop.following
        loop.following += 1
        loop.active += 1
        inputs = loop.items[index]
        assert inputs is not None
        loop.items[index] = None
        loop.running[index] = _open(run, plan, f"{task.path}[{index}]", inputs, task, index, actions)
    if not loop.active and (halted or loop.following == len(loop.items)):
        outputs = collect_loop(plan, loop.results) if plan.produces else TaskOutputs()
        task.loop = None
        _settle(run, task, _outcome(run, loop.failed), outputs, loop.failed, actions)


def _end(run: RunTree, outputs: TaskOutputs, error: Failure | None, actions: list[Action]) -> None:
    error = run.expired or error
    if run.cancelling and run.expired is None:
        state = RunState.CANCELLED
    else:
        state = RunState.FAILED if error else RunState.SUCCEEDED
    check_run(run.state, state)
    run.state = state
    run.error = error
    actions.append(EndRun(state, outputs, error))


def _cancel(run: RunTree, expired: Failure | None, actions: list[Action]) -> None:
    """Stop what runs, give up what waits; the run ends when the last process is gone."""
    if run.cancelling or run.state.terminal:
        return
    check_run(run.state, RunState.CANCELLING)
    run.state = RunState.CANCELLING
    run.cancelling = True
    run.expired = expired
    for task in sorted(run.running, key=lambda task: task.path):
        actions.append(Stop(task))
    for dag in _open_dags(run):
        for task in list(dag.tasks.values()):
            idle = task.state is TaskState.PENDING and task not in run.running
            if idle and task.waiting:
                task.waiting = 0
                _settle(run, task, TaskState.CANCELLED, None, None, actions)


def _open_dags(run: RunTree) -> list[DagNode]:
    if run.root is None:
        return []
    found: list[DagNode] = []
    queue: deque[DagNode] = deque([run.root])
    while queue:
        dag = queue.popleft()
        found.append(dag)
        for task in dag.tasks.values():
            if task.children is not None:
                queue.append(task.children)
            if task.loop is not None:
                queue.extend(task.loop.running.values())
    return found
