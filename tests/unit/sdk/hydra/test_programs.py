"""Programs of every make, described and run by the bootstrap: what they get is what the component was given."""

import json
import os
import re
import signal
import sys
import time

import pytest

from cairn.errors import ConfigurationError
from cairn.sdk.hydra import bootstrap

CONFIG = """
    defaults:
      - optimizer: sgd
      - _self_
    train: {lr: 0.1, epochs: 3, name: x}
    data: {root: /data, dir: "${data.root}/a"}
    model: {layers: [1, 2], odd: [1.0, null], later: "???", none: null}
    escaped: \\${train}
    out: "???"
"""


@pytest.fixture
def usual(project):
    project.main()
    project.write("conf/config.yaml", CONFIG)
    project.write("conf/optimizer/sgd.yaml", "kind: sgd\nmomentum: 0.9\nnested: {a: 1, b: 2}\n")
    project.write("conf/optimizer/adam.yaml", "kind: adam\nbetas: [0.9, 0.99]\n")
    return project


def test_types_and_defaults_are_those_of_the_composed_configuration(usual):
    keys = ["train.lr", "train.epochs", "train.name", "model.layers", "optimizer", "data.dir", {"model.later": int}]
    offered = {one.name: one for one in usual.describe(inputs=keys).inputs}
    assert {name: one.type for name, one in offered.items()} == {
        "train_lr": "float", "train_epochs": "int", "train_name": "str", "model_layers": "list", "optimizer": "dict",
        "data_dir": "str", "model_later": "int",
    }  # fmt: skip
    assert offered["train_lr"].default == 0.1
    assert offered["optimizer"].default == {"kind": "sgd", "momentum": 0.9, "nested": {"a": 1, "b": 2}}
    assert offered["data_dir"].default is ..., "the program knows what it depends on"
    assert not offered["data_dir"].required
    assert offered["model_later"].required


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (["train.*"], "train_lr train_epochs train_name"),
        (["optimizer.*"], "optimizer_kind optimizer_momentum optimizer_nested"),
        (["train.*", {"train.lr": float}], "train_epochs train_name train_lr"),
        (["data.*", "data.*", "optimizer.nested.*"], "data_root data_dir optimizer_nested_a optimizer_nested_b"),
        (["*", "model.layers", "train.lr"], "optimizer data escaped model_layers train_lr"),
    ],
    ids=str,
)  # fmt: skip
def test_a_star_stands_for_the_keys_that_are_not_named_by_themselves(usual, asked, names):
    described = usual.describe(inputs=asked, output_parameters={"out": str})
    assert [one.name for one in described.inputs] == names.split()


def test_what_a_star_stands_for_is_given_to_the_program(usual):
    described = usual.describe(inputs=["train.*", {"+more": int}])
    got = usual.run(described, {"train_lr": 0.5, "train_epochs": 4.0, "more": 2})
    assert (got["train"], got["more"]) == ({"lr": 0.5, "epochs": 4, "name": "x"}, 2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["trian.*"], "no key trian; the nearest are train"),
        (["train.lr.*"], "train.lr is no mapping"),
        (["model.*"], r'say it: {"model.later": float}'),
        (["tr*"], "has no key tr*"),
    ],
)
def test_a_star_that_stands_for_nothing_is_refused(usual, asked, words):
    with pytest.raises(ConfigurationError) as refused:
        usual.describe(inputs=asked)
    assert words in f"{refused.value} {refused.value.remedy}"


def test_a_mapping_is_replaced_and_not_merged(usual):
    got = usual.run(usual.describe(inputs=["optimizer", "train.lr"]), {"optimizer": {"nested": {"c": {}}, "kind": []}})
    assert got["optimizer"] == {"nested": {"c": {}}, "kind": []}
    assert got["train"] == {"lr": 0.1, "epochs": 3, "name": "x"}


@pytest.mark.parametrize("value", [{}, {"a": {}}])
def test_an_empty_mapping_stays_empty(usual, value):
    assert usual.run(usual.describe(inputs=["optimizer"]), {"optimizer": value})["optimizer"] == value


def test_what_refers_to_an_input_follows_it(usual):
    described = usual.describe(inputs=["data.root", "data.dir"])
    assert usual.run(described, {"data_root": "/other"})["data"] == {"root": "/other", "dir": "/other/a"}
    assert usual.run(described, {"data_dir": "${x}"})["data"] == {"root": "/data", "dir": "${x}"}


def test_a_default_that_a_double_would_alter_is_given_by_the_component(usual):
    described = usual.describe(inputs=["model.odd", "escaped"])
    assert described.inputs[0].shown is ...
    assert described.inputs[0].description == "model.odd, by default [1.0, null]"
    got = usual.run(described)
    assert str(got["model"]["odd"]) == "[1.0, None]"
    assert got["escaped"] == "${train}"


def test_overrides_choose_groups_and_give_way_to_inputs(usual):
    described = usual.describe(
        inputs=["train.lr"], overrides=["optimizer=adam", "train.lr=0.5", "+more=1", "~train.name"]
    )
    assert described.inputs[0].default == 0.5
    got = usual.run(described, {"train_lr": 0.25})
    assert (got["optimizer"]["kind"], got["train"]["lr"], got["more"], "name" in got["train"]) == (
        "adam",
        0.25,
        1,
        False,
    )


def test_a_key_that_is_to_be_added(usual):
    described = usual.describe(inputs=[{"+train.extra.deep": list}])
    assert "extra" not in usual.run(described)["train"]
    assert usual.run(described, {"train_extra_deep": [{"a": 1.5}]})["train"]["extra"] == {"deep": [{"a": 1.5}]}


def test_hydra_writes_its_folder_beside_the_logs(usual):
    usual.run(usual.describe(inputs=["train.lr"]))
    assert (usual.root / "logs/hydra/.hydra/config.yaml").is_file()
    assert (usual.root / "logs/config/cairn_values/values.yaml").is_file()
    assert not (usual.root / "outputs").exists()


def test_a_program_without_a_primary_configuration(project):
    project.main("version_base=None, config_path=None")
    described = project.describe(inputs=[{"+a.b": dict}], overrides=["+c=1"])
    assert project.run(described, {"a_b": {"x": "???"}}) == {"a": {"b": {"x": "???"}}, "c": 1}


def test_another_configuration_than_the_program_says(project):
    project.main()
    project.write("conf/config.yaml", "a: 1\n")
    project.write("other/second.yaml", "a: 2\n")
    described = project.describe(inputs=["a"], config_dir="other", config_name="second")
    assert described.inputs[0].default == 2
    assert project.run(described) == {"a": 2}


def test_a_module_is_run_as_one(project):
    project.write("pkg/__init__.py", "")
    project.write("conf/config.yaml", "a: 1\n")
    main = project.main('version_base=None, config_path="../conf", config_name="config"')
    main.rename(project.root / "pkg" / "train.py")
    described = project.describe("", module="pkg.train", project=".", inputs=["a"])
    assert project.run(described, {"a": 5}) == {"a": 5}


STRUCTURED = """
    from dataclasses import dataclass, field
    from enum import Enum
    from pathlib import Path
    from typing import Any, Dict, List, Optional
    from hydra.core.config_store import ConfigStore

    class Colour(Enum):
        RED = 1
        BLUE = 2

    @dataclass
    class Model:
        width: int = 4
        named: Dict[str, float] = field(default_factory=lambda: {"a": 1.0})

    @dataclass
    class Config:
        lr: float = 1
        steps: Optional[int] = None
        colour: Colour = Colour.RED
        place: Path = Path("/tmp")
        layers: List[int] = field(default_factory=lambda: [1])
        named: Dict[str, float] = field(default_factory=lambda: {"a": 1.0})
        model: Model = field(default_factory=Model)
        free: Any = None

    ConfigStore.instance().store(name="config", node=Config)
"""


@pytest.fixture
def structured(project):
    project.main('version_base=None, config_name="config"', imports="import conf_schema")
    project.write("conf_schema.py", STRUCTURED)
    return project


def test_structured_configurations_declare_types(structured):
    keys = ["lr", "steps", "colour", "place", "layers", "named", "model", {"free": str}]
    described = structured.describe(inputs=keys, imports=["conf_schema.py"])
    offered = {one.name: one for one in described.inputs}
    assert [one.type for one in described.inputs] == ["float", "int", "str", "str", "list", "dict", "dict", "str"]
    assert offered["colour"].choices == ("RED", "BLUE")
    assert offered["steps"].optional
    given = {"colour": "BLUE", "named": {"b": 2}, "steps": 3, "lr": 1, "model": {"width": 5, "named": {"z": 1}}}
    got = structured.run(described, given)
    assert (got["colour"], got["named"], got["steps"]) == ("BLUE", {"b": 2.0}, 3)
    assert got["model"] == {"width": 5, "named": {"z": 1.0}}


def test_annotations_that_are_text_are_looked_up_in_the_file_that_has_them(project):
    project.main('version_base=None, config_name="config"', imports="import conf_schema")
    project.write(
        "conf_schema.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass, field
        from typing import Optional
        from hydra.core.config_store import ConfigStore

        @dataclass
        class Tree:
            value: int = 1
            left: Optional[Tree] = None

        @dataclass
        class Config:
            tree: Tree = field(default_factory=Tree)

        ConfigStore.instance().store(name="config", node=Config)
        """,
    )
    described = project.describe(inputs=["tree.left", "tree.value"], imports=["conf_schema.py"])
    assert [one.type for one in described.inputs] == ["dict", "int"]
    assert "cairn_hydra_import_conf_schema" not in sys.modules


def test_what_a_program_logs_launches_and_sweeps_with_need_not_be_installed_here(usual):
    usual.write(
        "conf/config.yaml",
        """
        defaults:
          - _self_
          - override hydra/job_logging: colorlog
          - override hydra/launcher: submitit_slurm
          - override hydra/sweeper: ax
        lr: 0.5
        """,
    )
    assert [one.type for one in usual.describe(inputs=["lr"]).inputs] == ["float"]


def test_a_configuration_that_the_program_registers_is_asked_for(structured):
    with pytest.raises(ConfigurationError, match="Cannot find primary config 'config'") as caught:
        structured.describe(inputs=["lr"])
    assert 'imports=["main.py"]' in caught.value.remedy


def test_two_programs_may_register_the_same_name(structured, tmp_path_factory):
    from hydra.core.config_store import ConfigStore

    before = set(ConfigStore.instance().repo)
    for _ in range(2):
        structured.describe(inputs=["lr"], imports=["conf_schema.py"])
    assert set(ConfigStore.instance().repo) == before


def test_the_program_ends_as_it_ends(usual):
    usual.write(
        "main.py", "import sys\nimport hydra\nhydra.main(config_path='conf', config_name='config')\nsys.exit(7)\n"
    )
    process = usual.start(usual.describe(inputs=["train.lr"]))
    process.communicate(timeout=60)
    assert process.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_the_program_and_are_its_end(usual, number):
    source = """
        import os, signal, time
        import hydra
        hydra.main(config_path='conf', config_name='config')
        open("pid", "w").write(str(os.getpid()) + " ")
        time.sleep(60)
    """
    usual.write("main.py", source)
    process = usual.start(usual.describe(inputs=["train.lr"]), CAIRN_RUN="")
    pid = usual.root / "pid"
    while not (pid.exists() and pid.read_text().endswith(" ")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    if number == signal.SIGKILL:
        os.kill(int(pid.read_text()), number)
    else:
        process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == -number


def test_a_program_that_is_not_there_is_named(usual):
    described = usual.describe(inputs=["train.lr"])
    (usual.root / "main.py").unlink()
    process = usual.start(described)
    assert "there is no main.py in" in process.communicate(timeout=30)[1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": ["train.lrr"]}, r"no key train\.lrr; the nearest are train\.lr"),
        ({"inputs": ["model.none"]}, "tells no type"),
        ({"inputs": ["model.later"]}, r"nothing \(\?\?\?\)"),
        ({"inputs": ["model.layers.0"]}, "inside a list"),
        ({"inputs": [{"train.name": int}]}, "'x' does not fit: int is wanted"),
        ({"inputs": [{"train.name": bytes}]}, "no type of a pipeline"),
        ({"inputs": ["train", "train.lr"]}, r"train\.lr is part of train"),
        ({"inputs": ["train.lr", "train_lr"]}, "both called"),
        ({"inputs": ["train.lr"], "overrides": ["train={lr: 1}"]}, "sets train as a whole"),
        ({"inputs": ["train.lr"], "overrides": ["-m"]}, "no override"),
        ({"inputs": ["train.lr"], "overrides": ["optimizer=none"]}, "Could not find 'optimizer/none'"),
        ({"inputs": ["train.lr"], "overrides": ["nothing=1"]}, "Could not override 'nothing'"),
        ({"inputs": "train.lr"}, "write a list"),
        ({"input_artifacts": {"data.dirs": str}}, "no key data.dirs"),
        ({"config_dir": "nowhere"}, "no such directory"),
        ({"config_name": "nothing"}, "nothing"),
        ({"program": "none.py"}, "no such file"),
        ({"imports": ["none.py"]}, "no such file"),
    ],
)
def test_what_is_wrong_is_named(usual, options, said):
    with pytest.raises(ConfigurationError) as refused:
        usual.describe(**options)
    assert re.search(said, str(refused.value)), str(refused.value)


def test_metrics_become_metadata(usual):
    metrics = usual.root / "metrics.json"
    metrics.write_text('{"loss": 0.5, "val": {"acc": 1}, "name": "x", "ok": true, "bad": NaN}')
    described = {"artifacts": [{"name": "m", "uri": "u", "metadata": {"a": 1}}]}
    executor_input = {"outputs": {"artifacts": {"m": described}, "outputFile": str(usual.root / "told.json")}}
    bootstrap.report_metrics({"metrics": {"m": ["k", False]}}, executor_input, {"k": str(metrics)})
    told = json.loads((usual.root / "told.json").read_text())
    assert told["artifacts"]["m"]["artifacts"][0]["metadata"] == {"a": 1, "loss": 0.5, "val.acc": 1}


def test_modules_of_the_project_do_not_stand_in_for_those_of_the_bootstrap(project):
    project.write("conf/config.yaml", "a: 1\n")
    main = project.main('version_base=None, config_path="../conf", config_name="config"')
    (project.root / "train").mkdir()
    main.rename(project.root / "train" / "main.py")
    for name in ("signal", "tempfile", "json"):
        project.write(f"{name}.py", "raise SystemExit(7)\n")
    assert project.run(project.describe("train/main.py", project=".", inputs=["a"]), {"a": 2}) == {"a": 2}
