"""A component of `cairn.hydra` through the unmodified clients: its program is given what the pipeline says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.timeout(200)]

REPOSITORY = Path(__file__).parents[3]
MAIN = """
import json
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    with open(config.out, "w") as file:
        json.dump(OmegaConf.to_container(config.train, resolve=True), file)

main()
"""
CONFIG = """
train: {lr: 0.1, epochs: 3, text: "a$$b $(HOME) {{$}}", layers: [1, 2.0], tables: {}, zip: x, tags: {}}
out: "???"
"""
PIPELINE = """
import json, sys
from kfp import compiler, dsl
import cairn.hydra

values = json.load(open("values.json"))
train = cairn.hydra.component(
    "main.py", name="train", image="acme/train:1", directory=sys.argv[1], inputs=["train.*"],
    output_artifacts={"out": dsl.Artifact},
)

@dsl.pipeline(name="values")
def pipeline(epochs: int, tags: dict, lr: float = 1.0):
    train(train_lr=lr, train_epochs=epochs, train_tags=tags, train_tables=values, train_zip="0123e4")

compiler.Compiler().compile(pipeline, "pipeline.yaml")
"""
TABLES = {
    "$$": "$(PATH)", "{{{$": "{{$.inputs.parameters['train_lr']}} {{{$}}}", "b": [1.0, 1, None, "1e5", "08", "y"],
    "c": [0.25, 1e22, 5e-324],
    "a": 2**70, "\u2028\n": "\u0000 \\${x} ${train.lr} ??? é😀", "???": [[], {}, ""],
}  # fmt: skip
TAGS = {"te": 'it\'s "quoted" ${x} \\ $$ é', "list": [0.5, "1e5", True], "text 2": "é😀"}


@pytest.mark.parametrize("target", ["vertex", "kfp"])
def test_values_arrive_through_a_client(target, values, client_of):
    installation, url, folder = values
    client, to = ("kfp", ("--to", "kfp", "--host", url)) if target == "kfp" else ("aiplatform2", ("--to", url))
    done = installation.cairn(
        "submit", str(folder / "pipeline.yaml"), *to, "epochs=7", f"tags={json.dumps(TAGS)}", "--wait", "--json",
        VIRTUAL_ENV=str(Path(client_of(client)).parents[1]), CAIRN_HOME=str(folder / "laptop"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(done.stdout.splitlines()[-1])["run_id"]
    uid = json.loads(installation.cairn("runs", "show", run, "--json").stdout)["run_id"]
    (written,) = installation.home.rglob(f"{uid}/train/*/out")
    got = json.loads(written.read_text())
    got["tags"] = dict(sorted(got["tags"].items()))
    sent = {
        "lr": 1.0, "epochs": 7, "text": "a$$b $(HOME) {{$}}", "layers": [1, 2.0], "tables": TABLES, "zip": "0123e4",
        "tags": dict(sorted(TAGS.items())),  # of a parameter, in any order
    }  # fmt: skip
    assert [(name, json.dumps(got[name])) for name in sent] == [(name, json.dumps(sent[name])) for name in sent]


@pytest.fixture(scope="module")
def values(tmp_path_factory, client_python, installation_at):
    folder = tmp_path_factory.mktemp("values")
    for name in ("conf", "home"):
        (folder / name).mkdir()
    texts = {
        "conf/config.yaml": CONFIG, "main.py": MAIN, "pipeline.py": PIPELINE, "values.json": json.dumps(TABLES),
        "home/config.toml": '[images]\n"acme/*" = "host"\n',
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    subprocess.run(
        [str(client_python("kfp", "hydra-core")), "pipeline.py", str(folder)], cwd=folder, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
    )  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    installation = installation_at(folder / "home", PATH=path)
    yield installation, installation.serve(), folder
    installation.close()
