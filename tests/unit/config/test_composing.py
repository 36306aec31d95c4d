"""Composing: what comes out, and that an embedding program's Hydra does not notice."""

import json
import subprocess
import sys
import textwrap

import msgspec
import pytest

from cairn.config.composing import Composer, compose, digest_of, recomposed
from cairn.errors import ConfigurationError

FILES = {
    "config.yaml": """
        defaults:
          - model: small
          - _self_
        train:
          lr: 0.1
          steps: [1, 2]
        out: ${train.lr}-${model.layers}
        chosen: ${hydra:runtime.choices.model}
        later: ???
        cairn:
          name: run-${train.lr}
    """,
    "model/small.yaml": "layers: 2\nkind: s\n",
    "model/big.yaml": "layers: 20\nkind: b\n",
    "other.yaml": "# @package _global_\na: 1\n",
}


@pytest.fixture
def conf(tmp_path):
    return write(tmp_path / "conf", FILES)


def write(directory, files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return directory


def test_values_are_resolved_and_the_text_is_as_it_was_written(conf):
    found = compose(conf, "config", ["train.lr=0.5", "model=big", "+x.y=hi", "~model.kind"])
    assert found.values == {
        "model": {"layers": 20},
        "train": {"lr": 0.5, "steps": [1, 2]},
        "out": "0.5-20",
        "chosen": "big",
        "later": "???",
        "x": {"y": "hi"},
    }
    assert found.cairn == {"name": "run-0.5"}
    assert found.primary == str(conf / "config.yaml")
    recorded = found.configuration
    assert (recorded.directory, recorded.name) == (str(conf), "config")
    assert recorded.overrides == ("train.lr=0.5", "model=big", "+x.y=hi", "~model.kind")
    assert "out: ${train.lr}-${model.layers}" in recorded.text
    assert "name: run-${train.lr}" in recorded.text
    assert "hydra" not in recorded.text.replace("${hydra:", "")
    assert found.files == ((str(conf / "model/big.yaml"), "model"), (str(conf / "config.yaml"), ""))


def test_the_digest_is_of_what_it_resolves_to(conf):
    first = compose(conf, "config", ["train.lr=0.5", "model=big"]).configuration.digest
    assert compose(conf, "config.yaml", ["model=big", "train.lr=5e-1"]).configuration.digest == first
    assert compose(conf, "config", ["train.lr=0.5"]).configuration.digest != first
    assert compose(conf, "config", ["train.lr=0.5", "model=big", "cairn.name=x"]).configuration.digest != first
    assert len(first) == 32
    assert digest_of({"a": 1, "b": 2}, {}) == digest_of({"b": 2, "a": 1}, {})
    assert digest_of({"a": 1}, {}) != digest_of({}, {"a": 1})


def test_every_composition_gets_the_files_as_they_were_when_they_were_read(conf):
    with Composer(conf) as composer:
        first = composer.compose(["model=big"])
        (conf / "model/big.yaml").write_text("layers: 99\n")
        (conf / "config.yaml").write_text("gone: true\n")
        again = composer.compose(["model=big"], sweep="s", job=3)
        assert again.values == first.values
        assert (again.configuration.sweep, again.configuration.job) == ("s", 3)
        assert composer.compose(["model=small"]).values["model"]["layers"] == 2
        assert composer.compose(["model=big"]).values == first.values, "one composition changes nothing for the next"


def test_cached_resolvers_are_those_of_the_sweep(tmp_path):
    write(tmp_path, {"config.yaml": "when: ${now:%f}\na: 1\n"})
    with Composer(tmp_path) as composer:
        whole = composer.config(["a=1,2"], multirun=True)
        theirs = whole.when
        found = {composer.compose([f"a={number}"], like=whole).values["when"] for number in range(2)}
        alone = {composer.compose([f"a={number}"]).values["when"] for number in range(2)}
    assert found == {theirs}
    assert len(alone) == 2


def test_structured_configs_and_resolvers_come_from_imports(tmp_path):
    write(
        tmp_path,
        {
            "conf/config.yaml": "defaults: [schema, _self_]\nlr: 0.5\nkind: ADAM\ndouble: ${twice:${lr}}\n",
            "schema.py": """
                from dataclasses import dataclass, field
                from enum import Enum
                from pathlib import Path
                from omegaconf import OmegaConf
                from hydra.core.config_store import ConfigStore

                class Kind(Enum):
                    SGD = 1
                    ADAM = 2

                @dataclass
                class Config:
                    lr: float = 1.0
                    kind: Kind = Kind.SGD
                    home: Path = Path("/a/b")
                    raw: bytes = b"\\x00\\x01"
                    double: float = 0.0

                ConfigStore.instance().store("schema", Config)
                OmegaConf.register_new_resolver("twice", lambda x: 2 * x)
            """,
        },
    )
    for _ in range(2):  # imported once: a resolver is not registered twice
        found = compose(tmp_path / "conf", imports=[str(tmp_path / "schema.py")])
    assert found.values == {"lr": 0.5, "kind": "ADAM", "home": "/a/b", "raw": "AAE=", "double": 1.0}
    assert json.dumps(found.values)
    text = "lr: 0.5\nkind: ADAM\nhome: /a/b\nraw: AAE=\ndouble: ${twice:${lr}}\n"
    assert found.configuration.text == text, "readable without Python's own tags"
    with pytest.raises(ConfigurationError) as caught:
        compose(tmp_path / "conf", "config", ["lr=fast"], imports=[str(tmp_path / "schema.py")])
    assert "Value 'fast' of type 'str' could not be converted to Float" in caught.value.message
    assert caught.value.place == f"{tmp_path / 'conf' / 'config.yaml'}: lr=fast"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("import nothing_of_the_kind\n", "broken.py:1", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("x = 1\n1 / 0\n", "broken.py:2", "ZeroDivisionError"),
        ("def f(:\n", "broken.py:1", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "broken.py:2", "SystemExit: 3"),
    ],
)
def test_an_import_that_fails_is_placed_at_its_line(conf, tmp_path, text, place, message):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        compose(conf, imports=[str(file)])
    assert caught.value.place == f"{tmp_path}/{place}"


def test_an_import_that_is_not_there_is_refused(conf):
    with pytest.raises(ConfigurationError, match="no such file"):
        compose(conf, imports=["nowhere/schema.py"])
    with pytest.raises(ConfigurationError, match="No module named 'acme_nowhere'"):
        compose(conf, imports=["acme_nowhere"])


def test_keys_become_text_and_odd_values_survive(tmp_path):
    write(
        tmp_path, {"config.yaml": "2: a\ntrue: b\nday: 2020-01-01\nbig: 123456789012345678901234567890\nnone: null\n"}
    )
    assert compose(tmp_path).values == {
        "2": "a", "true": "b", "day": "2020-01-01", "big": 123456789012345678901234567890, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "cairn: null\n", "cairn: {}\n"])
def test_a_configuration_may_say_nothing_of_the_run(tmp_path, text):
    write(tmp_path, {"config.yaml": text})
    assert compose(tmp_path).cairn == {}


def test_warnings_of_hydra_are_handed_on(tmp_path):
    write(tmp_path, {"config.yaml": "a: 1\nhydra:\n  searchpath: [file:///nowhere-at-all]\n"})
    assert any("/nowhere-at-all is not available" in warning for warning in compose(tmp_path).warnings)


def test_cfg_shows_a_part(conf):
    with Composer(conf) as composer:
        text, values = composer.shown("job", ["train.lr=3"])
        assert "out: ${train.lr}-${model.layers}" in text
        assert values["cairn"] == {"name": "run-${train.lr}"}
        assert composer.shown("job", resolve=True)[1]["out"] == "0.1-2"
        assert list(composer.shown("hydra")[1]) == ["hydra"]
        assert {"hydra", "train"} <= set(composer.shown("all")[1])


def test_the_hydra_of_an_embedding_program_stays_as_it_is(conf, tmp_path):
    write(tmp_path / "theirs", {"app.yaml": "a: 1\n"})
    program = f"""
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.version import getbase
        from pathlib import Path

        from cairn.config.composing import compose as ours
        from cairn.errors import ConfigurationError

        with initialize_config_dir({str(tmp_path / "theirs")!r}, version_base="1.1", job_name="theirs"):
            HydraConfig.instance().set_config(compose("app", return_hydra_config=True))
            before = GlobalHydra.instance().hydra
            assert ours(Path({str(conf)!r})).values["model"]["layers"] == 2
            try:
                ours(Path({str(conf)!r}), "config", ["nothing=1"])
            except ConfigurationError:
                pass
            assert GlobalHydra.instance().hydra is before
            assert str(getbase()) == "1.1", getbase()
            assert HydraConfig.get().job.name == "theirs"
            assert compose("app").a == 1
        assert not GlobalHydra.instance().is_initialized()
        ours(Path({str(conf)!r}))
        assert not GlobalHydra.instance().is_initialized()
        print("as it was")
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "as it was\n", done.stderr


def test_hydra_is_not_imported_before_something_is_composed():
    program = "import sys, cairn.config.composing, cairn.cli.run, cairn.engine.sources; print('hydra' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_hydra_knows_only_where_a_program_runs_is_warned_about(tmp_path):
    write(tmp_path, {"config.yaml": "out: ${hydra:runtime.output_dir}/x\nname: ${hydra:job.name}\n"})
    found = compose(tmp_path)
    assert found.values["name"] == "config"
    assert found.warnings == ("${hydra:runtime.output_dir} is null here: Hydra knows it only where a program runs",)


def test_a_configuration_may_ask_for_a_sweep_itself(conf):
    assert compose(conf, "config", ["hydra.mode=MULTIRUN"]).sweeping
    assert not compose(conf).sweeping


def test_a_recorded_configuration_is_resolved_again_without_its_files(conf, monkeypatch):
    first = compose(conf, "config", ["train.lr=0.5", "chosen=x"])
    (conf / "config.yaml").unlink()
    again = recomposed(first.configuration)
    assert (again.values, again.cairn, again.primary) == (first.values, first.cairn, first.primary)
    lost = msgspec.structs.replace(first.configuration, text="a: ${gone:1}\n")
    with pytest.raises(ConfigurationError, match="Unsupported interpolation type gone") as caught:
        recomposed(lost)
    assert caught.value.place == str(conf / "config.yaml")


PROJECT = {
    "train.yaml": """
        # @package _global_
        defaults:
          - _self_
          - hydra: default.yaml
          - search: null
          - override hydra/launcher: submitit_slurm
        lr: 0.1
    """,
    "hydra/default.yaml": """
        defaults:
          - override hydra_logging: colorlog
          - override job_logging: colorlog
        job_logging: {handlers: {file: {filename: train.log}}}
        launcher: {timeout_min: 60}
    """,
    "search/optuna.yaml": """
        # @package _global_
        defaults:
          - override /hydra/sweeper: optuna
          - override /hydra/sweeper/sampler: random
        hydra: {mode: MULTIRUN, sweeper: {n_trials: 3, params: {lr: "interval(0.1,1)"}}}
    """,
}


def test_plugins_that_only_a_program_needs_need_not_be_installed(tmp_path):
    """As the configurations of most projects have them: colorlog, submitit, a sweeper's settings."""
    conf = write(tmp_path / "conf", PROJECT)
    found = compose(conf, "train", ["hydra.launcher.timeout_min=5", "lr=1"])
    assert found.values == {"lr": 1}
    assert not found.sweeping
    assert compose(conf, "train", ["search=optuna"]).sweeping


def test_a_sweeper_is_needed_where_it_is_to_sweep(tmp_path):
    conf = write(tmp_path / "conf", PROJECT)
    with Composer(conf, "train") as composer:
        assert composer.compose(["hydra/sweeper=nosuch"]).values == {"lr": 0.1}
        with pytest.raises(ConfigurationError, match="Could not find 'hydra/sweeper/ax'") as caught:
            composer.config(["hydra/sweeper=ax"], multirun=True)
        assert "pip install hydra-ax-sweeper" in caught.value.remedy
        assert composer.compose(["hydra/sweeper=ax"]).values == {"lr": 0.1}


def test_a_search_path_may_start_from_the_directory_of_the_configuration(tmp_path, monkeypatch):
    write(tmp_path / "train/conf", {"model/small.yaml": "layers: 2\n"})
    conf = write(tmp_path / "conf", {
        "config.yaml": """
            defaults: [{model: small}, _self_]
            data: ${cairn.config_dir:}/data
            hydra: {searchpath: ["file://${cairn.config_dir:}/../train/conf"]}
        """,
        "lost.yaml": "hydra: {searchpath: ['file://nowhere']}",
    })  # fmt: skip
    monkeypatch.chdir("/")
    found = compose(conf)
    assert found.values == {"model": {"layers": 2}, "data": f"{conf}/data"}
    assert found.warnings == ()
    assert recomposed(found.configuration).values == found.values
    assert compose(conf, "lost").warnings == ("provider=hydra.searchpath in main, path=nowhere is not available.",)
