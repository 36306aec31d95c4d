"""`hydra/launcher=cairn` under Hydra's own launcher test suite, as Hydra's plugin documentation asks for."""

from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

import hydra_plugins
from hydra_plugins.cairn_launcher.launcher import CairnLauncher


@pytest.fixture(autouse=True)
def _home(cairn_home: Path) -> None:
    """Also for the applications that the suite starts."""


def test_hydra_finds_the_launcher():
    assert CairnLauncher.__name__ in [found.__name__ for found in Plugins.instance().discover(Launcher)]


def test_the_plugins_package_is_shared_with_other_distributions():
    """A regular package would hide theirs."""
    assert hydra_plugins.__file__ is None


@pytest.mark.parametrize(("launcher_name", "overrides"), [("cairn", [])])
class TestCairnLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("cairn", ["hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"])],
)
class TestCairnLauncherInBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=cairn", "hydra.launcher.echo=false"])]
)
class TestCairnLauncherOfApplications(IntegrationTestSuite):
    pass
