"""`project`: a folder with a Hydra program; `run` describes it as a component and runs its bootstrap, without kfp."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cairn.sdk.hydra import bootstrap
from cairn.sdk.hydra.description import describe
from cairn.sdk.hydra.keys import keys_of

MAIN = """
import json, sys
import hydra
from omegaconf import OmegaConf
{imports}

@hydra.main({arguments})
def main(config):
    with open("got.json", "w") as file:
        json.dump(OmegaConf.to_container(config, resolve=True, enum_to_str=True), file, default=str)

main()
"""
KINDS = ("inputs", "input_artifacts", "output_artifacts", "output_parameters")


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def main(self, arguments='version_base=None, config_path="conf", config_name="config"', imports=""):
        return self.write("main.py", MAIN.format(arguments=arguments, imports=imports))

    def describe(self, program="main.py", **options):
        asked = {kind: keys_of(options.pop(kind, ()), kind) for kind in KINDS}
        return describe(program, base=self.root, asked=asked, **options)

    def start(self, described, given=None, *, words=(), python=sys.executable, **variables):
        executor_input = {
            "inputs": {"parameterValues": given or {}},
            "outputs": {"outputFile": str(self.root / "told.json")},
        }
        options = ["--spec", json.dumps(described.spec), "--executor-input", json.dumps(executor_input), *words]
        return subprocess.Popen(
            [python, "-c", Path(bootstrap.__file__).read_text(), *options],
            cwd=self.root, env={**os.environ, "CAIRN_LOG_DIRECTORY": str(self.root / "logs"), **variables},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, described, given=None, **options):
        """What the program got."""
        process = self.start(described, given, **options)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return json.loads((self.root / "got.json").read_text())


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
