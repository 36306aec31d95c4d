import os
import subprocess

import pytest

from cairn.environments import snapshots


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("a")
    (root / "sub" / "b.sh").write_text("b")
    (root / "sub" / "b.sh").chmod(0o755)
    (root / "link").symlink_to("a.py")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.pyc").write_text("x")
    return root


def in_git(root):
    subprocess.run(["git", "init", "-q", root], check=True)
    (root / ".gitignore").write_text("*.bin\n")
    (root / "data.bin").write_text("ignored")
    return root


def test_outside_git_all_but_caches_is_taken(project):
    assert snapshots.files_of(project) == ["a.py", "link", "sub/b.sh"]


def test_in_git_tracked_and_unignored_files_are_taken(project):
    in_git(project)
    subprocess.run(["git", "-C", project, "add", "a.py"], check=True)
    assert snapshots.files_of(project) == [".gitignore", "a.py", "link", "sub/b.sh"]


def test_a_tracked_file_that_was_deleted_is_no_error(project):
    in_git(project)
    subprocess.run(["git", "-C", project, "add", "."], check=True)
    (project / "a.py").unlink()
    assert "a.py" not in snapshots.files_of(project)


def test_a_directory_inside_a_repository_gives_its_own_files_only(project):
    in_git(project)
    assert snapshots.files_of(project / "sub") == ["b.sh"]


def test_a_snapshot_is_a_copy_that_edits_do_not_reach(project, tmp_path):
    taken, digest = snapshots.take(project, tmp_path / "snapshots")
    with (project / "a.py").open("a") as file:
        file.write("edited")
    assert (taken / "a.py").read_text() == "a"
    assert os.access(taken / "sub" / "b.sh", os.X_OK)
    assert os.readlink(taken / "link") == "a.py"
    again, other = snapshots.take(project, tmp_path / "snapshots")
    assert (again, other) != (taken, digest)


def test_the_same_files_give_the_same_snapshot(project, tmp_path):
    first = snapshots.take(project, tmp_path / "snapshots")
    os.utime(project / "a.py", (1, 1))
    assert snapshots.take(project, tmp_path / "snapshots") == first
    assert len(list((tmp_path / "snapshots").iterdir())) == 1


@pytest.mark.parametrize("change", ["content", "name", "mode", "link"])
def test_every_change_changes_the_digest(project, change):
    before = snapshots.digest_of(project, snapshots.files_of(project))
    if change == "content":
        (project / "a.py").write_text("c")
    elif change == "name":
        (project / "a.py").rename(project / "c.py")
    elif change == "mode":
        (project / "sub" / "b.sh").chmod(0o644)
    else:
        (project / "link").unlink()
        (project / "link").symlink_to("sub")
    assert snapshots.digest_of(project, snapshots.files_of(project)) != before
