"""What follows from what, without processes, clocks or databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain.runs import Failure, TaskInputs, TaskOutputs
from cairn.domain.states import RunState, TaskState
from cairn.engine.decide import (
    Action,
    Again,
    Begin,
    Cancel,
    Drive,
    EndRun,
    Event,
    Finished,
    Iterate,
    Record,
    Skip,
    Started,
    Stop,
    Unfold,
    decide,
)
from cairn.engine.resolve import loop_items, resolve_inputs
from cairn.engine.tree import RunTree, TaskNode
from cairn.spec.types import Pipeline

from .pipelines import dag, pipeline, task


class Play:
    """Plays the driver and the executor: `outcome(path)` says how a leaf ends."""

    def __init__(self, spec: Pipeline, *, fail_fast: bool = False) -> None:
        self.tree = RunTree(spec, fail_fast=fail_fast)
        self.driven: list[TaskNode] = []
        self.states: dict[str, TaskState] = {}
        self.order: list[str] = []
        self.end: EndRun | None = None
        self.stopped: list[str] = []
        self.skip: Callable[[str], bool] = lambda path: False
        self.most_running = 0
        self.apply(Begin(TaskInputs()))

    def apply(self, event: Event) -> None:
        for action in decide(self.tree, event):
            self.take(action)

    def take(self, action: Action) -> None:
        match action:
            case Drive(node):
                self.driven.append(node)
            case Record(node):
                self.states[node.path] = node.state
            case Stop(node):
                self.stopped.append(node.path)
            case EndRun():
                assert self.end is None, "a run ends once"
                self.end = action

    def drive(self) -> list[TaskNode]:
        """Unfold what is not a leaf; the leaves that are left wait to be run."""
        leaves: list[TaskNode] = []
        while self.driven:
            node = self.driven.pop(0)
            if node.state.terminal:
                continue
            if self.skip(node.path):
                self.apply(Skip(node, "no"))
                continue
            inputs = resolve_inputs(node, lambda s: s, lambda value, _: value, lambda n: {"state": str(n.state)})
            if node.kind == "loop":
                self.apply(Iterate(node, inputs, loop_items(node, inputs)))
            elif node.kind == "dag":
                self.apply(Unfold(node, inputs))
            else:
                node.inputs = inputs
                leaves.append(node)
        return leaves

    def run(self, outcome: Callable[[str], TaskState | int] = lambda path: 1) -> Play:
        waiting = self.drive()
        for node in waiting:
            self.apply(Started(node))
        while waiting:
            self.most_running = max(self.most_running, len(waiting))
            node = waiting.pop(0)
            self.order.append(node.path)
            result = outcome(node.path)
            if isinstance(result, TaskState):
                error = Failure("broke") if result is TaskState.FAILED else None
                self.apply(Finished(node, result, None, error))
            else:
                self.apply(Finished(node, TaskState.SUCCEEDED, TaskOutputs({"Output": result})))
            for more in self.drive():
                self.apply(Started(more))
                waiting.append(more)
        return self


def failing(*paths: str) -> Callable[[str], TaskState | int]:
    return lambda path: TaskState.FAILED if path in paths else 1


def test_order_follows_from_data_as_well_as_from_dependent_tasks() -> None:
    play = Play(pipeline(task("c", data="b"), task("b", "a"), task("a"))).run()
    assert play.order == ["a", "b", "c"]
    assert play.end is not None and play.end.state is RunState.SUCCEEDED


def test_a_failed_task_leaves_what_follows_it_skipped_and_the_rest_running() -> None:
    play = Play(pipeline(task("a"), task("b", "a"), task("c", "b"), task("d"), task("e", "d"))).run(failing("a"))
    assert play.states == {
        "a": TaskState.FAILED,
        "b": TaskState.SKIPPED,
        "c": TaskState.SKIPPED,
        "d": TaskState.SUCCEEDED,
        "e": TaskState.SUCCEEDED,
    }
    assert play.end is not None and play.end.state is RunState.FAILED
    assert play.end.error is not None and play.end.error.place == "a"


def test_fail_fast_begins_nothing_new_but_exit_tasks() -> None:
    spec = pipeline(task("a"), task("d"), task("e", "d"), task("bye", "a", "e", exit_task=True))
    play = Play(spec, fail_fast=True).run(failing("a"))
    assert play.states["d"] is TaskState.SUCCEEDED  # it ran already
    assert play.states["e"] is TaskState.SKIPPED
    assert play.states["bye"] is TaskState.SUCCEEDED


def test_an_exit_task_runs_whatever_happened_and_the_run_still_fails() -> None:
    inner = dag("comp-exit-handler", task("work"))
    play = Play(
        pipeline(
            task("exit-handler-1", component="comp-exit-handler"),
            task("notify", "exit-handler-1", exit_task=True),
            components=[inner],
        )
    ).run(failing("exit-handler-1/work"))
    assert play.states["exit-handler-1"] is TaskState.FAILED
    assert play.states["notify"] is TaskState.SUCCEEDED
    assert play.end is not None and play.end.state is RunState.FAILED
    assert play.end.error is not None and play.end.error.place == "exit-handler-1/work"


def test_a_oneof_takes_the_branch_that_ran() -> None:
    branches = dag("comp-branches", task("if"), task("else"), outputs=["if", "else"])
    play = Play(
        pipeline(
            task("branches", component="comp-branches"),
            task("after", data="branches"),
            components=[branches],
            output="after",
        )
    )
    play.skip = lambda path: path == "branches/if"
    play.run(lambda path: 7 if path == "branches/else" else 8)
    after = play.tree.root.tasks["after"]  # type: ignore[union-attr]
    assert after.inputs is not None and after.inputs.parameters == {"x": 7}
    assert play.states["branches/if"] is TaskState.SKIPPED


def test_what_follows_a_skipped_task_is_skipped() -> None:
    play = Play(pipeline(task("a"), task("b", data="a"), task("c", data="b")))
    play.skip = lambda path: path == "a"
    play.run()
    assert set(play.states.values()) == {TaskState.SKIPPED}
    assert play.end is not None and play.end.state is RunState.SUCCEEDED


def test_a_loop_collects_its_iterations_in_order_however_they_end() -> None:
    body = dag("comp-body", task("double", item="item"), output="double")
    spec = pipeline(task("loop", component="comp-body", items=range(5)), components=[body])
    play = Play(spec).run(lambda path: int(path[5]) * 2)
    assert play.tree.root.tasks["loop"].outputs == TaskOutputs({"Output": [0, 2, 4, 6, 8]})  # type: ignore[union-attr]


def test_a_loop_keeps_to_its_parallelism() -> None:
    body = dag("comp-body", task("work", item="item"))
    play = Play(pipeline(task("loop", component="comp-body", items=range(9), parallelism=3), components=[body])).run()
    assert play.most_running == 3
    assert len(play.order) == 9


def test_a_loop_over_nothing_succeeds_with_empty_lists() -> None:
    body = dag("comp-body", task("work", item="item"), output="work")
    spec = pipeline(task("loop", component="comp-body", items=[]), task("after", "loop"), components=[body])
    play = Play(spec).run()
    assert play.tree.root.tasks["loop"].outputs == TaskOutputs({"Output": []})  # type: ignore[union-attr]
    assert play.states["after"] is TaskState.SUCCEEDED


def test_a_nested_loop_gives_a_list_of_lists() -> None:
    inner = dag("comp-inner", task("work", item="item"), output="work")
    outer = dag("comp-outer", task("inner", component="comp-inner", items=range(2)), output="inner")
    spec = pipeline(task("outer", component="comp-outer", items=range(2)), components=[inner, outer])
    play = Play(spec).run(lambda path: 10 * int(path[6]) + int(path[15]))
    assert play.tree.root.tasks["outer"].outputs == TaskOutputs({"Output": [[0, 1], [10, 11]]})  # type: ignore[union-attr]


def test_one_failed_iteration_fails_the_loop_but_not_the_others() -> None:
    body = dag("comp-body", task("work", item="item"), output="work")
    play = Play(pipeline(task("loop", component="comp-body", items=range(3)), components=[body])).run(
        failing("loop[1]/work")
    )
    assert play.states["loop"] is TaskState.FAILED
    assert play.states["loop[2]/work"] is TaskState.SUCCEEDED


def test_cancelling_stops_what_runs_and_waits_for_it() -> None:
    play = Play(pipeline(task("a"), task("b", "a"), task("bye", "a", exit_task=True)))
    node = play.drive()[0]
    play.apply(Started(node))
    play.apply(Cancel())
    assert play.stopped == ["a"]
    assert play.end is None, "not before the process is gone"
    play.apply(Finished(node, TaskState.CANCELLED))
    assert play.end is not None and play.end.state is RunState.CANCELLED
    assert set(play.states.values()) == {TaskState.CANCELLED}


def test_cancelling_inside_a_loop_ends_every_level() -> None:
    body = dag("comp-body", task("a", item="item"), task("b", "a"))
    spec = pipeline(
        task("loop", component="comp-body", items=range(4), parallelism=2), task("z", "loop"), components=[body]
    )
    play = Play(spec)
    nodes = play.drive()
    for node in nodes:
        play.apply(Started(node))
    play.apply(Cancel())
    for node in nodes:
        play.apply(Finished(node, TaskState.CANCELLED))
    assert play.end is not None and play.end.state is RunState.CANCELLED
    assert play.states["z"] is TaskState.CANCELLED


def test_another_attempt_puts_the_task_back_without_telling_its_dependents() -> None:
    play = Play(pipeline(task("a"), task("b", "a")))
    node = play.drive()[0]
    play.apply(Started(node))
    play.apply(Again(node))
    assert play.states["a"] is TaskState.PENDING
    play.apply(Started(node))
    play.apply(Finished(node, TaskState.SUCCEEDED, TaskOutputs()))
    assert [n.path for n in play.drive()] == ["b"]


def test_a_chain_of_ten_thousand_skips_needs_no_stack() -> None:
    tasks = [task("t0"), *(task(f"t{i}", f"t{i - 1}") for i in range(1, 10_000))]
    play = Play(pipeline(*tasks)).run(failing("t0"))
    assert play.states["t9999"] is TaskState.SKIPPED


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_run_ends_and_replaying_its_results_gives_the_same(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    tasks = []
    for i in range(count):
        upstream = data.draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else []
        tasks.append(task(f"t{i}", *(f"t{j}" for j in upstream), exit_task=data.draw(st.booleans())))
    broken = data.draw(st.sets(st.integers(0, count - 1)))
    fast = data.draw(st.booleans())
    outcome = failing(*(f"t{i}" for i in broken))
    first = Play(pipeline(*tasks), fail_fast=fast).run(outcome)
    again = Play(pipeline(*tasks), fail_fast=fast).run(outcome)
    assert first.end is not None
    assert all(state.terminal for state in first.states.values())
    assert len(first.states) == count
    assert first.states == again.states and first.order == again.order
    ran_and_broke = broken & {int(path[1:]) for path in first.order}
    assert first.end.state is (RunState.FAILED if ran_and_broke else RunState.SUCCEEDED)


def test_an_illegal_transition_is_a_defect() -> None:
    play = Play(pipeline(task("a"))).run()
    with pytest.raises(AssertionError, match="illegal transition"):
        play.apply(Finished(play.tree.root.tasks["a"], TaskState.FAILED))  # type: ignore[union-attr]


def test_a_run_that_expires_is_stopped_like_a_cancelled_one_and_fails() -> None:
    play = Play(pipeline(task("a"), task("b", "a")))
    node = play.drive()[0]
    play.apply(Started(node))
    play.apply(Cancel(Failure("not done in time", kind="DeadlineExceeded")))
    assert play.stopped == ["a"]
    play.apply(Finished(node, TaskState.CANCELLED))
    assert play.end is not None and play.end.state is RunState.FAILED
    assert play.end.error is not None and play.end.error.kind == "DeadlineExceeded"
