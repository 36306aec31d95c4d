"""Ports of jobs: what becomes of their locks behind one's back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cairn.engine.addresses import Addresses
from cairn.errors import StepError


def test_locks_that_were_tidied_away_are_given_back_all_the_same(tmp_path: Path) -> None:
    addresses = Addresses(str(tmp_path))
    ports = addresses.take("a", 3)
    open_before = len(os.listdir("/proc/self/fd"))
    (tmp_path / str(ports[0])).unlink()
    addresses.release("a")
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == open_before - 3


def test_locks_lie_in_no_other_users_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StepError, match="another user"):
        Addresses(str(tmp_path)).take("a", 1)
    assert not list(tmp_path.iterdir())


def test_a_link_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "15001").symlink_to(target)
    monkeypatch.setattr("cairn.engine.addresses._candidates", lambda: [15001])
    with pytest.raises(StepError, match="no 1 ports"):
        Addresses(str(locks)).take("a", 1)
    assert not target.exists()
