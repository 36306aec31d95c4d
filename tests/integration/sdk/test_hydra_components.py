"""A project of Hydra programs as components: compiled by kfp, run by Cairn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cairn

PROJECT = Path(__file__).parent / "hydra_programs" / "project"
SOURCES = Path(cairn.__file__).parent.parent


@pytest.fixture(scope="module")
def compiled(client_python, tmp_path_factory):
    def run(source, **variables):
        path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
        text = f"{source}\nfrom kfp import compiler\ncompiler.Compiler().compile(pipeline, {str(path)!r})"
        done = subprocess.run(
            [str(client_python("kfp", "hydra-core")), "-c", text], capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROJECT}"},
        )  # fmt: skip
        return path, done.stderr

    return run


def test_a_pipeline_of_programs_runs_as_it_is_written(compiled, cairn_home, monkeypatch):
    path, _ = compiled("from pipeline import pipeline")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    long = "é${x}\n" * 60_000
    run = cairn.run(path, {"lr": 0.125, "long": long}, images={"acme/*": "host"})
    model = json.loads(Path(run.task("train-2").artifacts["out_model"].path).read_text())
    assert model["train"] == {"lr": 0.125, "epochs": 3, "big": 2**60, "name": "${lr} 'é'"}
    assert model["model"]["layers"] == [1.0, 2]
    assert str(model["model"]["names"]) == """{'b': 1.0, 'lr': 0.125, '{{': ["${lr} 'é'", "is ${lr} 'é'", None]}"""
    assert json.loads(Path(model["data"]["dir"]).read_text()) == [0, 2, 4, 6, 8, 10]
    assert run.task("train-2").artifacts["out_metrics"].metadata == {"loss": 0.25, "val.accuracy": 0.5}
    assert run.outputs == {"Output": 0.5}
    longer = json.loads(Path(run.task("train").artifacts["out_model"].path).read_text())
    assert longer["train"]["name"] == long
    logs = next(cairn_home.glob(f"runs/{run.uid}/train-2/attempt-1/logs/hydra"))
    assert "learning rate 0.125" in (logs / "main.log").read_text()
    assert (logs / ".hydra" / "config.yaml").is_file()


def test_defaults_stand_in_the_pipeline_where_kfp_can_hold_them(compiled):
    path, _ = compiled("from pipeline import train as pipeline")
    document = next(yaml.safe_load_all(path.read_text()))
    declared = document["components"]["comp-train"]["inputDefinitions"]["parameters"]
    assert declared["train_lr"] == {
        "parameterType": "NUMBER_DOUBLE", "defaultValue": 0.1, "isOptional": True, "description": "train.lr"
    }  # fmt: skip
    assert declared["model_layers"]["isOptional"] and "defaultValue" not in declared["model_layers"]
    assert "cairn" not in document["deploymentSpec"]["executors"]["exec-train"]["container"]["command"][0]


def test_a_pipeline_takes_its_defaults_from_its_components(compiled):
    path, _ = compiled(
        """
import cairn.hydra, pipeline as project
from kfp import dsl
train = cairn.hydra.component(
    str(project.HERE / "train/main.py"), name="train", image="acme/train:1", inputs=["train.*"],
    input_artifacts={"data.dir": dsl.Dataset}, output_artifacts={"out.model": dsl.Model},
)
@dsl.pipeline(name="short")
def pipeline(data: str, train_lr: float = train.defaults["train_lr"]):
    dataset = dsl.importer(artifact_uri=data, artifact_class=dsl.Dataset)
    train(train_lr=train_lr, data_dir=dataset.output)
"""
    )
    document = next(yaml.safe_load_all(path.read_text()))
    assert document["root"]["inputDefinitions"]["parameters"]["train_lr"]["defaultValue"] == 0.1
    offered = document["components"]["comp-train"]["inputDefinitions"]["parameters"]
    assert set(offered) == {"train_lr", "train_epochs", "train_big", "train_name", "hydra_exact"}


REFUSED = {
    "train(data_dir=d, train_lr='fast')": "float is wanted",
    "train(data_dir=d, model_names={1: 2})": "the key 1 is no text",
    "train(data_dir=d, label=chr(0xd800))": "lone surrogate",
    "train(data_dir=d, model_layers=[d, 1.0])": "an artifact cannot be part of a value",
    "train(data_dir=d, nothing=1)": "unexpected keyword argument",
}


def test_a_call_that_cannot_be_carried_is_refused(compiled):
    source = f"""
import json
from kfp import dsl
from pipeline import prepare, train
said = {{}}
@dsl.pipeline(name="x")
def pipeline(lr: float):
    d = prepare(count=1, steps=[]).output
    for call in {list(REFUSED)!r}:
        try:
            eval(call)
        except Exception as error:
            said[call] = str(error)
import sys
print(json.dumps(said), file=sys.stderr)
"""
    said = json.loads(compiled(source)[1].splitlines()[-1])
    assert set(said) == set(REFUSED)
    assert not [(call, said[call]) for call, words in REFUSED.items() if words not in said[call]]
