"""`cairn schedules`, with the real command and its background host."""

import time

import pytest
from tests.integration.cli.conftest import CommandLine

TEXT = """\
pipelineInfo: {name: ticking}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
root:
  dag: {tasks: {note: {componentRef: {name: comp-note}, taskInfo: {name: note}, inputs: {parameters: {number: {componentInputParameter: number}}}}}}
  inputDefinitions: {parameters: {number: {parameterType: NUMBER_INTEGER}}}
components:
  comp-note: {executorLabel: exec-note, inputDefinitions: {parameters: {number: {parameterType: NUMBER_INTEGER}}}}
deploymentSpec:
  executors: {exec-note: {container: {image: shell, command: [sh, -c, "true"]}}}
"""  # noqa: E501


@pytest.fixture
def cli(tmp_path):
    made = CommandLine(tmp_path / "home", tmp_path)
    (tmp_path / "ticking.yaml").write_text(TEXT)
    yield made
    made("stop")


def create(cli, *words):
    return cli("schedules", "create", "ticking.yaml", "number=1", "--image", "*=host", "--json", *words)


def test_the_background_host_runs_what_a_schedule_says(cli):
    made = create(cli, "--cron", "* * * * * *", "--max-runs", "3", "--name", "fast", "--queue")
    assert made.status == 0, made.err
    assert "background host" in made.err and made.json["parameters"] == {"number": 1}
    until = time.monotonic() + 60
    while (told := cli("schedules", "show", "fast", "--json").json)["state"] != "COMPLETED":
        assert time.monotonic() < until, told
    assert told["started_run_count"] == 3 and len(told["runs"]) == 3
    times = [run["schedule_time"] for run in told["runs"]]
    assert times == [times[0] - 1_000_000 * n for n in range(3)]
    for run in told["runs"]:
        cli("runs", "watch", run["run_id"])
        assert cli("runs", "show", run["run_id"], "--json").json["state"] == "SUCCEEDED"
    text = cli("schedules", "show", told["schedule_id"][:6])
    assert text.status == 0 and "3 of 3" in text.out


def test_it_is_listed_paused_resumed_and_deleted(cli):
    zone = ("--time-zone", "Europe/Berlin")
    made = create(cli, "--cron", "30 2 * * *", *zone, "--start", "2030-03-30", "--end", "2030-04-02").json
    assert made["next_run_time"] == 1_901_064_600_000_000  # 2030-03-30T02:30+01:00
    every = create(cli, "--every", "12h", "--max-concurrent", "0", "--latest-only").json
    assert every["interval_seconds"] == 43200 and every["no_catchup"] is True
    listed = cli("schedules", "list", "--json").json
    assert [one["schedule_id"] for one in listed] == [every["schedule_id"], made["schedule_id"]]
    assert cli("schedules", "pause", made["schedule_id"], "--json").json["state"] == "PAUSED"
    assert cli("schedules", "resume", made["schedule_id"], "--catch-up", "--json").json["state"] == "ACTIVE"
    assert cli("schedules", "show", "ticking").status == 2  # the name of both
    assert cli("schedules", "delete", made["schedule_id"]).status == 2  # nobody can be asked
    assert cli("schedules", "delete", made["schedule_id"], "--yes").status == 0
    assert cli("schedules", "show", made["schedule_id"]).status == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--cron"),
        (("--cron", "* * * * *", "--every", "5m"), "--cron"),
        (("--cron", "61 * * * *"), "minute"),
        (("--cron", "* * * * *", "--time-zone", "Mars/Base"), "time zone"),
        (("--cron", "* * * * *", "--start", "soon"), "--start"),
        (("--every", "soon"), "--every"),
        (("--cron", "* * * * *", "--start", "2030-01-02", "--end", "2030-01-01"), "end_time"),
        (("--cron", "* * * * *", "--max-runs", "-1"), "max_run_count"),
        (("--cron", "* * * * *", "other=1"), "other"),
    ],
)
def test_what_is_wrong_is_refused(cli, words, told):
    answer = create(cli, *words)
    assert answer.status == 2 and told in answer.err
    assert cli("schedules", "list", "--json").json == []


def test_a_restored_home_makes_up_for_nothing(cli, tmp_path):
    made = create(cli, "--cron", "* * * * * *", "--queue").json
    assert cli("backup", "kept").status == 0
    assert cli("schedules", "delete", made["schedule_id"], "--yes").status == 0
    cli("stop")
    again = CommandLine(tmp_path / "again", tmp_path)
    restored = again("restore", "kept", "--json")
    assert restored.json["paused_schedules"] == [made["schedule_id"]]
    assert again("schedules", "show", made["schedule_id"], "--json").json["state"] == "PAUSED"
    before = len(again("runs", "list", "--json").json)
    assert again("schedules", "resume", made["schedule_id"]).status == 0
    assert again("schedules", "pause", made["schedule_id"]).status == 0
    again("stop")
    assert len(again("runs", "list", "--json").json) - before < 10, "what fell due since the backup is left out"
