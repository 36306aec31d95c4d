"""A run as it is told to the outside."""

import msgspec
import pytest

from cairn.domain.runs import Failure, Run, TaskOutputs, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.domain.values import ParameterType, Spilled
from cairn.engine import report
from cairn.spec.types import ComponentSpec, ContainerSpec, DagSpec, ParameterIterator, Pipeline, TaskSpec

LEAF = ComponentSpec("comp-leaf", executor=ContainerSpec("image"))


class Store:
    def __init__(self, **texts):
        self.texts = texts

    def unspill(self, spilled):
        return self.texts[spilled.uri]


def dag(name, *tasks):
    return ComponentSpec(name, dag=DagSpec({task.name: task for task in tasks}))


def task(name, component="comp-leaf", **fields):
    return TaskSpec(name, name, component, **fields)


LOOP = {"iterator": ParameterIterator("item", raw=(1, 2))}
PIPELINE = Pipeline(
    "p",
    "p",
    {
        "comp-leaf": LEAF,
        "comp-branch": dag("comp-branch", task("in-branch"), task("loop", "comp-body", **LOOP)),
        "comp-body": dag("comp-body", task("in-loop")),
    },
    dag(
        "root",
        task("last", upstream=("first",)),
        task("branch", "comp-branch"),
        task("loop", "comp-body", **LOOP),
        task("first"),
    ),
    "digest",
    "{}",
)


def run(state=RunState.SUCCEEDED, **fields):
    return Run("uid", "job", "p", "digest", state, **fields)


def record(path, state=TaskState.SUCCEEDED, kind="leaf", **fields):
    return TaskRecord("uid", path, path.rpartition("/")[2], "comp-leaf", kind, state, uid="t", **fields)


def told(run, *records):
    return [(leaf.path, str(leaf.state)) for leaf in report.leaves(PIPELINE, run, records, Store())]


def test_a_branch_that_was_not_taken_shows_its_leaves_as_skipped():
    found = told(
        run(),
        record("branch", TaskState.SKIPPED, "dag"),
        record("first"),
        record("last"),
        record("loop", kind="loop"),
        record("loop[1]/in-loop"),
        record("loop[0]/in-loop"),
    )
    assert found == [
        ("branch/in-branch", "SKIPPED"),
        ("branch/loop/in-loop", "SKIPPED"),
        ("loop[0]/in-loop", "SUCCEEDED"),
        ("loop[1]/in-loop", "SUCCEEDED"),
        ("first", "SUCCEEDED"),
        ("last", "SUCCEEDED"),
    ]


def test_a_loop_without_items_has_no_leaves_and_one_that_was_not_reached_has():
    assert ("loop/in-loop", "SKIPPED") not in told(run(), record("loop", kind="loop"))
    assert ("loop/in-loop", "SKIPPED") in told(run(RunState.FAILED), record("loop", TaskState.SKIPPED, "loop"))


@pytest.mark.parametrize(
    ("state", "leaf"),
    [
        (RunState.RUNNING, "PENDING"),
        (RunState.PENDING, "PENDING"),
        (RunState.CANCELLED, "CANCELLED"),
        (RunState.FAILED, "SKIPPED"),
    ],
)
def test_what_was_never_recorded_is_what_the_run_makes_it(state, leaf):
    assert {each for _, each in told(run(state))} == {leaf}


def test_below_a_cancelled_pipeline_everything_is_cancelled():
    assert ("branch/in-branch", "CANCELLED") in told(
        run(RunState.CANCELLED), record("branch", TaskState.CANCELLED, "dag")
    )


def test_indices_beyond_nine_are_in_the_order_of_the_loop():
    records = [record(f"loop[{index}]/in-loop") for index in reversed(range(12))]
    paths = [path for path, _ in told(run(), *records) if path.startswith("loop[")]
    assert paths == [f"loop[{index}]/in-loop" for index in range(12)]


def test_times_attempts_and_errors_of_a_leaf():
    failure = Failure("broke", place="first")
    records = [record("first", TaskState.FAILED, error=failure, attempts=2, start_time=1_000_000, end_time=2_500_000)]
    first = next(
        leaf for leaf in report.leaves(PIPELINE, run(RunState.FAILED), records, Store()) if leaf.path == "first"
    )
    found = report.leaf_object(first)
    assert found["seconds"] == 1.5
    assert found["attempts"] == 2
    assert found["error"]["message"] == "broke"
    assert "reason" not in found


def test_why_a_task_was_skipped_is_a_reason_and_no_error():
    records = [record("first", TaskState.SKIPPED, error=Failure("its condition is false", kind="Skipped"))]
    first = next(leaf for leaf in report.leaves(PIPELINE, run(), records, Store()) if leaf.path == "first")
    assert report.leaf_object(first)["error"] is None
    assert report.leaf_object(first)["reason"] == "its condition is false"


def test_a_spilled_value_is_read_back_below_a_mebibyte():
    small, large = Spilled("a", "xxh3:1", 100), Spilled("b", "xxh3:2", 1 << 20)
    store = Store(a=b'{"x": [1, 2.5]}')
    assert report.readable(small, store) == {"x": [1, 2.5]}
    assert report.readable(large, store) == {"uri": "b", "digest": "xxh3:2", "size": 1 << 20}
    assert report.readable([1, small, msgspec.to_builtins(small)], store) == [1, {"x": [1, 2.5]}, {"x": [1, 2.5]}]
    assert report.readable({"kind": "spilled", "uri": "mine"}, store) == {"kind": "spilled", "uri": "mine"}


def test_the_object_of_a_run():
    outputs = {"n": 3}
    records = [record("first", outputs=TaskOutputs({"n": 3}))]
    ended = run(outputs=outputs, start_time=1_000_000, end_time=3_000_000, warnings=("capped",))
    found = report.run_object(ended, report.leaves(PIPELINE, ended, records, Store()), Store())
    assert (found["run_id"], found["state"], found["seconds"], found["warnings"]) == (
        "uid",
        "SUCCEEDED",
        2.0,
        ["capped"],
    )
    assert found["outputs"] == {"n": 3}
    assert report.run_object(run(RunState.CANCELLING), (), Store())["state"] == "RUNNING"
    assert ParameterType.STRING  # the enumeration and plain values tell the same JSON
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_tasks_come_after_those_they_wait_for():
    body = DagSpec({"c": task("c", upstream=("a", "b")), "b": task("b", upstream=("a",)), "a": task("a")})
    assert report.in_order(body) == ["a", "b", "c"]
