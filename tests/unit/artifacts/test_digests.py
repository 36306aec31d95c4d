import os
import socket

import pytest
import xxhash

from cairn.artifacts.digests import BLOCK_BYTES, fingerprint, quick_look
from cairn.errors import InputRefused


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "b" / "empty").mkdir(parents=True)
    (root / "a").write_bytes(b"1")
    (root / "b" / "c").write_bytes(b"23")
    (root / "link").symlink_to("/etc/passwd")
    return root


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 512 * 1024 + 1, 9 * 1024 * 1024 + 7])
def test_a_files_digest_is_xxh3_of_its_bytes(tmp_path, size):
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    found = fingerprint(str(path))
    assert found.digest == f"xxh3:{xxhash.xxh3_128_hexdigest(content)}"
    assert (found.size, found.is_directory) == (size, False)
    assert found.stat == (path.stat().st_mtime_ns, path.stat().st_ino)


def test_nothing_has_no_fingerprint(tmp_path):
    assert fingerprint(str(tmp_path / "none")) is None
    assert quick_look(str(tmp_path / "none")) is None


def test_a_sparse_file_is_a_file(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    assert fingerprint(str(path)).digest == f"xxh3:{xxhash.xxh3_128_hexdigest(bytes(20 * 1024 * 1024))}"


def test_a_trees_digest_does_not_depend_on_order_place_or_times(tree, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "link").symlink_to("/etc/passwd")
    (other / "b" / "empty").mkdir(parents=True)
    (other / "b" / "c").write_bytes(b"23")
    (other / "a").write_bytes(b"1")
    os.utime(other / "a", (5, 5))
    assert fingerprint(str(other)).digest == fingerprint(str(tree)).digest
    assert (fingerprint(str(tree)).size, fingerprint(str(tree)).is_directory) == (3, True)


@pytest.mark.parametrize("change", ["content", "name", "move", "empty", "link", "kind"])
def test_every_change_in_a_tree_changes_its_digest(tree, change):
    before = fingerprint(str(tree)).digest
    if change == "content":
        (tree / "a").write_bytes(b"2")
    elif change == "name":
        (tree / "a").rename(tree / "z")
    elif change == "move":
        (tree / "b" / "c").rename(tree / "c")
    elif change == "empty":
        (tree / "b" / "empty").rmdir()
    elif change == "link":
        (tree / "link").unlink()
        (tree / "link").symlink_to("/etc/shadow")
    else:
        (tree / "link").unlink()
        (tree / "link").write_text("/etc/passwd")
    assert fingerprint(str(tree)).digest != before


def test_a_link_in_a_tree_is_never_followed(tree):
    (tree / "loop").symlink_to(tree)
    (tree / "huge").symlink_to("/dev/zero")
    assert fingerprint(str(tree)).size == 3


def test_what_is_no_file_is_refused_with_its_place(tree):
    os.mkfifo(tree / "pipe")
    with pytest.raises(InputRefused, match="pipe"):
        fingerprint(str(tree))
    (tree / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "sock"))
        with pytest.raises(InputRefused, match="sock"):
            fingerprint(str(tree))
    with pytest.raises(InputRefused):
        fingerprint("/dev/null")


def test_a_quick_look_sees_what_the_fingerprint_recorded(tree):
    for path in (tree, tree / "a"):
        found = fingerprint(str(path))
        assert quick_look(str(path)) == (found.size, found.stat, found.is_directory)


def test_a_file_of_several_blocks_is_digested_over_the_digests_of_its_blocks(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"a" * 100)
        file.truncate(2 * BLOCK_BYTES + 7)  # sparse: zeros without disk
    first = xxhash.xxh3_128_digest(b"a" * 100 + bytes(BLOCK_BYTES - 100))
    blocks = [first, xxhash.xxh3_128_digest(bytes(BLOCK_BYTES)), xxhash.xxh3_128_digest(bytes(7))]
    assert fingerprint(str(path)).digest == f"xxh3-64m:{xxhash.xxh3_128_hexdigest(b''.join(blocks))}"


def test_a_file_of_exactly_one_block_has_a_plain_digest(tmp_path):
    path = tmp_path / "block"
    with path.open("wb") as file:
        file.truncate(BLOCK_BYTES)
    assert fingerprint(str(path)).digest == f"xxh3:{xxhash.xxh3_128_hexdigest(bytes(BLOCK_BYTES))}"
