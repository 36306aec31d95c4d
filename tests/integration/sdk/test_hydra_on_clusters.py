"""A component where Cairn is not: its compiled command, as Kubernetes, Kubeflow's launcher and Vertex AI alter it.

Emulated after `expansion.Expand` of Kubernetes, `getPlaceholders` and `addDefaultParams` of Kubeflow's launcher_v2.go,
and protojson, whose numbers are doubles: 3 is written as 3 there, and as 3.0 by others.
"""

import json
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import cairn

SOURCES = Path(cairn.__file__).parent.parent
MAIN = """
import json
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    with open(config.out.model, "w") as file:
        json.dump(OmegaConf.to_container(config, resolve=True), file)
    with open(config.out.curve, "w") as file:
        json.dump({"confidenceMetrics": [{"confidenceThreshold": float("inf"), "recall": 0.0}]}, file)
    with open(config.out.metrics, "w") as file:
        json.dump({"loss": 0.25, "huge": 10**400, "val": {"nan": float("nan")}}, file)
    with open(config.out.score, "w") as file:
        file.write("0.5")

main()
"""
CONFIG = r"""
train: {lr: 0.1, epochs: 3, text: "a$$b $(HOME)", layers: [1, 2.0], tables: {}, zip: x}
data: "???"
out: {model: "???", metrics: "???", curve: "???", score: "???"}
"""
PIPELINE = """
import json
from kfp import compiler, dsl
import cairn.hydra

train = cairn.hydra.component(
    "main.py", name="train", image="acme/train:1",
    inputs=["train.lr", "train.epochs", "train.text", "train.layers", "train.tables", "train.zip"],
    input_artifacts={"data": dsl.Dataset},
    output_artifacts={"out.model": dsl.Model, "out.metrics": dsl.Metrics, "out.curve": dsl.ClassificationMetrics},
    output_parameters={"out.score": float},
)
TABLES = json.loads(open("tables.json").read())

@dsl.pipeline(name="clusters")
def pipeline(lr: float = 1.0, epochs: int = 7):
    data = dsl.importer(artifact_uri="gs://bucket/data", artifact_class=dsl.Dataset)
    train(train_lr=lr, train_epochs=epochs, train_tables=TABLES, train_zip="0123e4", data=data.output)

compiler.Compiler().compile(pipeline, "pipeline.yaml")
"""
TABLES = {
    "$$": "$(PATH)",
    "{{{$": "{{$.inputs.parameters['train_lr']}} {{{$}}}",
    "b": [1.0, 1, "1e5", "08", "y"],
    "a": 2**70,
}
ENVIRON = {"HOME": "/root", "PATH": "/altered"}


@pytest.fixture(scope="module")
def document(client_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text(CONFIG)
    (folder / "tables.json").write_text(json.dumps(TABLES))
    (folder / "main.py").write_text(MAIN)
    (folder / "pipeline.py").write_text(PIPELINE)
    subprocess.run(
        [str(client_python("kfp", "hydra-core")), "pipeline.py"], cwd=folder, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )  # fmt: skip
    return folder, next(yaml.safe_load_all((folder / "pipeline.yaml").read_text()))


def expanded(text):
    """Kubernetes' expansion of a container's command and arguments."""

    def one(found):
        return "$" if found[0] == "$$" else ENVIRON.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def protojson(value, whole):
    """`whole`: how a double without a fraction is written, `3` or `3.0`."""
    kind = int if whole == "3" else float
    return json.dumps(doubles(value, kind), separators=(random.choice([",", ", "]), random.choice([":", ": "])))


def doubles(value, kind):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return kind(value) if float(value).is_integer() else value
    if isinstance(value, list):
        return [doubles(one, kind) for one in value]
    return {key: doubles(one, kind) for key, one in value.items()} if isinstance(value, dict) else value


def started_on(document, given, mount, whole):
    """(words, executor output's file): as the container of the task `train` is started."""
    component = document["components"]["comp-train"]
    bound = document["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]
    parameters = {
        name: declared["defaultValue"]
        for name, declared in component["inputDefinitions"]["parameters"].items()
        if "defaultValue" in declared
    }
    parameters |= {name: one["runtimeValue"]["constant"] for name, one in bound.items() if "runtimeValue" in one}
    parameters |= given

    def artifact(name, kind):
        return {
            "artifacts": [{"name": name, "type": {"schemaTitle": kind}, "uri": f"gs://b/{name}", "metadata": {"k": 1}}]
        }

    outputs = component["outputDefinitions"]
    executor_input = {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {"data": artifact("data", "system.Dataset")},
        },
        "outputs": {
            "parameters": {"out_score": {"outputFile": f"{mount}/b/out_score"}},
            "artifacts": {
                name: artifact(name, one["artifactType"]["schemaTitle"]) for name, one in outputs["artifacts"].items()
            },
            "outputFile": f"{mount}/b/kfp_outputs/executor_output.json",
        },
    }
    placeholders = {
        "{{$}}": protojson(json.loads(expanded(json.dumps(executor_input))), whole),
        "{{$.inputs.artifacts['data'].path}}": f"{mount}/b/data",
        "{{$.outputs.parameters['out_score'].output_file}}": f"{mount}/b/out_score",
    }
    for name in outputs["artifacts"]:
        placeholders[f"{{{{$.outputs.artifacts['{name}'].path}}}}"] = f"{mount}/b/{name}"
    for name, value in parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        placeholders[f"{{{{$.inputs.parameters['{name}']}}}}"] = text
    container = document["deploymentSpec"]["executors"]["exec-train"]["container"]
    words = []
    for word in map(expanded, (*container["command"], *container["args"])):
        for placeholder, text in random.sample([*placeholders.items()], len(placeholders)):  # a map has no order in Go
            word = word.replace(placeholder, text)
        words.append(word)
    return words, Path(executor_input["outputs"]["outputFile"])


@pytest.mark.parametrize("whole", ["3", "3.0"])
def test_a_compiled_command_gives_its_program_the_values_without_cairn(document, client_python, tmp_path, whole):
    folder, compiled = document
    python = client_python("kfp", "hydra-core")
    given = {"train_lr": 1.0, "train_epochs": 7}
    words, told = started_on(compiled, given, tmp_path / "gcs", whole)
    assert words[0] == "python3"
    done = subprocess.run(
        [str(python), *words[1:]], cwd=folder, env={}, capture_output=True, text=True, timeout=60
    )  # as with `env -i`
    assert done.returncode == 0, done.stderr
    got = json.loads((tmp_path / "gcs/b/out_model").read_text())
    assert json.dumps(got["train"]) == json.dumps(
        {"lr": 1.0, "epochs": 7, "text": "a$$b $(HOME)", "layers": [1, 2.0], "tables": TABLES, "zip": "0123e4"}
    )
    assert got["data"] == str(tmp_path / "gcs/b/data")
    assert (tmp_path / "gcs/b/out_score").read_text() == "0.5"
    strict = (
        "import sys; from google.protobuf import json_format; from kfp.pipeline_spec import pipeline_spec_pb2 as p\n"
        "print(json_format.MessageToJson(json_format.Parse(sys.stdin.read(), p.ExecutorOutput())))"
    )
    read = subprocess.run([str(python), "-c", strict], input=told.read_text(), capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    artifacts = json.loads(read.stdout)["artifacts"]
    assert artifacts["out_metrics"]["artifacts"][0]["metadata"] == {"k": 1.0, "loss": 0.25}
    assert artifacts["out_curve"]["artifacts"][0]["metadata"] == {
        "k": 1.0, "confidenceMetrics": [{"confidenceThreshold": None, "recall": 0.0}]
    }  # fmt: skip
