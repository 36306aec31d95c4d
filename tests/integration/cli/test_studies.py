"""`cairn studies`: what people and programs see of what was tried."""

import json

import pytest

from cairn.cli.main import main
from cairn.cli.studies import drawing
from cairn.tuning.types import Measurement, Study, StudyState, TrialState
from cairn.wiring import open_cairn

SPEC = {
    "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
    "parameters": [
        {"parameterId": "lr", "scaleType": "UNIT_LOG_SCALE", "doubleValueSpec": {"minValue": 0.001, "maxValue": 1.0}},
        {"parameterId": "act", "categoricalValueSpec": {"values": ["relu", "tanh"]}},
    ],
}


@pytest.fixture
def study(cairn_home):
    """Four trials: two that succeeded, one that came to nothing, one that goes on."""
    with open_cairn(str(cairn_home)) as cairn:
        made = cairn.studies.create(Study(SPEC, display_name="digits", seed=7))
        trials = cairn.studies.suggest(made, 4).trials
        cairn.studies.complete(trials[0], Measurement({"loss": 0.5}, 1))
        cairn.studies.complete(trials[1], Measurement({"loss": 0.25}, 2))
        cairn.studies.complete(trials[2], infeasible_reason="no such layer")
        cairn.studies.add_measurements(trials[3], [Measurement({"loss": 0.4}, 1)])
    return made


@pytest.fixture
def call(capsys, cairn_home):
    def called(*words, status=0):
        code = main(["studies", *words])
        assert code == status
        return capsys.readouterr()

    return called


def test_lists_and_facts(study, call):
    (row,) = [line.split("\t") for line in call("list").out.splitlines()]
    assert row[:5] == [study.id, "digits", "ACTIVE", "1 active, 1 infeasible, 2 succeeded", "loss=0.25"]
    for reference in (study.id, "digits", "latest"):
        said = call("show", reference).out
        assert "loss: minimize" in said and "lr: double 0.001 to 1, log_scale" in said
        assert "best  trial 2" in said
    read = json.loads(call("show", "latest", "--json").out)
    assert read["optimal"][0]["metrics"] == {"loss": 0.25}
    assert read["trials"] == {"SUCCEEDED": 2, "INFEASIBLE": 1, "ACTIVE": 1}
    assert read["run_id"] is None
    assert call("show", "nonesuch", status=2).err.startswith("error: there is no study")


def test_trials_and_the_best(study, call):
    rows = [line.split("\t") for line in call("trials", "digits").out.splitlines()]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("1", "SUCCEEDED", "0.5"), ("2", "SUCCEEDED", "0.25"), ("3", "INFEASIBLE", ""), ("4", "ACTIVE", "0.4"),
    ]  # fmt: skip
    assert [row[-1] for row in rows] == ["", "best", "no such layer", ""]
    (best,) = json.loads(call("optimal", "digits", "--json").out)
    assert (best["trial"], best["optimal"]) == ("2", True)
    assert set(best["parameters"]) == {"lr", "act"}
    assert call("optimal", "digits").out.startswith("2\tloss=0.25\tlr=")


def test_a_plot(study, call):
    lines = call("plot", "digits", "--width", "40", "--height", "5").out.splitlines()
    assert lines[0] == "loss (minimize) over trials; * a trial, - the best so far"
    assert len(lines) == 8
    assert lines[1].split("|")[1].startswith("*") and lines[5].split("|")[1].rstrip().endswith("-")
    assert json.loads(call("plot", "digits", "--json").out)[-1] == {"trial": "4", "loss": 0.4}
    assert "it has loss" in call("plot", "digits", "--metric", "accuracy", status=2).err


def test_a_trial_and_a_study_are_stopped(study, call, cairn_home):
    call("stop", "digits", "--trial", "4")
    with open_cairn(str(cairn_home)) as cairn:
        assert cairn.studies.trial(study, "4").state is TrialState.STOPPING
        assert cairn.studies.get(study.id).state is StudyState.ACTIVE
    assert "is SUCCEEDED already" in call("stop", "digits", "--trial", "1", status=2).err
    call("stop", "digits")
    with open_cairn(str(cairn_home)) as cairn:
        assert cairn.studies.get(study.id).state is StudyState.COMPLETED


def test_delete(study, call):
    assert "add --yes" in call("delete", "digits", status=2).err
    assert json.loads(call("delete", "digits", "--yes", "--json").out) == [study.id]
    assert call("list").out == ""


@pytest.mark.parametrize(
    ("values", "minimize"),
    [
        ([(1, 0.5)], True),
        ([(1, 1.0), (2, 1.0)], False),
        ([(1, -1e9), (7, 1e9), (400, 0.0)], False),
        ([(number, number % 7) for number in range(1, 300)], True),
    ],
)
def test_a_drawing_has_every_trial_in_its_place(values, minimize):
    lines = drawing(values, minimize=minimize, width=60, height=8)
    height = 8 if len({value for _, value in values}) > 1 else 1  # all are equal: one line
    assert len(lines) == height + 2
    assert all(len(line) <= 60 for line in lines)
    body = [line.split("|", 1)[1] for line in lines[:height]]
    best = (min if minimize else max)(value for _, value in values)
    worst = (max if minimize else min)(value for _, value in values)
    assert "*" in (body[-1] if minimize else body[0]) or best == worst
    assert "".join(body).count("*") <= len(values)


def test_a_shell_completes_studies(study, cairn_home, monkeypatch):
    from click.shell_completion import ShellComplete

    from cairn.cli.commands import cairn

    monkeypatch.setenv("CAIRN_HOME", str(cairn_home))
    completion = ShellComplete(cairn, {}, "cairn", "_CAIRN_COMPLETE")
    found = [item.value for item in completion.get_completions(["studies", "show"], "")]
    assert found == ["latest", study.id]
    assert completion.get_completions(["studies", "delete"], "zz") == []
