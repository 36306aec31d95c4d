"""Fixtures of the fault tests, and which seeds there are.

`--fault-seed 137` or CAIRN_FAULT_SEED=137 replays one seed; CAIRN_FAULT_SEEDS says how many there are (200 in CI).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Place


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seeds(n): of all seeds, this test takes an n-th part")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-seed", type=int, default=None, help="replay one seed of the fault tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames or "faults" not in str(metafunc.definition.path):
        return
    metafunc.parametrize("seed", seeds(metafunc.config, metafunc.definition.get_closest_marker("seeds")))


def seeds(config: pytest.Config, share: pytest.Mark | None) -> list[int]:
    """All seeds, or the one that was asked for. The mark `seeds(n)` gives a test every n-th part of them."""
    chosen = config.getoption("--fault-seed", default=None)
    if chosen is None and os.environ.get("CAIRN_FAULT_SEED"):
        chosen = int(os.environ["CAIRN_FAULT_SEED"])
    if chosen is not None:
        return [chosen]
    count = int(os.environ.get("CAIRN_FAULT_SEEDS") or (200 if os.environ.get("CI") else 25))
    return list(range(count // share.args[0] if share else count))


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home that many runs of this test process share, so that its environments are built once."""
    return Place(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A home of the test's own."""
    return Place(tmp_path)
