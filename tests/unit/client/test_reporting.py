"""`cairn.report` writes what cloudml-hypertune writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cairn
from cairn.client import reporting


@pytest.fixture
def reported(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(path))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "3")
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_each_report_is_a_line_of_the_file(reported):
    cairn.report(accuracy=0.93, loss=1, step=3)
    cairn.report({"val/accuracy": 0.5})
    one, other = reported()
    assert one.pop("timestamp") > 1e9
    assert one == {
        "trial": "3", "global_step": "3", "checkpoint_path": "", "accuracy": "0.93", "loss": "1.0",
    }  # fmt: skip
    assert other["val/accuracy"] == "0.5" and other["global_step"] == "0"


@pytest.mark.parametrize("metrics", [{}, {"trial": 1.0}, {"accuracy": "high"}])
def test_what_is_no_report_is_refused(reported, metrics):
    with pytest.raises(ValueError):
        cairn.report(metrics)


def test_it_needs_nothing_of_cairn(reported):
    """The file may be copied."""
    source = Path(reporting.__file__).read_text()
    subprocess.run([sys.executable, "-I", "-c", source + "\nreport(accuracy=1.0)"], check=True)
    assert reported()[0]["accuracy"] == "1.0"


def test_it_is_quick_to_import():
    code = (
        "import sys, cairn; cairn.report; assert not [n for n in sys.modules if n in ('msgspec', 'click', 'cairn.sdk')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trial_is_measured_by_it(tmp_path, monkeypatch):
    from cairn.engine.layout import HYPERTUNE_FILE
    from cairn.executors.native.trial_metrics import TrialMetrics

    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / HYPERTUNE_FILE))
    metrics = TrialMetrics(["accuracy", "loss"], lambda directory, position: ((), {}))
    cairn.report(accuracy=0.5, loss=2, step=1)
    [first] = metrics.look([str(tmp_path)], None, 0)
    cairn.report(accuracy=0.75, loss=1, other=3, step=2)
    [second] = metrics.look([str(tmp_path)], None, 0)
    assert (first.step, first.metrics) == (1, {"accuracy": 0.5, "loss": 2.0})
    assert (second.step, second.metrics) == (2, {"accuracy": 0.75, "loss": 1.0})
