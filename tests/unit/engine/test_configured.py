"""A pipeline and a configuration that Hydra composes: which run is meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from cairn.config.composing import Composed, compose
from cairn.config.mapping import run_configuration
from cairn.domain.runs import ImageMapping, RunSettings, Submission
from cairn.engine.configured import configured
from cairn.errors import ConfigurationError
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline


def _pipeline(**types: str) -> Pipeline:
    """With an optional parameter of each of the types."""
    parameters = {name: {"parameterType": type_, "isOptional": True} for name, type_ in types.items()}
    document = {
        "pipelineInfo": {"name": "p"},
        "schemaVersion": "2.1.0",
        "components": {"comp-train": {"executorLabel": "exec-train"}},
        "deploymentSpec": {"executors": {"exec-train": {"container": {"image": "a:1"}}}},
        "root": {
            "inputDefinitions": {"parameters": parameters},
            "dag": {"tasks": {"train": {"componentRef": {"name": "comp-train"}}}},
        },
    }
    return load_text(json.dumps(document), origin="p.json")


class _Config:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, text: str, *overrides: str, **files: str) -> Composed:
        for name, content in {"config": text, **files}.items():
            path = self.directory / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        return compose(self.directory, "config", overrides)


@pytest.fixture
def config(tmp_path: Path) -> _Config:
    return _Config(tmp_path)


def _meant(
    pipeline: Pipeline, composed: Composed, given: Submission | None = None, **more: Any
) -> tuple[Pipeline, Submission]:
    said = run_configuration(composed)
    return configured(pipeline, composed, said, given or Submission(), base=Path("/work"), **more)


def _parameters(pipeline: Pipeline, composed: Composed, given: Submission | None = None) -> dict[str, Any]:
    return _meant(pipeline, composed, given)[1].parameters


# --- parameters ------------------------------------------------------------------------------------------------------


def test_a_parameter_takes_the_key_of_its_name_else_the_path_that_its_name_joins(config):
    pipeline = _pipeline(seed="NUMBER_INTEGER", train_lr="NUMBER_DOUBLE", train_optim="STRUCT", missing="STRING")
    composed = config("seed: 3\ntrain: {lr: 0.1, optim: {name: adam, betas: [0.9, 0.99]}}\nother: 1\n")
    assert _parameters(pipeline, composed) == {
        "seed": 3, "train_lr": 0.1, "train_optim": {"name": "adam", "betas": [0.9, 0.99]},
    }  # fmt: skip


def test_the_top_level_goes_before_paths_the_node_before_both_and_flags_before_all(config):
    pipeline = _pipeline(train_lr="NUMBER_DOUBLE", a="STRING", b="STRING")
    composed = config(
        "train_lr: 1.0\ntrain: {lr: 0.1}\na: config\nb: config\nsource: {x: node}\n"
        "cairn: {parameters: {a: '${source.x}', b: node}}\n"
    )
    given = Submission({"b": "flag"})
    assert _parameters(pipeline, composed, given) == {"train_lr": 1.0, "a": "node", "b": "flag"}


def test_two_paths_of_one_name_are_refused_with_both(config):
    composed = config("a: {b_c: 1}\na_b: {c: 2}\n")
    with pytest.raises(ConfigurationError, match=r"'a_b_c' could take (a\.b_c or a_b\.c|a_b\.c or a\.b_c)") as refused:
        _meant(_pipeline(a_b_c="NUMBER_INTEGER"), composed)
    assert refused.value.remedy.startswith("say which: cairn.parameters.a_b_c: ${")
    composed = config("a: {b_c: 1}\na_b: {c: 2}\ncairn: {parameters: {a_b_c: '${a.b_c}'}}\n")
    assert _parameters(_pipeline(a_b_c="NUMBER_INTEGER"), composed) == {"a_b_c": 1}


@pytest.mark.parametrize(
    ("type_", "written", "value"),
    [
        ("NUMBER_INTEGER", "1e3", 1000),  # OmegaConf reads it as a double without a fraction
        ("NUMBER_INTEGER", "'${big}'", 2**53 + 1),
        ("NUMBER_DOUBLE", "3", 3.0),
        ("NUMBER_DOUBLE", "1e-4", 0.0001),
        ("BOOLEAN", "off", False),
        ("STRING", "'1e3'", "1e3"),
        ("STRING", "on time", "on time"),
        ("LIST", "[1, 2.5, a, [true, null]]", [1, 2.5, "a", [True, None]]),
        ("STRUCT", "{a: {b: ['${big}']}}", {"a": {"b": [2**53 + 1]}}),
        ("LIST", "[]", []),
    ],
)
def test_a_value_is_as_its_type_has_it(config, type_, written, value):
    found = _parameters(_pipeline(p=type_), config(f"big: {2**53 + 1}\np: {written}\n"))["p"]
    assert found == value
    assert type(found) is type(value)


def test_null_gives_nothing_and_leaves_the_default(config):
    assert _parameters(_pipeline(p="NUMBER_INTEGER"), config("p: null\n")) == {}


@pytest.mark.parametrize(
    ("type_", "written", "message", "remedy"),
    [
        ("NUMBER_INTEGER", "1.5", "1.5 does not fit: a whole number is wanted (NUMBER_INTEGER)", ""),
        ("NUMBER_INTEGER", "true", "True does not fit", ""),
        ("NUMBER_INTEGER", "'3'", "'3' does not fit", ""),
        ("NUMBER_DOUBLE", ".nan", "nan does not fit: no parameter can hold it", ""),
        ("LIST", "[.inf]", "inf does not fit", ""),
        ("BOOLEAN", "1", "1 does not fit: true or false is wanted", ""),
        ("STRING", "007", "7 does not fit: text is wanted (STRING)", "quote it"),
        ("STRING", "{a: 1}", "does not fit: text is wanted", "give it a key of its own in cairn.parameters.p"),
        ("LIST", "{a: 1}", "a list is wanted", ""),
        ("STRUCT", "[1]", "a mapping is wanted", ""),
        ("STRING", "???", "has no value yet (???), and parameter 'p' takes it", "give p=VALUE"),
        ("STRUCT", "{a: {b: '???'}}", "has no value yet", "give p.a.b=VALUE"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_parameter_key_file_and_line(
    config, tmp_path, type_, written, message, remedy
):
    with pytest.raises(ConfigurationError) as refused:
        _meant(_pipeline(p=type_), config(f"x: 1\np: {written}\n"))
    assert message in refused.value.message
    assert refused.value.place.startswith(f"{tmp_path}/config.yaml:2: p")
    assert refused.value.remedy == remedy


def test_a_parameter_of_the_node_that_there_is_none_of_is_refused_with_the_nearest(config):
    composed = config("cairn: {parameters: {sed: 1}}\n")
    with pytest.raises(ConfigurationError, match=r"no parameter 'sed' \(did you mean 'seed'\?\)"):
        _meant(_pipeline(seed="NUMBER_INTEGER"), composed)


# --- the rest of the run ---------------------------------------------------------------------------------------------


def test_everything_the_node_says_of_the_run_is_in_the_submission(config):
    composed = config(
        "cairn:\n  name: nightly\n  description: d\n  labels: {a: '1', b: '2'}\n  pipeline_root: gs://b/r\n"
        "  project: acme\n  caching: {enabled: false, ttl: 1h, verify: true}\n  failure_policy: fast\n  strict: true\n"
        "  in_place: true\n  notify: https://h\n  images: {x: 'project:train', y: 'project:/abs', z: host}\n"
    )
    submission = _meant(_pipeline(), composed)[1]
    assert submission == Submission(
        {},
        RunSettings(
            use_cache=False, cache_ttl_seconds=3600, verify_cache=True, failure_policy="fast", strict=True,
            images=(
                ImageMapping("x", "project:/work/train"), ImageMapping("y", "project:/abs"), ImageMapping("z", "host"),
            ),
            in_place=True, notify="https://h",
        ),
        project="acme", display_name="nightly", description="d", labels={"a": "1", "b": "2"}, pipeline_root="gs://b/r",
        configuration=composed.configuration,
    )  # fmt: skip


def test_flags_win_over_the_configuration_and_that_over_the_home(config):
    composed = config(
        "cairn: {name: c, labels: {a: c, b: c}, pipeline_root: gs://c, failure_policy: fast, notify: c,\n"
        "  strict: false, caching: {enabled: true, ttl: 1h}, images: {c: host}}\n"
    )
    home = RunSettings(use_cache=False, notify="home", strict=True, images=(ImageMapping("home", "host"),))
    given = Submission(
        settings=RunSettings(
            use_cache=False, notify="home", strict=True, cache_ttl_seconds=5,
            images=(ImageMapping("flag", "host"), *home.images), detached=True,
        ),
        display_name="flag", labels={"a": "flag"}, pipeline_root="gs://flag",
    )  # fmt: skip
    # --failure-policy slow is what the home has as well: only `flags` tells that it was said.
    submission = _meant(_pipeline(), composed, given, defaults=home, flags={"failure_policy"})[1]
    assert submission.settings == RunSettings(
        use_cache=True, notify="c", strict=False, cache_ttl_seconds=5, failure_policy="slow", detached=True,
        images=(ImageMapping("flag", "host"), ImageMapping("c", "host"), ImageMapping("home", "host")),
    )  # fmt: skip
    assert submission.display_name == "flag"
    assert submission.labels == {"a": "flag", "b": "c"}
    assert submission.pipeline_root == "gs://flag"


def test_steps_are_in_the_pipeline_and_errors_name_the_line(config, tmp_path):
    pipeline = _pipeline()
    assert _meant(pipeline, config("x: 1\n"))[0] is pipeline
    changed = _meant(pipeline, config("cairn:\n  steps:\n    train: {image: 'b:2', environment: {A: x}}\n"))[0]
    assert changed.components["comp-train"].executor.image == "b:2"
    with pytest.raises(ConfigurationError) as refused:
        _meant(pipeline, config("cairn:\n  steps:\n    train:\n      cpu: many\n"))
    assert refused.value.place == f"{tmp_path}/config.yaml:4: cairn.steps.train.cpu"
    with pytest.raises(ConfigurationError, match="did you mean 'train'"):
        _meant(pipeline, config("cairn:\n  steps:\n    trian: {cpu: 1}\n"))


# --- overrides that change nothing -----------------------------------------------------------------------------------


def _warnings(pipeline: Pipeline, composed: Composed, **more: Any) -> list[str]:
    return list(_meant(pipeline, composed, **more)[1].warnings)


def test_an_override_that_nothing_takes_is_a_warning(config):
    composed = config("lr: 1\ntrain: {seed: 1, lr: 2}\n", "train.seed=3", "lr=5", "+new=1")
    assert _warnings(_pipeline(lr="NUMBER_INTEGER"), composed) == [
        "train.seed=3 changes nothing of this run: no parameter takes train.seed",
        "+new=1 changes nothing of this run: no parameter takes new",
    ]
    assert _warnings(_pipeline(lr="NUMBER_INTEGER"), composed, compiled=True) == []


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("train: {seed: 1}\nlr: '${train.seed}'\n", "train.seed=3"),
        ("train: {seed: 1}\nmid: {x: '${train.seed}'}\nlr: '${.mid.x}'\n", "train.seed=3"),
        ("train: {seed: 1, a: '${.seed}'}\nlr: '${train.a}'\n", "train.seed=3"),
        ("train: {seed: 1}\nlr: '${oc.select:train.seed,4}'\n", "train.seed=3"),
        ("train: {seed: 1}\nall: '${train}'\nlr: '${all.seed}'\n", "train.seed=3"),
        ("seed: 1\nlr: 1\ncairn: {steps: {train: {environment: {SEED: '${seed}'}}}}\n", "seed=3"),
        ("lr: 1\n", "+cairn.labels.a=b"),
        ("lr: 1\n", "hydra.job.name=x"),
        ("lr: 1\n", "lr=null"),
        ("lr: 1\nwhole: {a: 1}\n", "whole.a=4"),
        ("lr: 1\nwhole: {a: 1}\n", "whole={a: 5}"),
        ("lr: 1\nlist: [1, 2]\n", "list=[2,3]"),
    ],
)
def test_one_that_reaches_a_parameter_or_the_node_is_none(config, text, override):
    pipeline = _pipeline(lr="NUMBER_INTEGER", whole="STRUCT", list="LIST")
    assert _warnings(pipeline, config(text, override)) == []


def test_a_choice_of_a_group_is_none(config):
    groups = {"env__dev": "bucket: d\n", "env__prod": "bucket: p\n", "experiment__big": "# @package _global_\nlr: 9\n"}
    composed = config("defaults: [env: dev, _self_]\nlr: 1\n", "env=prod", "+experiment=big", **groups)
    assert _warnings(_pipeline(lr="NUMBER_INTEGER"), composed) == []
    composed = config("defaults: [env: dev, _self_]\nlr: 1\n", "env=prod", "env.bucket=x", **groups)
    assert len(_warnings(_pipeline(lr="NUMBER_INTEGER"), composed)) == 1
