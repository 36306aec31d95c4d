"""One home for all tests of a worker, so that environments are built once."""

import sys
from pathlib import Path

import pytest

import cairn

PIPELINES = Path(__file__).parent.parent / "cli" / "pipelines"


@pytest.fixture(scope="session")
def sdk_home(tmp_path_factory, missing_service):
    home = tmp_path_factory.mktemp("sdk") / "home"
    home.mkdir()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (home / "config.toml").write_text(f'[environments]\ndefault_python = "{version}"\n')
    ready = cairn.run(PIPELINES / "one.yaml", home=home, raise_on_failure=False)
    if ready.error is not None and "no way to the index" in ready.error.remedy:
        missing_service("a package index", "let uv reach one, or configure UV_FIND_LINKS")
    return home


@pytest.fixture
def home(sdk_home, monkeypatch):
    monkeypatch.setenv("CAIRN_HOME", str(sdk_home))
    return sdk_home


@pytest.fixture
def pipelines():
    return PIPELINES
