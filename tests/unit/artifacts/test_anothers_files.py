"""What steps that ran as another user have left: read and removed as far as we may, and told where we may not."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from cairn.artifacts.digests import fingerprint, quick_look
from cairn.artifacts.store import remove
from cairn.artifacts.upkeep import unreferenced
from cairn.errors import HomeError, InputRefused

STRANGER = 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes another's files")


@contextlib.contextmanager
def another_user():
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def tree():
    """A directory of the stranger's, with root's in it: `hers/closed/file`, `hers/bare` (empty), `his`."""
    root = Path(tempfile.mkdtemp())
    (root / "hers" / "closed").mkdir(parents=True)
    (root / "hers" / "closed" / "file").write_text("x")
    (root / "hers" / "bare").mkdir()
    (root / "his").write_text("y")
    for path in (root, root / "hers", root / "his"):
        os.chown(path, STRANGER, STRANGER)
    (root / "hers" / "closed").chmod(0o700)
    yield root
    shutil.rmtree(root, ignore_errors=True)


def test_what_can_be_removed_is_and_whose_the_rest_is_is_told(tree):
    with another_user(), pytest.raises(HomeError, match="user 0") as raised:
        remove(str(tree / "hers"))
    assert raised.value.place == str(tree / "hers" / "closed")
    assert "sudo rm" in raised.value.remedy
    assert os.listdir(tree / "hers") == ["closed"]
    with another_user():
        assert remove(str(tree / "his")) > 0


def test_a_tree_that_cannot_be_read_is_told_with_its_owner(tree):
    with another_user(), pytest.raises(InputRefused, match="user 0") as raised:
        fingerprint(str(tree / "hers"))
    assert raised.value.place == str(tree / "hers" / "closed")
    with another_user():
        assert quick_look(str(tree / "hers")) is None
        assert fingerprint(str(tree / "his")) is not None


def test_a_tree_that_cannot_be_read_is_collected_with_the_others(tree):
    with another_user():
        found = unreferenced(tree, [], older_than=-60)
    assert [Path(each.path).name for each in found] == ["hers", "his"]
