"""`cairn runs …`: looking at runs and what can be done with them once they have ended."""

import json
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parent / "pipelines"
pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def finished(shared_home, tmp_path_factory):
    """A finished run of `branches`: its object."""
    from_fixture = tmp_path_factory.mktemp("finished")
    return shared_home, from_fixture


def test_a_run_is_found_by_any_of_its_names(cli):
    run = cli.run("one", "a=2").json
    for reference in (run["run_id"], run["run_id"][:8], run["job_id"], "latest"):
        assert cli("runs", "show", reference, "--json").json["run_id"] == run["run_id"]
    missing = cli("runs", "show", "nothing-like-it")
    assert missing.status == 2
    assert "there is no run" in missing.err


def test_list_filters_and_prints_a_line_for_each(cli):
    run = cli.run("chain", "--label", "purpose=listing").json
    rows = cli("runs", "list", "--label", "purpose=listing").out.splitlines()
    assert len(rows) == 1
    assert rows[0].split("\t")[:3] == [run["run_id"][:8], "chain", "SUCCEEDED"]
    assert cli("runs", "list", "--label", "purpose=listing", "--state", "FAILED", "--json").json == []


def test_show_tells_a_run_and_a_task(cli):
    run = cli.run("branches", "n=4", "--no-cache").json
    shown = cli("runs", "show", run["run_id"]).out
    assert "accuracy 0.912346" in shown
    assert "condition-1/for-loop-3/say\tSKIPPED" in shown
    task = cli("runs", "show", run["run_id"], "score").out
    assert "data" in task
    assert "status 0" in task
    told = cli("runs", "show", run["run_id"], "score", "--json").json
    assert told["tries"][0]["exit"]["code"] == 0
    near = cli("runs", "show", run["run_id"], "scroe")
    assert near.status == 2
    assert "did you mean score" in near.err


def test_logs_come_in_the_order_in_which_they_were_written(cli):
    run = cli.run("branches", "n=5", "--no-cache").json
    whole = cli("runs", "logs", run["run_id"], "score").out
    assert whole.index("scoring 5") < whole.index("a word on stderr")
    assert "a word on stderr" not in cli("runs", "logs", run["run_id"], "score", "--stdout").out
    assert cli("runs", "logs", run["run_id"], "score", "--stderr").out.endswith("a word on stderr\n")
    every = cli("runs", "logs", run["run_id"]).out
    assert "for-loop-5[0]/say-2 | hello a\n" in every
    pieces = [json.loads(line) for line in cli("runs", "logs", run["run_id"], "score", "--json").out.splitlines()]
    assert {piece["stream"] for piece in pieces} == {"stdout", "stderr"}
    assert "".join(piece["text"] for piece in pieces) == whole
    refused = cli("runs", "logs", run["run_id"], "score", "--attempt", "7")
    assert refused.status == 2
    assert "there are: 1" in refused.err


def test_the_log_of_a_cached_task_is_that_of_the_run_that_made_the_result(own_home):
    cli = own_home
    first = cli.run("branches", "n=51").json
    second = cli.run("branches", "n=51").json
    taken = cli("runs", "logs", second["run_id"], "score")
    assert taken.out == cli("runs", "logs", first["run_id"], "score").out
    assert "scoring 51" in taken.out
    assert f"the log of score of run {first['job_id']}" in taken.err
    assert cli("runs", "logs", second["run_id"], "score", "--follow").out == taken.out
    assert "taken from the cache" in cli("runs", "logs", second["run_id"]).err
    assert cli("runs", "why", second["run_id"], "score", "--json").json["compared_with"] == {
        "run_id": first["run_id"],
        "task": "score",
    }
    skipped = cli("runs", "logs", first["run_id"], "condition-1/for-loop-3")
    assert skipped.status == 2
    cli("runs", "delete", first["run_id"], "--yes")
    gone = cli("runs", "logs", second["run_id"], "score")
    assert gone.status == 2
    assert "has been deleted" in gone.err


def test_logs_follow_a_run_to_its_end(cli):
    process = cli.start("run", PIPELINES / "slow.yaml", "seconds=1.5", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    followed = cli("runs", "logs", run["run_id"], "--follow")
    assert followed.status == 0
    assert "say | hello first\n" in followed.out
    assert "say-2 | hello FIRST\n" in followed.out
    process.communicate(timeout=30)


def test_watch_follows_a_run_of_another_process(cli):
    process = cli.start("run", PIPELINES / "slow.yaml", "seconds=1", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    watched = cli("runs", "watch", run["run_id"], "--json")
    process.communicate(timeout=30)
    assert watched.status == 0
    assert watched.json["state"] == "SUCCEEDED"
    assert "say-2  succeeded" in watched.err


def test_resume_with_an_edited_pipeline_runs_what_the_edit_touches(cli):
    run = cli.run("branches", "bad=true", "--no-cache").json
    assert run["state"] == "FAILED"
    edited = cli.copy_of("branches", **{'nothing[\\"missing\\"]': "41.0"})
    resumed = cli("runs", "resume", run["run_id"], edited, "--json", "--no-cache")
    assert resumed.status == 0, resumed.err
    tasks = {task["path"]: task for task in resumed.json["tasks"]}
    assert resumed.json["run_id"] == run["run_id"]
    assert tasks["score"]["outputs"] == {"Output": 41.0}
    assert tasks["score"]["attempts"] == 2
    assert tasks["make"]["attempts"] == 1, "it had succeeded and nothing of it was edited"
    nothing = cli("runs", "resume", run["run_id"])
    assert nothing.status == 2
    assert "nothing to go on with" in nothing.err


def test_resume_without_an_edit_tries_the_failed_task_again(cli):
    run = cli.run("branches", "bad=true", "--no-cache").json
    resumed = cli("runs", "resume", run["run_id"], "--json")
    assert resumed.status == 1
    attempts = {task["path"]: task["attempts"] for task in resumed.json["tasks"]}
    assert attempts["score"] == 2
    assert attempts["make"] == 1


def test_clone_and_diff(cli):
    run = cli.run("chain", "a=100").json
    clone = cli("runs", "clone", run["run_id"], "a=101", "--json").json
    assert clone["run_id"] != run["run_id"]
    assert clone["outputs"] == {"Output": 113}
    found = cli("runs", "diff", run["run_id"], clone["run_id"], "--json").json
    assert found["parameters"] == [{"name": "a", "a": 100, "b": 101}]
    assert found["pipeline"] == []
    assert {"name": "add-2.Output", "a": 112, "b": 113} in found["tasks"]
    assert "no differences" in cli("runs", "diff", run["run_id"], run["run_id"]).err


def test_why_names_the_part_that_made_it_miss(cli):
    cli.run("chain", "a=200")
    run = cli.run("chain", "a=201").json
    found = cli("runs", "why", run["run_id"], "add", "--json").json
    assert found["verdict"] == "miss"
    assert [part["name"] for part in found["parts"] if not part["same"]] == ["parameter:a"]
    assert "parameter:a was 200, is 201" in found["reason"]
    again = cli.run("chain", "a=201").json
    assert cli("runs", "why", again["run_id"], "add", "--json").json["verdict"] == "hit"
    off = cli.run("chain", "--no-cache").json
    assert "--no-cache" in cli("runs", "why", off["run_id"], "add").out


def test_forgotten_results_are_computed_anew(own_home):
    cli = own_home
    cli.run("chain", "a=300")
    run = cli.run("chain", "a=300").json
    assert all(task["cached"] for task in run["tasks"])
    listed = cli("cache", "list", "--pipeline", "chain", "--json").json
    assert {entry["task"] for entry in listed} == {task["path"] for task in run["tasks"]}
    assert cli("cache", "list", "--run", run["run_id"], "--json").json == [], "it has only taken"
    assert cli("cache", "forget", "--run", run["run_id"], "--task", "add-2", "--json").json == {"forgotten": 1}
    again = {task["path"]: task["cached"] for task in cli.run("chain", "a=300").json["tasks"]}
    assert again.pop("add-2") is False
    assert all(again.values())
    component = listed[0]["component"]
    near = cli("cache", "forget", "--pipeline", "chain", "--component", component[:-1])
    assert near.status == 2
    assert f"did you mean {component}" in near.err
    assert "did you mean chain?" in cli("cache", "forget", "--pipeline", "chian").err
    assert cli("cache", "forget", "--pipeline", "chain", "--component", component).status == 0
    assert cli("cache", "forget", "--all").status == 2, "nobody can be asked"
    cli("cache", "forget", "--all", "--yes")
    assert cli("cache", "list", "--json").json == []
    assert not any(task["cached"] for task in cli.run("chain", "a=300").json["tasks"])


@pytest.mark.parametrize(
    "words", [[], ["--component", "x"], ["--pipeline", "p", "--task", "x"], ["--all", "--pipeline", "p"]], ids=str
)
def test_what_is_to_be_forgotten_has_to_be_said(cli, words):
    assert cli("cache", "forget", *words).status == 2


def test_delete_frees_what_nobody_else_refers_to(own_home):
    cli = own_home
    first = cli.run("branches", "n=6").json
    second = cli.run("branches", "n=6").json
    made = cli("artifacts", "list", "--run", second["run_id"], "--type", "system.Dataset", "--json").json[0]
    assert first["run_id"] in made["uri"], "taken from the cache"
    asked = cli("runs", "delete", first["run_id"])
    assert asked.status == 2
    assert "--yes" in asked.err
    assert cli("runs", "delete", first["run_id"], "--yes").status == 0
    assert Path(made["uri"]).exists(), "the second run still refers to it"
    assert not (cli.home / "runs" / first["run_id"]).exists()
    freed = cli("runs", "delete", second["run_id"], "--yes", "--json").json
    assert freed["bytes_freed"] > 0
    assert not Path(made["uri"]).exists()
    assert cli("runs", "list", "--json").json == []
    left = [path for path in (cli.home / "store").rglob("*") if path.is_file()]
    assert left == []


def test_gc_removes_what_no_run_refers_to(own_home):
    cli = own_home
    run = cli.run("branches").json
    stray = cli.home / "store" / "branches" / "stray"
    stray.mkdir(parents=True)
    (stray / "file").write_text("x" * 10_000)
    nothing = cli("gc", "--dry-run", "--json").json
    assert nothing["artifacts"] == [], "it is too young"
    seen = cli("gc", "--older-than", "0s", "--dry-run", "--json").json
    assert str(stray) in seen["artifacts"]
    assert stray.exists()
    assert cli("gc", "--older-than", "0s", "--json").json["bytes_freed"] > 10_000
    assert not stray.exists()
    again = cli.run("branches").json
    assert all(task["cached"] for task in again["tasks"] if task["state"] == "SUCCEEDED"), run["run_id"]


def test_a_backup_comes_back_in_another_home(own_home, tmp_path):
    cli = own_home
    run = cli.run("branches", "n=8").json
    assert cli("backup", tmp_path / "kept").status == 0
    other = cli.at(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "environments").symlink_to(cli.home / "environments")
    restored = other("restore", tmp_path / "kept")
    assert restored.status == 0, restored.err
    shown = other("runs", "show", run["run_id"], "--json").json
    assert shown["tasks"] == cli("runs", "show", run["run_id"], "--json").json["tasks"]
    made = other("artifacts", "list", "--type", "system.Dataset", "--json").json[0]
    assert made["uri"].startswith(str(tmp_path / "other"))
    assert Path(made["uri"]).read_text() == Path(made["uri"].replace("/other/", "/own/")).read_text()
    assert "hello a" in other("runs", "logs", run["run_id"]).out
    assert other("restore", tmp_path / "kept").status == 2, "it holds runs now"
    assert cli("backup", tmp_path / "kept").status == 2, "it is not empty"
    assert other("restore", tmp_path / "nowhere").status == 2


def test_an_artifact_tells_where_it_came_from(cli):
    run = cli.run("branches", "n=9").json
    made = cli("artifacts", "list", "--run", run["run_id"], "--type", "system.Dataset", "--json").json[0]
    shown = cli("artifacts", "show", made["id"][:8], "--json").json
    assert shown["uri"] == made["uri"]
    roles = {(event["type"], event["key"]) for event in shown["lineage"]["events"]}
    assert roles >= {("OUTPUT", "data"), ("INPUT", "data")}
    assert run["run_id"][:8] in cli("artifacts", "show", made["uri"]).out


def test_environments_are_listed_shown_and_removed(cli):
    listed = cli("environments", "list", "--json").json
    ready = next(info for info in listed if info["ready"])
    shown = cli("environments", "show", ready["key"][:12], "--json").json
    assert any(line.startswith("kfp==") for line in shown["packages"])
    assert cli("environments", "show", "zzzz").status == 2


def test_a_shell_completes_commands_runs_and_tasks(cli):
    run = cli.run("chain").json
    assert "_cairn_completion" in cli("completion", "bash").out
    assert "compdef" in cli("completion", "zsh").out

    def completed(*words):
        found = cli(_CAIRN_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
        return [line.partition(",")[2] for line in found.out.splitlines()]

    assert "resume" in completed("cairn", "runs", "re")
    assert run["run_id"][:8] in completed("cairn", "runs", "show", run["run_id"][:4])
    assert completed("cairn", "runs", "logs", run["run_id"], "add-") == ["add-2"]


def test_a_watcher_that_is_interrupted_leaves_the_run_alone(cli):
    import signal

    process = cli.start("run", PIPELINES / "slow.yaml", "seconds=8", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    watcher = cli.start("runs", "watch", run["run_id"])
    assert "say" in watcher.stderr.readline()
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=20)
    assert watcher.returncode == 130
    assert "the run goes on" in err
    process.communicate(timeout=30)
    assert process.returncode == 0
