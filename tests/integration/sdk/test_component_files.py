"""Component files of the older kind, with everything that they say of a Hydra program's arguments."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cairn

MAIN = """
import json
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="other", config_name="other")
def main(config):
    with open(config.out.model, "w") as file:
        json.dump(OmegaConf.to_container(config), file)
    with open(config.out.score, "w") as file:
        file.write("0.75")

main()
"""
CONFIG = """
train: {lr: 0.5, epochs: 3}
data: {dir: "???"}
note: none
kind: none
extra: none
out: {model: "???", uri: "", score: "???"}
"""
COMPONENT = r"""
name: Train it
metadata: {annotations: {author: "Me <me@example.com>"}}
inputs:
- {name: data_dir, type: Dataset}
- {name: lr, type: Float, default: '0.1'}
- {name: note, type: String, default: "it is \"quoted\" = x, y", optional: true}
- {name: epochs, type: Integer, optional: true}
- {name: Extra Arg, type: String, optional: true}
- {name: flag, type: Boolean, default: 'True'}
- {name: layers, type: JsonArray, default: '[1, 2]'}
outputs:
- {name: model, type: Model}
- {name: score, type: Float}
implementation:
  container:
    image: acme/train:1
    command: [python3, FOLDER/main.py, --config-path, FOLDER/conf, --config-name=config]
    args:
    - concat: ['train.lr=', {inputValue: lr}]
    - concat: ['data.dir=', {inputPath: data_dir}]
    - concat: ["note='", {inputValue: note}, "'"]
    - if: {cond: {isPresent: epochs}, then: [concat: ['train.epochs=', {inputValue: epochs}]], else: ['train.epochs=1']}
    - if: {cond: {isPresent: Extra Arg}, then: [concat: ['extra=', {inputValue: Extra Arg}]]}
    - 'out.model={{$.outputs.artifacts["model"].path}}'
    - 'out.uri={{$.outputs.artifacts[''model''].uri}}'
    - concat: ['out.score=', {outputPath: score}]
    - "kind={{$.inputs.artifacts['data_dir'].metadata['kind']}}"
    - concat: ['+flag=', {inputValue: flag}]
    - '+layers={{$.inputs.parameters["layers"]}}'
"""
PIPELINE = """
from kfp import compiler, components, dsl

train = components.load_component_from_file("component.yaml")


@dsl.pipeline(name="files")
def pipeline(epochs: int = 7, note: str = "a b") -> float:
    data = dsl.importer(artifact_uri=__file__, artifact_class=dsl.Dataset, metadata={"kind": "csv"}).output
    train(data_dir=data)
    more = train(data_dir=data, epochs=epochs, extra_arg="e", note=note, lr=0.25, layers=[3, 4], flag=False)
    return more.outputs["score"]


compiler.Compiler().compile(pipeline, "pipeline.yaml")
"""


def test_a_component_file_runs_as_it_was_written(client_python, tmp_path, cairn_home, monkeypatch):
    texts = {
        "main.py": MAIN, "conf/config.yaml": CONFIG, "pipeline.py": PIPELINE,
        "component.yaml": COMPONENT.replace("FOLDER", str(tmp_path)),
    }  # fmt: skip
    (tmp_path / "conf").mkdir()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    python = str(client_python("kfp", "hydra-core"))
    subprocess.run([python, "pipeline.py"], cwd=tmp_path, check=True, timeout=120)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    run = cairn.run(tmp_path / "pipeline.yaml", images={"*": "host"})
    assert run.outputs == {"Output": 0.75}
    plain, given = (
        json.loads(Path(run.task(name).artifacts["model"].path).read_text()) for name in ("train-it", "train-it-2")
    )
    assert plain["out"]["uri"] == run.task("train-it").artifacts["model"].uri
    for one in (plain, given):
        del one["out"]
    assert plain == {
        "train": {"lr": 0.1, "epochs": 1}, "data": {"dir": str(tmp_path / "pipeline.py")}, "kind": "csv",
        "note": 'it is "quoted" = x, y', "extra": "none", "flag": True, "layers": [1, 2],
    }  # fmt: skip
    assert given == {
        **plain, "train": {"lr": 0.25, "epochs": 7}, "note": "a b", "extra": "e", "flag": False, "layers": [3, 4]
    }  # fmt: skip
