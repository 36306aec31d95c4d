import os

import pytest

from cairn.config.home import Home
from cairn.errors import HomeError


def test_a_home_is_found_by_argument_then_variable_then_default(tmp_path, monkeypatch):
    monkeypatch.setenv("CAIRN_HOME", str(tmp_path / "variable"))
    assert Home.locate(tmp_path / "argument").root == tmp_path / "argument"
    assert Home.locate().root == tmp_path / "variable"
    monkeypatch.setenv("CAIRN_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.locate().root == tmp_path / ".cairn"


def test_opening_creates_a_home_for_its_owner_alone(tmp_path):
    home = Home.open(tmp_path / "a" / "home")
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert list(home.root.iterdir()) == []
    assert Home.open(home.root).store == home.root / "store"


def test_a_home_that_cannot_be_is_refused_with_its_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="file/home"):
        Home.open(tmp_path / "file" / "home")
    with pytest.raises(HomeError, match="file"):
        Home.open(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_not_writable_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(HomeError):
        Home.open(tmp_path)
