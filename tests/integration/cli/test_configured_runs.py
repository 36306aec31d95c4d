"""`cairn run --config-dir`: what the `cairn` node says is what happens, and `cairn.schedule` makes a schedule."""

import time

import pytest
import yaml
from tests.integration.cli.conftest import CommandLine

PIPELINE = """\
pipelineInfo: {name: training}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
root:
  inputDefinitions: {parameters: {train_lr: {parameterType: NUMBER_DOUBLE}}}
  dag:
    tasks:
      train: &task
        componentRef: {name: comp-train}
        inputs: {parameters: {lr: {componentInputParameter: train_lr}}}
        cachingOptions: {enableCache: true, cacheKey: mine}
      again: *task
components:
  comp-train:
    executorLabel: exec-train
    inputDefinitions: {parameters: {lr: {parameterType: NUMBER_DOUBLE}}}
    outputDefinitions: {parameters: {said: {parameterType: STRING}}}
deploymentSpec:
  executors:
    exec-train:
      container:
        image: trainer:1
        command: [sh, -c, 'printf "%s %s" "$MODE" "$0" > "$1"', "{{$.inputs.parameters['lr']}}",
                  "{{$.outputs.parameters['said'].output_file}}"]
        env: [{name: MODE, value: plain}]
"""

CONFIG = """\
train: {lr: 0.1, seed: 1}
cairn:
  labels: {team: blue}
  images: {'runner:*': host, 'trainer:*': host}
  steps:
    train:
      image: runner:2
      cpu: 0.5
      memory: 64Mi
      environment: {MODE: configured}
      caching: false
"""


@pytest.fixture
def cli(tmp_path):
    made = CommandLine(tmp_path / "home", tmp_path)
    (tmp_path / "training.yaml").write_text(PIPELINE)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    return made


def _run(cli, *overrides):
    return cli("run", "training.yaml", "--config-dir", "conf", "--json", *overrides)


def _tasks(cli, run):
    told = cli("runs", "show", run.json["run_id"], "--json").json
    return told, {task["path"]: task for task in told["tasks"]}


def test_environment_resources_caching_image_and_parameters_are_as_configured(cli):
    first = _run(cli, "train.lr=0.25")
    assert first.status == 0, first.err
    assert "warning" not in first.err
    told, tasks = _tasks(cli, first)
    assert told["labels"] == {"team": "blue"}
    assert tasks["train"]["outputs"] == {"said": "configured 0.25"}
    assert tasks["again"]["outputs"] == {"said": "plain 0.25"}
    attempt = cli("runs", "show", first.json["run_id"], "train", "--json").json["tries"][0]
    assert attempt["resources"]["cpu_millis"] == 500
    assert attempt["resources"]["memory_bytes"] == 64 << 20
    # The other step of this component is cached, as the pipeline has it; the configured one runs again.
    second = _run(cli, "train.lr=0.25", "train.seed=2")
    _, tasks = _tasks(cli, second)
    assert (tasks["again"]["cached"], tasks["train"]["cached"]) == (True, False)
    warning = "train.seed=2 changes nothing of this run: no parameter takes train.seed"
    assert warning in second.err
    assert warning in second.json["warnings"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("cairn.steps.train.cpu=lots", "cairn.steps.train.cpu=lots: 'lots' is no amount of CPU"),
        ("+cairn.steps.trian.cpu=1", "the pipeline has no step 'trian' (did you mean 'train'?)"),
        ("train.lr=fast", "train.lr=fast, for parameter train_lr: 'fast' does not fit: a number is wanted"),
        ("+cairn.lables.a=b", "has no key 'lables' (did you mean 'labels'?)"),
    ],
)
def test_what_is_wrong_exits_with_2_and_its_place(cli, override, said):
    result = _run(cli, override)
    assert result.status == 2
    assert said in result.err
    assert cli("runs", "list", "--json").json == []


def test_a_configuration_with_a_schedule_makes_it_and_its_runs_are_of_that_configuration(cli):
    config = yaml.safe_load(CONFIG)
    config["cairn"]["schedule"] = {"cron": "* * * * * *", "name": "often", "max_runs": 1}
    (cli.work / "conf" / "config.yaml").write_text(yaml.safe_dump(config))
    try:
        made = _run(cli, "train.lr=0.5")
        assert made.status == 0, made.err
        assert made.json["outcome"] == "created"
        assert "nothing is run now" in made.err
        until = time.monotonic() + 60
        while not (runs := cli("schedules", "show", "often", "--json").json["runs"]):
            assert time.monotonic() < until
        run = runs[0]["run_id"]
        cli("runs", "watch", run)
        told = cli("runs", "show", run, "--json").json
        assert told["parameters"] == {"train_lr": 0.5}
        assert told["configuration"]["overrides"] == ["train.lr=0.5"]
        # The same name again: it is brought up to what is said now, and there is still one.
        again = _run(cli, "train.lr=0.75", "cairn.schedule.cron='0 3 * * *'", "cairn.schedule.max_runs=0")
        assert again.json["outcome"] == "updated"
        assert again.json["schedule_id"] == made.json["schedule_id"]
        assert again.json["parameters"] == {"train_lr": 0.75}
        assert len(cli("schedules", "list", "--json").json) == 1
        now = _run(cli, "cairn.schedule=null")
        assert now.status == 0 and "run_id" in now.json
    finally:
        cli("stop")
