"""Records in, rows out."""

from cairn.cli.live import cropped, last_line, segments
from cairn.cli.progress import SHOWN_ITERATIONS, Progress
from cairn.domain.runs import Failure, TaskRecord
from cairn.domain.states import TaskState

RUNNING, DONE, FAILED, SKIPPED = TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED


def record(path, state=DONE, kind="leaf", **fields):
    return TaskRecord("run", path, path.rpartition("/")[2], "comp", kind, state, uid="u", **fields)


def told(progress, limit=0):
    return [(row.depth, row.label, str(row.step.state)) for row in progress.rows(limit)]


def test_tasks_are_nested_in_their_pipelines_and_loops():
    progress = Progress()
    progress.task(record("load"))
    progress.task(record("inner", RUNNING, "dag"))
    progress.task(record("inner/train", RUNNING))
    progress.task(record("loop", RUNNING, "loop"))
    progress.task(record("loop[0]/a"))
    progress.task(record("loop[1]/a", RUNNING))
    progress.task(record("loop[1]/b", TaskState.PENDING))
    assert told(progress) == [
        (0, "load", "SUCCEEDED"),
        (0, "inner", "RUNNING"),
        (1, "train", "RUNNING"),
        (0, "loop", "RUNNING"),
        (1, "[0] a", "SUCCEEDED"),
        (1, "[1]", "RUNNING"),
        (2, "a", "RUNNING"),
        (2, "b", "PENDING"),
    ]


def test_the_state_before_is_given_back():
    progress = Progress()
    assert progress.task(record("a", RUNNING)) is None
    assert progress.task(record("a")) is RUNNING
    assert progress.counts == {RUNNING: 0, DONE: 1}


def test_a_loop_of_thousands_is_one_row_of_counts():
    progress = Progress()
    progress.task(record("loop", RUNNING, "loop", iterations=3000))
    for index in range(3000):
        progress.task(record(f"loop[{index}]/a", RUNNING))
        progress.task(record(f"loop[{index}]/a", FAILED if index == 17 else DONE, error=Failure("no")))
    assert told(progress) == [(0, "loop", "RUNNING")]
    step = progress.rows()[0].step
    assert step.counts[DONE] == 2999
    assert step.failed == "loop[17]/a"
    text = "".join(part for part, _ in segments(progress.rows()[0], ""))
    assert "2,999 succeeded, 1 failed" in text
    assert "loop (3,000)" in text
    assert len(progress.steps) <= SHOWN_ITERATIONS + 3, "memory does not grow with the loop's rows"


def test_a_nested_loop_is_counted_in_the_outermost_one():
    progress = Progress()
    for outer in range(20):
        for inner in range(3):
            progress.task(record(f"a[{outer}]/b[{inner}]/c"))
    step = progress.rows()[0].step
    assert step.counts == {DONE: 60}
    assert step.collapsed


def test_where_room_is_short_what_runs_or_failed_stays():
    progress = Progress()
    for number in range(50):
        progress.task(record(f"done-{number:02}", end_time=number))
    progress.task(record("broken", FAILED))
    progress.task(record("now", RUNNING))
    for number in range(50):
        progress.task(record(f"later-{number:02}", TaskState.PENDING))
    rows = told(progress, 10)
    assert len(rows) == 10
    names = [label for _, label, _ in rows]
    assert {"broken", "now", "done-49"} <= set(names)
    assert names == sorted(names, key=lambda name: ("done", "brok", "now", "late").index(name[:4].rstrip("-")))


def test_what_was_skipped_hides_what_is_in_it():
    progress = Progress()
    progress.task(record("branch", SKIPPED, "dag"))
    progress.task(record("branch/never", TaskState.PENDING))
    assert told(progress) == [(0, "branch", "SKIPPED")]


def test_a_row_tells_time_attempts_and_the_error():
    progress = Progress()
    progress.task(
        record("a", FAILED, attempts=3, start_time=1_000_000, end_time=3_500_000, error=Failure("broke\x1b[2J"))
    )
    text = "".join(part for part, _ in segments(progress.rows()[0], ""))
    assert "2.50 s" in text
    assert "attempt 3" in text
    assert "broke\\x1b" in text


def test_the_columns_of_rows_stand_below_one_another():
    progress = Progress()
    progress.task(record("deep/er/done", start_time=1_000_000, end_time=2_000_000))
    progress.task(record("cached", cached=True, start_time=1))
    progress.task(record("skipped", SKIPPED, error=Failure("not wanted")))
    deep, cached, skipped = (
        "".join(part for part, _ in segments(row, "")) for row in progress.rows() if row.step.kind == "leaf"
    )
    assert deep.index("1.00 s") + len("1.00 s") == cached.index("cached", 5) + len("cached")
    assert skipped.index("not wanted") == cached.index("cached", 5) + len("cached") + 2


def test_a_row_is_cut_to_the_terminal():
    row = [("✗ train", "red"), ("  a long story", "")]
    assert cropped(row, 12) == [("✗ train", "red"), ("  a …", "")]
    assert cropped(row, 7) == row[:1]
    assert cropped(row, 80) == row


def test_the_last_line_of_a_log_is_read_from_its_end(tmp_path):
    (tmp_path / "stdout.log").write_bytes(b"x" * 100_000 + b"\nfirst\n 10%\r 20%\r 30%\n\n")
    assert last_line(str(tmp_path)) == "30%"
    assert last_line(str(tmp_path / "nowhere")) == ""
