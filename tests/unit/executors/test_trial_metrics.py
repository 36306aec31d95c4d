"""What trials report, as cloudml-hypertune and TensorBoard write it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from cairn.engine.layout import HYPERTUNE_FILE
from cairn.executors.native.trial_metrics import TrialMetrics
from cairn.tuning.types import Measurement

BEGAN = 1_000_000_000  # microseconds


class Point(NamedTuple):
    tag: str
    step: int
    value: float
    wall_time: float


def no_scalars(directory, position):
    return [], {}


def line(time: float, step: int = 0, **metrics: object) -> str:
    said = {name: str(value) for name, value in metrics.items()}
    return json.dumps({"timestamp": time, "trial": "1", "global_step": str(step), "checkpoint_path": "", **said})


def write(directory: Path, *lines: str) -> None:
    file = directory / HYPERTUNE_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{each}\n" for each in lines))


def test_the_file_is_written_anew_and_each_report_counts_once(tmp_path: Path) -> None:
    metrics = TrialMetrics(["loss"], no_scalars)
    assert metrics.look([str(tmp_path)], None, BEGAN) == []
    write(tmp_path, line(1001.0, 1, loss=0.5))
    assert metrics.look([str(tmp_path)], None, BEGAN) == [Measurement({"loss": 0.5}, 1, 1_000_000)]
    assert metrics.look([str(tmp_path)], None, BEGAN) == []
    write(tmp_path, line(1001.0, 1, loss=0.5), line(1002.5, 2, loss=0.25))
    assert metrics.look([str(tmp_path)], None, BEGAN) == [Measurement({"loss": 0.25}, 2, 2_500_000)]
    write(tmp_path, line(1002.5, 2, loss=0.25), line(1003.0, 3, loss=0.125))  # only the last hundred are kept there
    assert [one.step for one in metrics.look([str(tmp_path)], None, BEGAN)] == [3]


def test_whoever_looks_anew_measures_the_same(tmp_path: Path) -> None:
    write(tmp_path, line(1001.0, 1, loss=0.5), line(1002.0, 2, loss=0.25))
    one, two = (TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN) for _ in range(2))
    assert one == two


def test_metrics_of_one_step_are_one_measurement(tmp_path: Path) -> None:
    lines = [line(1001.0, 1, loss=0.5), line(1001.1, 1, acc=0.8), line(1002.0, 2, loss=0.4)]
    write(tmp_path, *lines)
    metrics = TrialMetrics(["loss", "acc"], no_scalars)
    assert metrics.look([str(tmp_path)], None, BEGAN) == [
        Measurement({"loss": 0.5, "acc": 0.8}, 1, 1_000_000),
        Measurement({"loss": 0.4}, 2, 2_000_000),
    ]
    write(tmp_path, *lines, line(1002.2, 2, acc=0.9))
    assert metrics.look([str(tmp_path)], None, BEGAN) == [Measurement({"loss": 0.4, "acc": 0.9}, 2, 2_000_000)]


def test_reports_without_steps_are_measurements_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, line(1001.0, loss=0.5), line(1002.0, loss=0.4))
    found = TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)
    assert [(one.step, one.metrics["loss"], one.elapsed) for one in found] == [(0, 0.5, 1_000_000), (0, 0.4, 2_000_000)]


def test_what_is_no_metric_of_the_study_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "{half", "[]", line(1001.0, 1, other=1), line(1001.0, 1, loss="much"), line(1001.0, 1, loss="nan"))
    metrics = TrialMetrics(["loss"], no_scalars)
    assert metrics.look([str(tmp_path)], None, BEGAN) == []
    assert metrics.unusable == "metric 'loss' is nan"


def test_the_default_name_is_the_only_metric(tmp_path: Path) -> None:
    report = json.dumps({"timestamp": 1001.0, "training/hptuning/metric": "3", "global_step": "1"})
    write(tmp_path, report)
    assert TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)[0].metrics == {"loss": 3.0}
    assert TrialMetrics(["loss", "acc"], no_scalars).look([str(tmp_path)], None, BEGAN) == []


def test_scalars_of_tensorboard_go_on_from_where_the_last_look_ended(tmp_path: Path) -> None:
    asked = []

    def scalars(directory, position):
        asked.append((directory, dict(position)))
        at = position.get("f", 0)
        return [Point("loss", at + 1, 1 / (at + 1), 1001.0 + at), Point("lr", 1, 9.0, 1001.0)], {"f": at + 1}

    metrics = TrialMetrics(["loss"], scalars)
    assert metrics.look([], "/logs", BEGAN) == [Measurement({"loss": 1.0}, 1, 1_000_000)]
    assert metrics.look([], "/logs", BEGAN) == [Measurement({"loss": 0.5}, 2, 2_000_000)]
    assert asked == [("/logs", {}), ("/logs", {"f": 1})]


@pytest.mark.parametrize(
    "said",
    [
        {"timestamp": "nan"},
        {"timestamp": float("inf")},
        {"timestamp": -1e300},
        {"timestamp": 10**400},
        {"global_step": "nan"},
        {"global_step": -5},
        {"global_step": 10**400},
    ],
)
def test_times_and_steps_that_are_none_do_no_harm(tmp_path: Path, said: dict[str, object]) -> None:
    write(tmp_path, json.dumps({"loss": "0.5", "timestamp": 1001.0, "global_step": "0", **said}))
    (found,) = TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)
    assert found.metrics == {"loss": 0.5}
    assert found.step == 0 and 0 <= found.elapsed <= 1_000_000


def test_steps_and_times_are_such_as_can_be_told(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({"loss": "0.5", "timestamp": 1e300, "global_step": 1e300}))
    (found,) = TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)
    assert 0 < found.step < 1 << 63
    assert 0 < found.elapsed / 1e6 < 315_576_000_000, "a protobuf Duration"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"loss": ' + "9" * 5000 + "}", '{"loss": [1]}', "\x00\x01", "3"])
def test_what_is_no_report_is_passed_over(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, line(1001.0, 1, loss=0.5))
    found = TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)
    assert found == [Measurement({"loss": 0.5}, 1, 1_000_000)]


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    (tmp_path / HYPERTUNE_FILE).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / HYPERTUNE_FILE)
    assert TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN) == []


def test_of_a_large_file_the_end_is_read(tmp_path: Path) -> None:
    filling = line(1000.0, 1, other="x" * 1000)
    write(tmp_path, line(1001.0, 1, loss=0.5), *[filling] * 5000, line(1002.0, 2, loss=0.25))
    found = TrialMetrics(["loss"], no_scalars).look([str(tmp_path)], None, BEGAN)
    assert [one.step for one in found] == [2]
