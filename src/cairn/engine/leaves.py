"""A leaf on its way to a process: what its component has in common, its resolved inputs, one attempt at it."""

from __future__ import annotations

import math

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.resources import Resources
from cairn.domain.runs import CacheComparison, Failure, TaskInputs
from cairn.domain.states import TaskState
from cairn.engine.decide import Finished
from cairn.engine.gangs import Gang
from cairn.engine.layout import AttemptLayout
from cairn.engine.memory import Memory
from cairn.engine.ports import NATIVE_ENVIRONMENT, Environment, EnvironmentPlan, StartAttempt
from cairn.engine.tree import TaskNode
from cairn.errors import CairnError
from cairn.spec.placeholders import CommandTemplate, PlaceholderContext, compile_command
from cairn.spec.types import ContainerSpec, JobSpec, NativeSpec


class LeafPlan:
    """What all instances of one component have in common."""

    __slots__ = (
        "container", "env", "environment", "fixed_gang", "fixed_resources", "image", "native", "parts", "plan",
        "pools", "template",
    )  # fmt: skip

    def __init__(self, executor: ContainerSpec | NativeSpec, plan: EnvironmentPlan) -> None:
        self.native = executor if isinstance(executor, NativeSpec) else None
        self.container = container = executor.container if isinstance(executor, NativeSpec) else executor
        self.plan = plan
        words = plan.call.arguments if plan.call else plan.command or (*container.command, *container.args)
        self.template: CommandTemplate = compile_command(self.native.arguments if self.native else words)
        self.env = container.env
        self.environment: Environment | None = NATIVE_ENVIRONMENT if self.native else None
        self.parts: dict[str, str] = {}
        self.fixed_resources: Resources | None = None
        self.fixed_gang: Gang | None = None
        self.image = ""  # one that the task's inputs have named: the component's own leaf plan has none
        self.pools: dict[str, LeafPlan] = {}  # of a custom job, by the keys of their plans: its other worker pools


def image_key(component: str, image: str) -> str:
    """Where the plan of a component in an image that a task's inputs name is found."""
    return f"{component}@{image}"


class Ready:
    """A leaf whose inputs are resolved."""

    __slots__ = ("comparison", "identity", "inputs", "leaf", "outputs", "task", "waited")

    def __init__(self, task: TaskNode, inputs: TaskInputs, leaf: LeafPlan) -> None:
        self.task = task
        self.inputs = inputs
        self.leaf = leaf
        self.comparison: CacheComparison | None = None
        self.waited = False  # for another run's: its record says so still
        self.identity: str | None = None  # of what a native step starts, once it was asked for


class Attempt:
    """One attempt on its way: what to start, and where its outputs will be."""

    __slots__ = ("context", "gang", "layout", "number", "output_uris", "ready", "request", "wait_until")

    def __init__(self, ready: Ready, number: int, layout: AttemptLayout, context: PlaceholderContext) -> None:
        self.ready = ready
        self.number = number
        self.layout = layout
        self.context = context
        self.output_uris: dict[str, str] = {}
        self.request: StartAttempt | None = None
        self.gang: Gang | None = None  # of a custom job
        self.wait_until = math.inf  # on the monotonic clock: not admitted by then, it fails


def not_started(task: TaskNode, error: CairnError) -> Finished:
    """A leaf that fails before anything of it was started."""
    failure = Failure(error.message, kind=type(error).__name__, place=error.place or task.path, remedy=error.remedy)
    return Finished(task, TaskState.FAILED, None, failure)


def limit_times(attempt: Attempt, job: JobSpec, began: int, memory: Memory, clock: Clock) -> bool:
    """Set the time that a custom job has left to wait and to run, counting what `memory` holds of its earlier attempts
    and of other engines; `began` is when the run did. False where none is left to run."""
    task, request = attempt.ready.task, attempt.request
    if job.max_wait_seconds:
        now = clock.now()
        since = min(memory.waiting_since(task.path, task.attempts) or now, now)
        attempt.wait_until = clock.monotonic() + job.max_wait_seconds - (now - since) / 1e6
    if request is None or not request.timeout_seconds or task.spec.retry is not None:  # a task's retry is a new job
        return True
    left = request.timeout_seconds - memory.spent(task.path, began)
    attempt.request = msgspec.structs.replace(request, timeout_seconds=left)
    return left > 0


def waited_too_long(attempt: Attempt) -> Finished:
    """A custom job that the machine had no room for in the time that it gives."""
    job = attempt.ready.leaf.container.job
    seconds = job.max_wait_seconds if job is not None else 0
    failure = Failure(
        f"the machine had no room for it within {seconds} seconds (maxWaitDuration)",
        kind="DeadlineExceeded",
        code=4,
        place=attempt.ready.task.path,
        remedy="let it wait longer, or ask for less",
    )
    return Finished(attempt.ready.task, TaskState.FAILED, None, failure)


def took_too_long(attempt: Attempt) -> Finished:
    """A custom job that was to start anew when the attempts before had used its time up."""
    seconds = attempt.ready.task.component.platform.active_deadline_seconds
    failure = Failure(
        f"its attempts took {seconds} seconds together (timeout)",
        kind="DeadlineExceeded",
        code=4,
        place=attempt.ready.task.path,
        remedy="give it more time",
    )
    return Finished(attempt.ready.task, TaskState.FAILED, None, failure)
