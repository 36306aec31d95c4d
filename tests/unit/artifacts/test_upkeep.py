import os
import time

import pytest

from cairn.artifacts.store import LocalStore
from cairn.artifacts.upkeep import collect, copy_store, unreferenced
from cairn.config.home import Home
from cairn.errors import HomeError


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "store"
    for name in ("p/run1/task/model", "p/run1/task/data", "p/run2/task/model", "q/run3/out"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    (root / "p/run1/tree/deep").mkdir(parents=True)
    (root / "p/run1/tree/deep/file").write_bytes(bytes(10))
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    return root


def test_the_topmost_entries_that_nobody_names_are_found(root):
    referenced = [str(root / "p/run1/task/model"), str(root / "p/run1/tree")]
    found = unreferenced(root, referenced, older_than=60)
    assert [(os.path.relpath(entry.path, root), entry.size) for entry in found] == [
        ("p/run1/task/data", 100),
        ("p/run2", 100),
        ("q", 100),
    ]


def test_what_is_named_stays_with_all_that_holds_it_and_lies_in_it(root):
    referenced = [str(root / "p/run1/tree"), str(root / "q/run3/out")]
    paths, freed = collect(root, referenced, older_than=60)
    assert sorted(os.path.relpath(path, root) for path in paths) == ["p/run1/task", "p/run2"]
    assert freed >= 3 * 4096
    assert (root / "p/run1/tree/deep/file").exists()
    assert (root / "q/run3/out").exists()


def test_what_is_young_is_left(root):
    os.utime(root / "p/run2/task/model", (time.time(), time.time()))
    found = unreferenced(root, [str(root / "p/run1")], older_than=60)
    assert [os.path.relpath(entry.path, root) for entry in found] == ["q"]


def test_spilled_parameters_are_collected_one_by_one(tmp_path):
    store = LocalStore(Home.open(tmp_path))
    kept, loose = store.spill("r", b"1"), store.spill("r", b"2")
    paths, _ = collect(store.root, [kept.uri], older_than=-60)
    assert paths == [loose.uri]
    assert store.unspill(kept) == b"1"


def test_a_path_outside_the_root_changes_nothing(root):
    assert len(unreferenced(root, ["/etc", str(root.parent)], older_than=60)) == 2


def test_a_link_is_removed_and_not_followed(root, tmp_path):
    (tmp_path / "kept").mkdir()
    (root / "link").symlink_to(tmp_path / "kept")
    os.utime(root / "link", (1, 1), follow_symlinks=False)
    paths, _ = collect(root, [str(root / "p"), str(root / "q")], older_than=60)
    assert paths == [str(root / "link")]
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize("link", [False, True])
def test_a_copied_store_is_the_same_and_still_counts_as_unchanged(root, tmp_path, link):
    store = LocalStore(Home.open(tmp_path / "home"))
    (root / "p/run1/tree/deep/link").symlink_to("file")
    before = store.fingerprint(str(root))
    store.seal(str(root / "p/run1/tree"))
    copied = copy_store(root, tmp_path / "backup", link=link)
    assert (copied.files, copied.bytes) == (5, 410)
    after = store.fingerprint(str(tmp_path / "backup"))
    assert after.digest == before.digest
    assert (tmp_path / "backup/p/run1/task/model").stat().st_mtime == 1
    assert store.unchanged(str(tmp_path / "backup"), before, full=False)
    store.discard(str(tmp_path / "backup"))


def test_a_store_is_not_copied_over_another(root, tmp_path):
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "mine").touch()
    with pytest.raises(HomeError, match="not empty"):
        copy_store(root, tmp_path / "backup")
