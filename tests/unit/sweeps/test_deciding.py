"""What is made of a composed multirun configuration before a sweeper is; a dataclass stands in for one that samples."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from omegaconf import MISSING

from cairn.config.composing import Composer
from cairn.errors import ConfigurationError
from cairn.sweeps.deciding import Decider
from hydra_plugins.cairn_pipelines import PipelineLauncher


@dataclass
class Sampler:
    seed: int | None = None
    noise: Any = None


@dataclass
class SamplingConf:
    _target_: str = "hydra_plugins.none.SamplingSweeper"
    sampler: Sampler = field(default_factory=Sampler)
    other: Any = MISSING
    direction: Any = "minimize"
    n_trials: int = 7
    params: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def decide(tmp_path):
    ConfigStore.instance().store(group="hydra/sweeper", name="sampling", node=SamplingConf)
    (tmp_path / "config.yaml").write_text("x: 1\nlr: 0.1\nseed: null\ncairn:\n  sweep: {metric: [], goal: []}\n")

    def made(*overrides):
        with Composer(tmp_path) as composer:
            return Decider(composer, overrides, tmp_path / "sweep")

    return made


SAMPLING = "hydra/sweeper=sampling"


def test_a_sampler_without_a_seed_is_given_one(decide):
    decider = decide(SAMPLING, "x=1,2")
    assert decider.seed(42) == 42
    assert decider.config.hydra.sweeper.sampler.seed == 42
    assert decider.config.seed is None, "the user's own key is not touched"
    assert decide(SAMPLING, "hydra.sweeper.sampler.seed=3").seed(42) == 0
    assert decide("x=1,2").seed(42) == 0, "the basic sweeper samples nothing"


def test_the_goal_is_the_samplers_direction(decide):
    decider = decide(SAMPLING, "cairn.sweep.metric=score", "cairn.sweep.goal=maximize")
    assert decider.configuration().goal == ("maximize",)
    assert decider.config.hydra.sweeper.direction == "maximize"
    directed = decide(SAMPLING, "cairn.sweep.metric=score", "hydra.sweeper.direction=maximize")
    assert directed.configuration().goal == ("maximize",)
    assert decide("cairn.sweep.metric=score").configuration().goal == ("minimize",)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ((SAMPLING,), "decides by a metric, and none is named"),
        ((SAMPLING, "cairn.sweep.metric=[a,b]"), "1 directions, and there are 2 metrics"),
        (
            (SAMPLING, "cairn.sweep.metric=a", "cairn.sweep.goal=maximize", "hydra.sweeper.direction=minimize"),
            "is maximize, and hydra.sweeper.direction minimize",
        ),
        (("cairn.sweep.goal=upwards",), "upwards"),
    ],
)
def test_what_does_not_fit_is_refused(decide, overrides, words):
    with pytest.raises(ConfigurationError, match=words):
        decide(*overrides).configuration()


def test_several_objectives_are_several_directions(decide):
    decider = decide(SAMPLING, "cairn.sweep.metric=[a,b]", "cairn.sweep.goal=[maximize,minimize]")
    assert decider.configuration().goal == ("maximize", "minimize")
    assert list(decider.config.hydra.sweeper.direction) == ["maximize", "minimize"]


def test_keys_are_what_the_sweeper_varies(decide):
    decider = decide(SAMPLING, "lr=0.5", "+hydra.sweeper.params={x:'range(1,3)',seed:4}")
    assert decider.keys(["x=1", "seed=4", "lr=0.5"]) == ("x",)
    assert decide("x=1,2", "lr=0.5").keys(["x=1", "lr=0.5"]) == ("x",)
    assert decide("+y=choice(1,2)").keys(["+y=1"]) == ("y",)


def test_the_sweeper_writes_where_it_is_told_unless_the_user_says_where(decide, tmp_path):
    assert decide("x=1,2").config.hydra.sweep.dir == str(tmp_path / "sweep")
    assert decide("x=1,2", "hydra.sweep.dir=/elsewhere").config.hydra.sweep.dir == "/elsewhere"


def test_a_job_knows_its_number_and_its_own_overrides(decide):
    decider = decide("x=1,2", "lr='${hydra:job.num}'")
    composed = decider.compose(["x=2", "lr='${hydra:job.num}'"], sweep="s", number=5)
    assert composed.values["lr"] == 5 and composed.values["x"] == 2
    assert composed.configuration.overrides == ("x=2", "lr='${hydra:job.num}'")
    assert (composed.configuration.sweep, composed.configuration.job) == ("s", 5)


def test_how_many_jobs_there_will_be(decide):
    assert decide(SAMPLING).planned() == 7
    assert decide("x=1,2").planned() == 0, "the basic sweeper knows once it is asked"


def test_the_launcher_makes_the_directory_that_sweepers_write_their_results_to(decide, tmp_path):
    class Runner:
        begun = True

        def launch(self, job_overrides, initial_job_idx):
            return [JobReturn() for _ in job_overrides]

    config = decide(f"hydra.sweep.dir={tmp_path}/logs/multirun", "x=1,2").config
    launcher = PipelineLauncher()
    launcher.setup(hydra_context=None, task_function=Runner(), config=config)
    assert len(launcher.launch([("x=1",), ("x=2",)], 0)) == 2
    assert (tmp_path / "logs" / "multirun").is_dir()
