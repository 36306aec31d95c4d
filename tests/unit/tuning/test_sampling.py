"""What decides, by name; an Optuna that is too old for it is refused."""

from importlib import metadata

import pytest

from cairn.errors import UnsupportedFeature
from cairn.tuning import sampling

GRID = {"parameterId": "n", "integerValueSpec": {"maxValue": 3}}


@pytest.fixture
def installed(monkeypatch):
    def said(version):
        monkeypatch.setattr(metadata, "version", lambda _: version)
        sampling._version.cache_clear()

    yield said
    sampling._version.cache_clear()


def test_the_name_tells_the_version(installed, spec_of):
    installed("5.1.2")
    assert sampling.name_of(spec_of()) == "TPE (Optuna 5.1.2)"
    assert sampling.name_of(spec_of(algorithm="RANDOM_SEARCH")) == "random (Optuna 5.1.2)"


def test_an_older_optuna_as_hydras_sweeper_brings_it_is_refused_with_the_way_out(installed, spec_of):
    installed("2.10.1")
    with pytest.raises(UnsupportedFeature, match=r"Optuna 5 or newer, and 2\.10\.1 is installed") as refused:
        sampling.name_of(spec_of())
    assert "optuna>=5" in refused.value.remedy
    assert sampling.name_of(spec_of(GRID, algorithm="GRID_SEARCH")).startswith("grid (Cairn ")
