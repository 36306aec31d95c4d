"""`cairn run --config-dir`: composed, run, recorded, compared; and refused with status 2."""

import json
import textwrap

import pytest

PIPELINE = """
    pipelineInfo: {name: trained}
    schemaVersion: 2.1.0
    sdkVersion: kfp-2.17.0
    root:
      inputDefinitions: &inputs
        parameters:
          train_lr: {parameterType: NUMBER_DOUBLE}
          model: {parameterType: STRUCT}
          mode: {parameterType: STRING, isOptional: true, defaultValue: plain}
      outputDefinitions: {parameters: {Output: {parameterType: STRING}}}
      dag:
        tasks:
          train:
            taskInfo: {name: train}
            componentRef: {name: comp-train}
            cachingOptions: {enableCache: true}
            inputs:
              parameters:
                train_lr: {componentInputParameter: train_lr}
                model: {componentInputParameter: model}
                mode: {componentInputParameter: mode}
        outputs:
          parameters:
            Output: {valueFromParameter: {producerSubtask: train, outputParameterKey: Output}}
    components:
      comp-train:
        executorLabel: exec-train
        inputDefinitions: *inputs
        outputDefinitions: {parameters: {Output: {parameterType: STRING}}}
    deploymentSpec:
      executors:
        exec-train:
          container:
            image: trainer:1
            command: [sh, -c, 'printf "%s %s %s" "$0" "$1" "$2" > "$3"', "{{$.inputs.parameters['train_lr']}}",
                      "{{$.inputs.parameters['model']}}", "{{$.inputs.parameters['mode']}}",
                      "{{$.outputs.parameters['Output'].output_file}}"]
"""
FACTORY = """
    from kfp import dsl

    @dsl.component
    def train(lr: float) -> float:
        return lr

    def build(cfg):
        @dsl.pipeline(name=f"built-{cfg['model']['layers']}")
        def pipeline():
            for number in range(cfg["model"]["layers"]):
                train(lr=cfg["train"]["lr"] + number)
        return pipeline
"""
FILES = {
    "conf/config.yaml": """
        defaults:
          - model: small
          - _self_
        train:
          lr: 0.1
        mode: ${oc.env:CAIRN_MODE_OF_TEST,plain}
        cairn:
          labels: {lr: "${train.lr}"}
          images: {"trainer:*": host}
    """,
    "conf/model/small.yaml": "layers: 2\n",
    "conf/model/big.yaml": "layers: 3\n",
    "pipeline.yaml": PIPELINE,
    "factory.py": FACTORY,
}


@pytest.fixture
def work(bare):
    """Steps are the machine's own: no environment is built."""
    return laid_out(bare())


def laid_out(cli):
    for name, text in FILES.items():
        path = cli.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return cli


def run(cli, *arguments, source="pipeline.yaml"):
    return cli("run", source, "--config-dir", "conf", "--json", *arguments)


def test_a_run_is_composed_recorded_shown_compared_cloned_and_resumed(work):
    first = run(work, "train.lr=0.5", "mode='a=b, c'")
    assert first.status == 0, first.err
    assert first.json["outputs"] == {"Output": '0.5 {"layers": 2} a=b, c'}
    second = run(work, "--label", "more=1", "model=big", "++train.seed=3", "~mode")
    assert second.json["outputs"] == {"Output": '0.1 {"layers": 3} plain'}, second.err
    ids = [done.json["run_id"] for done in (first, second)]

    shown = work("runs", "show", ids[1], "--json").json
    assert shown["labels"] == {"lr": "0.1", "more": "1"}
    recorded = shown["configuration"]
    assert recorded["overrides"] == ["model=big", "++train.seed=3", "~mode"]
    assert (recorded["directory"], recorded["name"]) == (str(work.work / "conf"), "config")
    assert recorded["digest"] != first.json["configuration"]["digest"]
    told = work("runs", "show", ids[0]).out
    assert f"{work.work}/conf/config  {first.json['configuration']['digest'][:12]}" in told
    assert "overrides      train.lr=0.5 'mode='\"'\"'a=b, c'\"'\"''" in told
    text = work("runs", "show", ids[1], "--config").out
    assert "lr: ${train.lr}" in text
    assert "layers: 3" in text

    found = {
        each["name"]: (each["a"], each["b"]) for each in work("runs", "diff", *ids, "--json").json["configuration"]
    }
    assert found == {
        "(overrides)": (["train.lr=0.5", "mode='a=b, c'"], recorded["overrides"]),
        "train.lr": (0.5, 0.1),
        "train.seed": (None, 3),
        "model.layers": (2, 3),
        "mode": ("a=b, c", None),
    }

    cloned = work("runs", "clone", ids[0], "train_lr=0.75", "--json")
    assert cloned.json["outputs"] == {"Output": '0.75 {"layers": 2} a=b, c'}
    assert cloned.json["configuration"] == first.json["configuration"]
    (work.work / "edited.yaml").write_text(textwrap.dedent(PIPELINE).replace("%s %s %s", "%s %s %s!"))
    resumed = work("runs", "resume", ids[0], "edited.yaml", "--json")
    assert resumed.json["outputs"] == {"Output": '0.5 {"layers": 2} a=b, c!'}, resumed.err
    assert resumed.json["configuration"] == first.json["configuration"]


def test_what_is_given_with_flags_and_files_wins(work):
    (work.work / "params.yaml").write_text("train_lr: 9\nmode: file\n")
    done = run(work, "--params", "params.yaml", "train.lr=0.5", "--no-cache")
    assert done.json["outputs"] == {"Output": '9.0 {"layers": 2} file'}, done.err
    assert done.json["tasks"][0]["cached"] is False


@pytest.mark.network
def test_a_function_makes_the_pipeline_of_the_configuration(cli):
    work = laid_out(cli)
    done = run(work, "model=big", source="factory.py:build")
    assert (done.status, done.json["pipeline"], len(done.json["tasks"])) == (0, "built-3", 3), done.err
    assert [task["outputs"]["Output"] for task in done.json["tasks"]] == [0.1, 1.1, 2.1]
    refused = work("run", "factory.py:build", "--json")
    assert refused.status == 2
    assert "build makes the pipeline of a configuration" in refused.json["error"]["message"]
    assert "--config-dir" in refused.json["error"]["remedy"]


def test_cfg_prints_and_runs_nothing(work):
    before = work("runs", "list", "--json", "--limit", "1").out
    shown = work("run", "nowhere.py", "--config-dir", "conf", "--cfg", "job", "train.lr=7")
    assert shown.status == 0
    assert "lr: 7" in shown.out
    assert "lr: ${train.lr}" in shown.out
    resolved = work("run", "nowhere.py", "--config-dir", "conf", "--cfg", "all", "--resolve", "--json", "train.lr=7")
    assert resolved.json["cairn"]["labels"] == {"lr": 7}
    assert resolved.json["hydra"]["job"]["name"] == "config"
    job = work("run", "nowhere.py", "--config-dir", "conf", "--cfg", "job", "--resolve", "--json", "train.lr=7")
    assert job.json["cairn"]["labels"] == {"lr": 7}
    assert "hydra" not in job.json
    assert work("runs", "list", "--json", "--limit", "1").out == before


@pytest.mark.parametrize(
    ("files", "arguments", "place", "message", "remedy"),
    [
        ({}, ["model=huge"], "config.yaml: model=huge", "Could not find 'model/huge'", "there is big, small"),
        ({}, ["train.lrr=1"], "config.yaml: train.lrr=1", "Could not override 'train.lrr'", "did you mean train.lr"),
        ({}, ["train.lr=[1"], "config.yaml: train.lr=[1", "no viable alternative", ""),
        ({"conf/config.yaml": "a: ${b}\nb: ${a}\n"}, [], "config.yaml:1", "Recursive interpolation", ""),
        (
            {
                "conf/config.yaml": "defaults: [typed, _self_]\nlr: quick\n",
                "conf/typed.py": "from dataclasses import dataclass\nfrom hydra.core.config_store import ConfigStore\n"
                "@dataclass\nclass Typed:\n    lr: float = 1.0\nConfigStore.instance().store('typed', Typed)\n",
            },
            ["--config-import", "conf/typed.py"], "config.yaml:2",
            "Value 'quick' of type 'str' could not be converted to Float", "",
        ),
        ({}, ["--config-name", "confg"], "conf", "Cannot find primary config 'confg'", "did you mean config?"),
        ({}, ["train.lr=???"], "", "train.lr", ""),
    ],
)  # fmt: skip
def test_what_hydra_refuses_ends_with_2_its_words_and_the_file(work, files, arguments, place, message, remedy):
    for name, text in files.items():
        (work.work / name).write_text(text)
    done = run(work, *arguments)
    assert done.status == 2
    error = done.json["error"]
    assert error["kind"] == "ConfigurationError"
    assert message in f"{error['place']}: {error['message']}"
    assert place in error["place"]
    assert str(work.work / "conf") in error["place"]
    assert remedy in error["remedy"]
    assert message in done.err


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--config-name", "x"], "--config-name"),
        (["--cfg", "job"], "--cfg"),
        (["--resolve"], "--resolve"),
        (["-m"], "--multirun"),
        (["--config-import", "x.py"], "--config-import"),
        (["--config-dir", "conf", "--resolve"], "--resolve"),
        (["--config-dir", "conf", "--cfg", "job", "-m"], "--cfg"),
        (["--config-dir", "conf", "--detach", "-m", "train.lr=1,2"], "--detach"),
        (["--config-dir", "conf", "--detach", "hydra.mode=MULTIRUN"], "--detach"),
    ],
)
def test_options_that_make_no_sense_together_are_refused_by_name(work, arguments, place):
    done = work("run", "pipeline.yaml", "--json", *arguments)
    assert (done.status, done.json["error"]["place"]) == (2, place)


def test_a_run_without_hydra_has_no_configuration(work):
    done = work("run", "pipeline.yaml", "train_lr=1.5", 'model={"layers": 1}', "--image", "*=host", "--json")
    assert (done.status, done.json["configuration"]) == (0, None), done.err
    refused = work("runs", "show", done.json["run_id"], "--config")
    assert refused.status == 2
    assert "was not configured by Hydra" in refused.err


def test_the_sdk_composes_too(work):
    program = """
        import json
        import cairn
        run = cairn.run("pipeline.yaml", {"mode": "argument"}, config_dir="conf", overrides=["train.lr=0.5", "mode=x"])
        print(json.dumps([run.outputs, run.configuration.overrides, run.configuration.name]))
        for wrong in ({"overrides": ["a=1"]}, {"config_dir": "conf", "overrides": ["nope=1"]}):
            try:
                cairn.run("pipeline.yaml", **wrong)
            except cairn.errors.InputRefused as error:
                print(json.dumps([type(error).__name__, error.remedy]))
    """
    import subprocess

    done = subprocess.run(
        [work.command()[0], "-c", "import cairn.errors\n" + textwrap.dedent(program)],
        cwd=work.work, env=work.variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == [{"Output": '0.5 {"layers": 2} argument'}, ["train.lr=0.5", "mode=x"], "config"]
    assert lines[1] == ["InputRefused", "give config_dir"]
    assert lines[2][0] == "ConfigurationError"
    assert "mode" in lines[2][1]


def test_a_configuration_for_elsewhere_is_told_from_an_image_that_is_forgotten(work):
    elsewhere = ["++cairn.images=null", "+cairn.target.project=acme", "cairn.labels.lr='a b'"]
    done = run(work, *elsewhere)
    assert done.status == 2
    assert "runs in the container image 'trainer:1'" in done.err
    line = "`cairn submit pipeline.yaml --to vertex|kfp|http://HOST --config-dir conf ++cairn.images=null"
    assert f"it may be meant for {line}" in done.err
    assert "'cairn.labels.lr='\"'\"'a b'\"'\"''`; else run it in its image with --executor docker" in done.err
    assert "cairn submit" not in run(work, "++cairn.images=null").err
    assert work("runs", "list").out == ""


def test_the_run_s_own_keys_that_no_file_has_are_told_as_such(work):
    assert "→ +cairn.caching=false adds it\n" in run(work, "cairn.caching=false").err
    assert "→ did you mean +cairn.caching?\n" in run(work, "cairn.cachin=false").err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "+cairn.schedule.cron=often",
            "config.yaml: +cairn.schedule.cron=often: the cron expression 'often' has 1 fields",
        ),
        ("+cairn.schedule={every: 1h, start: 2026-05-02, end: 2026-05-01}", "end_time is not after the start time"),
        ("+cairn.pipeline_root=ftp://host/x", "pipeline_root: steps cannot write to 'ftp://host/x'"),
        ("+cairn.pipeline_root=out", "out: is neither an absolute path nor a URI"),
    ],
)
def test_what_could_never_run_is_refused_before_anything_is_recorded(work, said, told):
    done = run(work, said)
    assert done.status == 2
    assert told in done.err
    assert work("runs", "list").out == work("schedules", "list").out == ""


def test_the_short_options_are_hydra_s_own(work):
    (work.work / "conf/other.yaml").write_text("a: 1\n")
    shown = work("run", "pipeline.yaml", "-cd", "conf", "-cn", "other", "a=2", "--cfg", "job")
    assert (shown.status, shown.out) == (0, "a: 2\n")
