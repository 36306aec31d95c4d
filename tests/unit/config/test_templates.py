"""What is composed of a template is what Hydra composes."""

from dataclasses import dataclass, field

import pytest
from hydra.core.config_store import ConfigStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig, OmegaConf

from cairn.config.composing import Composer
from cairn.errors import ConfigurationError

POOL = (
    "x=1", "x=two", "x=null", "lr=0.5", "++lr=abc", "+new=1", "+new.deep={a: 1}", "~x", "~gone", "~x=1", "unknown=3",
    "model=small", "model=big", "model=none_such", "+model@other=small", "+extra=one", "~model", "model@x=small",
    "model.size=7", "model.size=${x}", "+model.more=[1,2]", "model={size: 3}", "nested.list=[1,2]", "nested={}",
    "nested.list.0=4", "copied.list=[3]", "text='${hydra:job.num}'", "text='${now:%Y}'", "typed.count=4",
    "typed.count=abc", "typed=wide", "'text=a,b'", "x=1,2", "text='${oc.env:HOME}'",
    "hydra.job.name=other", "hydra.job.num=5", "hydra.job.id=6", "hydra.job.env_copy=[HOME]", "hydra/job_logging=none",
    "hydra.job.config.override_dirname.exclude_keys=[x]", "~hydra.job.num", "hydra.searchpath=[pkg://nowhere]",
    "hydra.mode=MULTIRUN", "hydra.verbose=true", "x=", "x=[", "hydra={job: {name: z}}",
)  # fmt: skip


@dataclass
class Typed:
    count: int = 1
    names: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    directory = tmp_path_factory.mktemp("conf")
    for name, text in {
        "config.yaml": "defaults: [{model: small}, {typed: base}, _self_]\nx: 0\nlr: 0.1\ntext: ''\n"
        "nested: {list: [0], inner: {a: 1}}\ncopied: ${nested}\nmissing: ???\nrun: ${hydra:job.override_dirname}\n",
        "model/small.yaml": "size: 1\n",
        "model/big.yaml": "defaults: [small, _self_]\nsize: 2\n",
        "extra/one.yaml": "# @package _global_\nx: 100\nadded: true\n",
    }.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    store = ConfigStore.instance()
    store.store(group="typed", name="base", node=OmegaConf.structured(Typed))
    store.store(group="typed", name="wide", node={"count": 1, "width": 2})
    return directory


def composed(composer, overrides):
    """Everything that is seen of a composition; an error's class, message and place."""
    try:
        config = composer.config(overrides)
        seen = OmegaConf.to_container(config, resolve=False), flags(config)
    except ConfigurationError as error:
        return str(error), error.place, error.remedy
    told = (*seen, OmegaConf.to_yaml(config), composer.loader.files, composer.loader.warnings)
    try:
        return *told, composer.compose(overrides)
    except ConfigurationError as error:
        return *told, str(error), error.place, error.remedy


def flags(node, path=""):
    if not isinstance(node, (DictConfig, ListConfig)):
        return {}
    found = {path: (dict(node._metadata.flags or {}), str(node._metadata.ref_type), str(node._metadata.object_type))}
    if not (node._is_none() or node._is_missing() or node._is_interpolation()):
        for key in node._content if isinstance(node, DictConfig) else range(len(node)):
            found |= flags(node._get_node(key), f"{path}.{key}")
    return found


@pytest.fixture(scope="module")
def many(conf):
    with Composer(conf) as composer:
        yield composer


@pytest.mark.filterwarnings("ignore:provider=")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(overrides=st.lists(st.sampled_from(POOL), max_size=5))
def test_it_is_what_hydra_composes(conf, many, overrides):
    with Composer(conf) as fresh:
        fresh.loader.loader.again = False
        assert composed(many, overrides) == composed(fresh, overrides)


def test_one_composition_does_not_show_in_the_next(conf, many):
    before = many.compose(["x=3"])
    many.compose(["x=4", "nested.list=[9]", "+added.later=1", "~lr"])
    assert many.compose(["x=3"]) == before


def test_templates_are_few(conf):
    with Composer(conf) as composer:
        for number in range(40):
            composer.compose([f"hydra.job.name=job{number}", f"x={number}", f"hydra.job.num={number}"])
        assert len(composer.loader.loader._templates) <= 16
