"""`cairn run`: the contract of the command line."""

import json
import shutil
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parent / "pipelines"

pytestmark = pytest.mark.network


def test_the_last_line_is_one_object_with_a_task_for_each_leaf(cli):
    done = cli.run("branches", "--no-cache")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    found = done.json
    assert found["state"] == "SUCCEEDED"
    assert set(found) >= {"run_id", "job_id", "state", "outputs", "tasks", "warnings", "error", "seconds"}
    assert found["error"] is None
    tasks = {task["path"]: task for task in found["tasks"]}
    assert tasks["score"]["component"] == "comp-score"
    assert tasks["score"]["outputs"] == {"Output": 3.0}
    assert tasks["score"]["attempts"] == 1
    assert tasks["score"]["seconds"] > 0
    says = [path for path in tasks if path.startswith("for-loop-5[")]
    assert says == ["for-loop-5[0]/say-2", "for-loop-5[1]/say-2", "for-loop-5[2]/say-2"]
    assert [tasks[path]["outputs"]["Output"] for path in says] == ["A", "B", "C"]
    assert tasks["condition-1/for-loop-3/say"]["state"] == "SKIPPED"
    assert len(tasks) == 6, "nested pipelines and loops are no leaves"


def test_progress_is_told_in_plain_lines_on_standard_error(cli):
    done = cli.run("branches", "--no-cache")
    lines = done.err.splitlines()
    assert any(line.startswith("score  succeeded  ") for line in lines)
    assert any(line.startswith("condition-1  skipped  its condition is false") for line in lines)
    assert "\x1b" not in done.err


def test_results_are_taken_from_the_cache_unless_told_otherwise(cli):
    first = cli.run("one", "a=1234")
    again = cli.run("one", "a=1234")
    anew = cli.run("one", "a=1234", "--no-cache")
    assert [run.json["tasks"][0]["cached"] for run in (first, again, anew)] == [False, True, False]
    assert again.json["tasks"][0]["attempts"] == 0
    assert {run.json["outputs"]["Output"] for run in (first, again, anew)} == {1236}


def test_parameters_come_from_a_file_and_arguments_win(cli):
    (cli.work / "params.yaml").write_text("a: 40\n")
    (cli.work / "params.json").write_text(json.dumps({"a": 50}))
    assert cli.run("one", "--params", "params.yaml").json["outputs"] == {"Output": 42}
    assert cli.run("one", "--params", "params.json").json["outputs"] == {"Output": 52}
    assert cli.run("one", "a=60", "--params", "params.json").json["outputs"] == {"Output": 62}


def test_a_spilled_output_is_read_back(cli):
    done = cli.run("big", "size=200000")
    assert done.json["outputs"]["Output"] == "x" * 200_000
    assert done.json["tasks"][0]["outputs"]["Output"] == "x" * 200_000


def test_a_spilled_output_of_a_mebibyte_is_told_as_its_reference(cli):
    done = cli.run("big", "size=2000000")
    assert done.status == 0
    assert set(done.json["outputs"]["Output"]) == {"uri", "digest", "size"}


def test_without_json_the_summary_tells_outputs_metrics_and_where_to_look(cli):
    done = cli("run", PIPELINES / "branches.yaml")
    assert "succeeded in" in done.out
    assert "accuracy 0.912346" in done.out
    assert "make/data" in done.out
    assert "look further: cairn runs show " in done.out


def test_a_failure_points_into_the_users_file(cli):
    shutil.copy(PIPELINES / "branches.yaml", cli.work)
    shutil.copy(PIPELINES / "steps.py", cli.work / "branches.py")
    source = (cli.work / "branches.py").read_text().splitlines()
    line = 1 + next(at for at, text in enumerate(source) if 'nothing["missing"]' in text)
    failed = cli("run", "branches.yaml", "bad=true", "--json")
    assert failed.status == 1
    assert f'File "{cli.work / "branches.py"}", line {line}, in score' in failed.err
    assert "KeyError: 'missing'" in failed.err
    assert "executor_main" not in failed.err
    assert f"cairn runs logs {failed.json['run_id'][:8]} score" in failed.err
    assert f"cairn runs resume {failed.json['run_id'][:8]}" in failed.err
    task = next(task for task in failed.json["tasks"] if task["name"] == "score")
    assert task["state"] == "FAILED"
    assert task["error"]["place"] == "score"
    assert failed.json["error"]["place"] == "score"
    whole = cli("run", "branches.yaml", "bad=true", "--traceback")
    assert "executor_main" in whole.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.yaml"], "there is no such file"),
        (["run", PIPELINES / "one.yaml", "b=1"], "has no parameter"),
        (["run", PIPELINES / "one.yaml", "a=many"], "does not fit"),
        (["run", PIPELINES / "one.yaml", "a=1", "a=2"], "given twice"),
        (["run", PIPELINES / "one.yaml", "--no-cach"], "did you mean --no-cache"),
        (["run", PIPELINES / "one.yaml", "--executor", "dokcer"], "there is no executor 'dokcer'"),
        (["run", PIPELINES / "one.yaml", "--config-dir", "conf"], "config directory not found"),
        (["run", PIPELINES / "one.yaml", "-m"], "add --config-dir DIR"),
        (["run", PIPELINES / "one.yaml", "--label", "x"], "is no label"),
        (["run", PIPELINES / "one.yaml", "--image", "x"], "is no mapping"),
        (["run", PIPELINES / "one.yaml", "--cache-ttl", "soon"], "is no duration"),
        (["run", PIPELINES / "one.yaml", "--params", "nowhere.json"], "there is no such file"),
        (["rum", PIPELINES / "one.yaml"], "did you mean run"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(cli, arguments, said):
    before = len(cli("runs", "list", "--json", "--limit", "10000").json)
    refused = cli(*arguments, "--json")
    assert refused.status == 2, refused.err
    assert said in refused.err
    assert refused.json["state"] == "REJECTED"
    assert refused.json["tasks"] == []
    assert refused.json["error"]["message"]
    assert len(cli("runs", "list", "--json", "--limit", "10000").json) == before


def test_a_params_file_that_is_no_object_is_refused(cli):
    (cli.work / "params.json").write_text("[1]")
    refused = cli.run("one", "--params", "params.json")
    assert refused.status == 2
    assert "one object" in refused.err


def test_a_taken_job_id_is_refused(cli):
    assert cli.run("one", "--name", "mine", "--label", "team=a").status == 0
    refused = cli.run("one", "--name", "mine")
    assert refused.status == 2
    assert "exists already" in refused.err
    assert cli("runs", "show", "mine", "--json").json["labels"] == {"team": "a"}


def test_an_unusable_home_is_named(cli, tmp_path):
    (tmp_path / "file").write_text("")
    refused = cli.at(tmp_path / "file").run("one")
    assert refused.status == 2
    assert str(tmp_path / "file") in refused.err
    assert refused.json["error"]["kind"] == "HomeError"


def test_a_python_source_is_compiled_and_a_function_chosen(cli):
    done = cli("run", f"{PIPELINES / 'steps.py'}:chain", "a=5", "--json")
    assert done.status == 0, done.err
    assert done.json["outputs"] == {"Output": 17}
    several = cli("run", PIPELINES / "steps.py", "--json")
    assert several.status == 2
    assert "chain" in several.err


def test_artifacts_go_below_the_root_that_is_given(cli, tmp_path):
    done = cli.run("branches", "--root", tmp_path / "elsewhere", "n=77")
    assert done.status == 0, done.err
    assert (tmp_path / "elsewhere" / "branches" / done.json["run_id"] / "make" / "1" / "data").exists()


def test_a_closed_pipe_ends_quietly(cli):
    import subprocess

    command = " ".join(cli.command("runs", "list", "--json", "--limit", "10000"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | true"], env=cli.variables, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""


def test_a_run_goes_on_when_nobody_reads_its_progress(cli):
    import subprocess

    command = " ".join(cli.command("run", PIPELINES / "one.yaml", "--json", "--no-cache"))
    script = f"( {command}; echo status $? ) 2> >(true) >result"
    subprocess.run(["bash", "-c", script], env=cli.variables, cwd=cli.work, timeout=60, check=True)
    assert (cli.work / "result").read_text().endswith("status 0\n")
