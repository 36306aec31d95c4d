import functools
import importlib
import json
import threading

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf, open_dict, read_write

from cairn.errors import ConfigurationError
from cairn.sdk.hydra import job_keys


@pytest.fixture(autouse=True)
def _hydras_own_state():
    before = Singleton.get_state()
    yield
    GlobalHydra.instance().clear()
    Singleton.set_state(before)


def composed(values, *, number=0, sweep="multirun/1"):
    """A job's configuration as a launcher has it."""
    import hydra

    setup_globals()
    GlobalHydra.instance().clear()
    with hydra.initialize(version_base=None, config_path=None):
        config = hydra.compose(overrides=[f"hydra.sweep.dir={sweep}", "hydra.job.name=train"], return_hydra_config=True)
    with read_write(config), open_dict(config):
        config.hydra.job.num = number
        config.hydra.job.id = f"train_{number}"
        config.hydra.runtime.output_dir = f"{sweep}/{number}"
        config.merge_with(OmegaConf.create(values))
    return config


def test_where_and_when_a_job_runs_are_no_part_of_its_key():
    values = {
        "out": "${hydra:runtime.output_dir}/model",
        "at": "${now:%S.%f}",
        "sweep": "${hydra:sweep.dir}",
        "lr": 0.1,
    }
    one, other = composed(values), composed(values, number=1, sweep="multirun/2")
    assert job_keys.job_inputs(one) == job_keys.job_inputs(other)
    assert job_keys.job_inputs(one)["config"]["out"] == "OUTPUT/model"


def test_the_configuration_is_left_as_it_is_and_so_are_the_resolvers():
    config = composed({"at": "${now:%Y}", "lr": 0.1})
    written = OmegaConf.to_yaml(config)
    job_keys.job_inputs(config)
    assert OmegaConf.to_yaml(config) == written
    assert config["at"].isdigit()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": None}, {"a": "None"}),
        ({"a": float("nan")}, {"a": None}),
        ({"a": float("inf")}, {"a": float("-inf")}),
        ({"a": 2**60}, {"a": 2**60 + 1}),
        ({"a": {1: "x"}}, {"a": {"1": "x"}}),
        ({"a": True}, {"a": "true"}),
        ({"seed": "${hydra:job.num}"}, {"seed": 7}),
        ({"a": "x" * 50_000}, {"a": "y" * 50_000}),
        ({"a": "{{$.inputs}}"}, {"a": "{{$.outputs}}"}),
    ],
)
def test_another_value_is_another_key(one, other):
    assert job_keys.job_inputs(composed(one))["config"] != job_keys.job_inputs(composed(other))["config"]


def test_the_number_of_a_job_counts_where_its_configuration_uses_it():
    values = {"seed": "${hydra:job.num}"}
    one, other = job_keys.job_inputs(composed(values)), job_keys.job_inputs(composed(values, number=1))
    assert (one["config"], other["config"]) == ({"seed": 0}, {"seed": 1})


def test_a_configuration_that_is_missing_a_value_has_a_key():
    assert job_keys.job_inputs(composed({"a": "???", "b": "${a}"}))["config"] == {"a": "???", "b": "${a}"}


def test_output_directories_of_any_start_are_told_from_how_they_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = composed({}, sweep="'runs/of_${hydra.job.name}'")
    assert job_keys.output_roots(config) == [tmp_path / "outputs", tmp_path / "runs"]
    assert job_keys.output_roots(composed({}, sweep=".")) == [tmp_path / "outputs"]


def test_the_name_of_a_function_is_enough_where_it_finds_it():
    assert job_keys.function_key(composed) == f"{__name__}:composed"
    partial = functools.partial(composed, {"a": 1})
    assert job_keys.function_key(partial) != job_keys.function_key(functools.partial(composed, {"a": 2}))


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(ConfigurationError, match=r"^the task function: cannot be pickled: "):
        job_keys.pickled(threading.Lock(), "the task function")


def test_an_installed_program_has_no_sources_of_its_own(tmp_path, monkeypatch):
    assert job_keys.program_directory(json.dumps) is None
    assert job_keys.program_directory(yaml.safe_load) is None
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "of_a_test.py").write_text("def train(config): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("package.of_a_test")
    assert job_keys.program_directory(module.train) == tmp_path
    assert package / "of_a_test.py" in job_keys.imported_sources()
