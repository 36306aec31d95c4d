"""What `cairn run --config-dir` spends on its configuration, beyond what Hydra itself takes to import and compose.

    python benchmarks/composing.py [--rounds 15] [--limit 100]

Every figure is a process of its own, timed from its start to its end; the ways take turns, so that whatever else the
machine does hits all of them. All compose the same configuration: 20 groups, 60 files, five overrides.

- bare python: an interpreter that does nothing
- hydra: the same interpreter with `import hydra`, `initialize_config_dir`, `compose`
- cairn --version: the command's own start
- cairn --cfg job: `cairn run … --cfg job`: import, compose, print
- mapping: what of `cairn run` is done before the pipeline is run: import, compose, resolve, digest, read the `cairn`
  node, find the parameters, write the steps' settings into the pipeline

`cfg beyond hydra` is (cairn --cfg job - cairn --version) - (hydra - bare python); `beyond hydra` is the same of the
mapping, whose start is that of an interpreter that loads the pipeline without a configuration (`loaded`). That one
must not exceed the limit. Both are told of the medians and of the fastest rounds, which other work on the machine has
disturbed the least; the latter decide.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measure import Series, run  # noqa: E402

GROUPS = 20
OPTIONS = 3
OVERRIDES = ["group_1=option_1", "group_7=option_2", "train.lr=0.01", "+extra.note=hello", "group_3.size=12"]
_START = "import sys; from cairn.cli import main; main._lighten()\n"
_HYDRA = """
import sys
from hydra import compose, initialize_config_dir
with initialize_config_dir(config_dir=sys.argv[1], version_base=None):
    compose("config", overrides=sys.argv[2:])
"""
_LOADED = f"""{_START}
from pathlib import Path
from cairn.domain.runs import Submission
from cairn.engine.sources import PipelineSource
source = PipelineSource(sys.argv[1], None)
read = source.pipeline()
"""
_MAPPED = f"""{_LOADED}
from cairn.domain.runs import RunSettings
from cairn.config.composing import compose
from cairn.engine.configuring import configured_run
configured_run(source, compose(Path(sys.argv[2]), "config", sys.argv[3:]), Submission(), defaults=RunSettings())
"""


def write_configuration(directory: Path) -> None:
    """A primary file and `GROUPS` groups of `OPTIONS` files, with interpolations between them."""
    names = [f"group_{number}" for number in range(GROUPS)]
    for number, name in enumerate(names):
        (directory / name).mkdir(parents=True)
        for option in range(OPTIONS):
            lines = [f"size: {option}", f"rate: 0.{number}{option}", f"layers: [{number}, {option}, 3]"]
            lines += [
                f"path: ${{paths.root}}/{name}",
                f"nested:\n  depth: {option}\n  name: {name}\n  again: ${{..size}}",
            ]
            (directory / name / f"option_{option}.yaml").write_text("\n".join(lines) + "\n")
    defaults = "".join(f"  - {name}: option_0\n" for name in names)
    (directory / "config.yaml").write_text(
        f"defaults:\n{defaults}  - _self_\n"
        "paths:\n  root: /data\n  output: ${paths.root}/out\n"
        "train:\n  lr: 0.1\n  epochs: 3\n"
        "cairn:\n  name: run-${train.lr}\n  labels: {team: research}\n  steps:\n    '*': {cpu: 1, memory: 1Gi}\n"
    )


def write_pipeline(path: Path) -> None:
    """Ten steps that take what the configuration has."""
    names = {"train_lr": "NUMBER_DOUBLE", "train_epochs": "NUMBER_INTEGER", "group_0": "STRUCT"}
    parameters = {name: {"parameterType": kind, "isOptional": True} for name, kind in names.items()}
    inputs = {"parameters": {name: {"componentInputParameter": name} for name in names}}
    tasks = [f"step-{number}" for number in range(10)]
    document = {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "pipelineInfo": {"name": "composed"},
        "root": {
            "inputDefinitions": {"parameters": parameters},
            "dag": {
                "tasks": {
                    name: {"componentRef": {"name": "comp"}, "taskInfo": {"name": name}, "inputs": inputs}
                    for name in tasks
                }
            },
        },
        "components": {"comp": {"executorLabel": "exec", "inputDefinitions": {"parameters": parameters}}},
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "python:3.11", "command": ["true"]}}}},
    }
    path.write_text(json.dumps(document))


def measured(directory: Path, rounds: int) -> dict[str, Series]:
    configuration, pipeline = directory / "conf", directory / "pipeline.json"
    write_configuration(configuration)
    write_pipeline(pipeline)
    conf, file = str(configuration), str(pipeline)
    cairn = [sys.executable, "-m", "cairn"]
    ways = {
        "bare python": [sys.executable, "-c", "pass"],
        "hydra": [sys.executable, "-c", _HYDRA, conf, *OVERRIDES],
        "cairn --version": [*cairn, "--version"],
        "cairn --cfg job": [*cairn, "run", file, "--config-dir", conf, "--cfg", "job", *OVERRIDES],
        "loaded": [sys.executable, "-c", _LOADED, file],
        "mapping": [sys.executable, "-c", _MAPPED, file, conf, *OVERRIDES],
    }
    found = {name: Series() for name in ways}
    for turn in range(rounds + 1):
        for name, command in ways.items():
            seconds = run(command, {"CAIRN_HOME": str(directory / "home")}).seconds
            if turn:  # the first warms the files' cache
                found[name].values.append(seconds)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=100.0, help="milliseconds beyond Hydra's own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-composing-") as scratch:
        found = measured(Path(scratch), asked.rounds)
    for name, series in found.items():
        low, high = series.spread
        print(f"{name:18} {series.median * 1000:7.0f} ms  ({low * 1000:.0f} to {high * 1000:.0f})")
    beyond = 0.0
    for title, whole, start in (
        ("cfg beyond hydra", "cairn --cfg job", "cairn --version"),
        ("beyond hydra", "mapping", "loaded"),
    ):
        usual, beyond = (
            1000 * (of(found[whole]) - of(found[start]) - of(found["hydra"]) + of(found["bare python"]))
            for of in (lambda series: series.median, lambda series: series.spread[0])
        )
        print(f"{title:18} {usual:7.0f} ms  (fastest rounds: {beyond:.0f} ms)")
    print(f"{'holds' if beyond <= asked.limit else 'DOES NOT HOLD'}: at most {asked.limit:.0f} ms beyond Hydra's own")
    return 0 if beyond <= asked.limit else 1


if __name__ == "__main__":
    sys.exit(main())
