"""Objects over trees: listing against a plain model, names, generations, moves, what the index may say."""

import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cairn.artifacts import object_listing, object_names
from cairn.artifacts.buckets import LocalBuckets
from cairn.artifacts.object_globs import Glob
from cairn.artifacts.object_index import ObjectIndex
from cairn.artifacts.objects import LocalObjects
from cairn.artifacts.real_objects import RealObjects
from cairn.config.home import Home
from cairn.domain.objects import Attributes, Bucket, Conditions, Query
from cairn.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    InputRefused,
    NotFound,
    PreconditionFailed,
    Unimplemented,
)


@pytest.fixture
def objects(tmp_path):
    buckets = LocalBuckets(Home(tmp_path))
    made = LocalObjects(buckets, ObjectIndex(buckets.index))
    buckets.create(Bucket("bkt", project="demo"))
    yield made
    made.index.close()


@pytest.fixture
def tree(tmp_path) -> Path:
    return tmp_path / "buckets" / "gs" / "bkt"


def put(objects, name, content=b"x", **terms):
    with objects.begin() as partial:
        partial.write(content)
        return objects.put("bkt", name, partial, Attributes(content_type="t/x"), **terms)


def listed(objects, **query):
    found = objects.list("bkt", Query(**query))
    return [one.name for one in found.objects], list(found.prefixes)


def modelled(names, query):
    """What Cloud Storage's description of `objects.list` says, over a sorted list."""
    found, prefixes = [], []
    for name in sorted(names):
        if not name.startswith(query.prefix) or name < query.start or (query.end and name >= query.end):
            continue
        at = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        rolled = name[: at + len(query.delimiter)] if at >= 0 else ""
        if rolled and rolled not in prefixes:
            prefixes.append(rolled)
        if not rolled or (query.trailing_delimiter and rolled == name):
            found.append(name)
    return found, prefixes


PARTS = st.text("ab-.é", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."})
TREES = st.sets(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=8)


@given(
    names=TREES,
    prefix=st.sampled_from(["", "a", "a/", "a/b", "b/a/", "-"]),
    delimiter=st.sampled_from(["", "/", "-", "/a"]),
    start=st.sampled_from(["", "a/b", "a/a", "b"]),
    end=st.sampled_from(["", "a/b", "b"]),
    trailing=st.booleans(),
    limit=st.sampled_from([1, 2, 1000]),
)
@example(names={"a/b"}, prefix="", delimiter="/", start="", end="a/b", trailing=False, limit=1)
@example(names={"a/a"}, prefix="", delimiter="/", start="a/b", end="", trailing=False, limit=1)
def test_lists_are_those_of_a_sorted_list_of_names_page_by_page(
    tmp_path_factory, names, prefix, delimiter, start, end, trailing, limit
):
    root = tmp_path_factory.mktemp("bucket")
    held, markers = [], set()
    for name in sorted(names):
        if any(other.startswith(f"{name}/") for other in names):
            held.append(f"{name}/")  # a marker with objects below it
            markers.add(f"{name}/")
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            held.append(name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"")
    query = Query(prefix=prefix, delimiter=delimiter, start=start, end=end, trailing_delimiter=trailing, limit=limit)
    found, prefixes, after = [], [], ""
    while True:
        asked = msgspec.structs.replace(query, after=after)
        some, rolled, after = object_listing.page(str(root), asked, markers)
        found += some
        prefixes += rolled
        if not after:
            break
    assert (found, prefixes) == modelled(held, query)


@pytest.mark.parametrize(
    "name",
    ["", "/", "//", "a//b", "/a", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\0b", "a\nb", "a\rb", "a//"],
)
def test_names_that_a_tree_cannot_hold(name, objects, tree):
    refuses(name, objects, tree)


@pytest.mark.parametrize(
    "name", ["x" * 256, "a/" * 600, "é" * 600, "%2e%2e/x", "a%2Fb", "%252f", chr(0xD800), chr(0xFFFD)]
)
def test_names_of_the_wrong_length_or_encoding(name, objects, tree):
    refuses(name, objects, tree)


def refuses(name, objects, tree):
    with pytest.raises(InputRefused):
        put(objects, name)
    with pytest.raises((InputRefused, NotFound)):
        objects.find("bkt", name)
    assert list(tree.iterdir()) == []


@given(st.text(max_size=40))
def test_every_name_that_is_taken_stays_in_its_bucket(name):
    if object_names.is_fit(name):
        path = os.path.normpath(f"/root/bucket/{name}")
        assert path.startswith("/root/bucket/") and path.removeprefix("/root/bucket/") == name.removesuffix("/")


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.txt", ["a.txt", ".txt"], ["a/b.txt", "a.txt2"]),
        ("**.txt", ["a.txt", "a/b.txt"], ["a.csv"]),
        ("a/**/b", ["a/x/b", "a/x/y/b"], ["a/b", "b"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a]x", ["bx"], ["ax", "/x"]),
        ("{a,b*}.{x,y}", ["a.x", "bcd.y"], ["c.x", "a.z"]),
        ("*" * 400 + "a", ["a"], ["b" * 1000]),
    ],
)
def test_globs(pattern, fits, fits_not):
    glob = Glob(pattern)
    assert all(map(glob.matches, fits)) and not any(map(glob.matches, fits_not))


@pytest.mark.parametrize("pattern", ["[a", "x" * 1025, "{a,b}" * 7])
def test_globs_that_are_refused(pattern):
    with pytest.raises(InputRefused):
        Glob(pattern)


def test_a_generation_grows_whoever_writes(objects, tree):
    first = put(objects, "x")
    (tree / "x").write_bytes(b"by a step")
    os.utime(tree / "x", (1, 1))  # copied with its old time
    second = objects.find("bkt", "x")
    third = put(objects, "x")
    assert first.generation < second.generation < third.generation
    assert second.attributes.content_type != "t/x" and third.attributes.content_type == "t/x"
    assert objects.find("bkt", "x") == third


def test_conditions(objects):
    with pytest.raises(PreconditionFailed):
        put(objects, "x", conditions=Conditions(generation=1))
    made = put(objects, "x", conditions=Conditions(generation=0))
    with pytest.raises(PreconditionFailed):
        put(objects, "x", conditions=Conditions(generation=0))
    with pytest.raises(PreconditionFailed):
        objects.delete("bkt", "x", conditions=Conditions(not_generation=made.generation))
    changed = objects.change("bkt", "x", lambda _: Attributes(), conditions=Conditions(metageneration=1))
    assert (changed.metageneration, changed.generation) == (2, made.generation)


def test_directories_go_with_their_last_object_unless_they_are_markers(objects, tree):
    put(objects, "marker/", b"")
    for name in ("marker/a/b", "plain/a/b"):
        put(objects, name)
        objects.delete("bkt", name)
    assert listed(objects) == (["marker/"], []) and not (tree / "plain").exists()
    put(objects, "marker/x")
    assert listed(objects) == (["marker/", "marker/x"], [])
    objects.delete("bkt", "marker/")
    assert listed(objects) == (["marker/x"], [])


def test_a_move_takes_attributes_along_and_gives_a_new_generation(objects):
    made = put(objects, "a/b", b"hello")
    moved = objects.move("bkt", "a/b", "c/d")
    assert moved.generation > made.generation and moved.attributes == made.attributes and moved.md5 == made.md5
    assert listed(objects) == (["c/d"], []) and objects.find("bkt", "c/d") == moved
    with pytest.raises(InputRefused):
        objects.move("bkt", "c/d", "c/d/e")
    assert objects.find("bkt", "c/d") == moved


def test_a_published_tree_is_replaced_in_though_it_is_sealed(objects, tree):
    (tree / "sealed").mkdir()
    (tree / "sealed" / "file").write_bytes(b"old")
    (tree / "sealed").chmod(0o555)
    put(objects, "sealed/file", b"new")
    put(objects, "sealed/more", b"new")
    objects.delete("bkt", "sealed/file")
    assert (tree / "sealed" / "more").read_bytes() == b"new"


def test_sockets_and_pipes_are_no_objects(objects, tree):
    os.mkfifo(tree / "pipe")
    assert listed(objects) == ([], [])
    with pytest.raises(NotFound):
        objects.find("bkt", "pipe")


def test_a_bucket_is_made_once_and_removed_when_it_is_empty(objects, tmp_path):
    with pytest.raises(AlreadyExists):
        objects.buckets.create(Bucket("bkt", project="other"))
    assert objects.buckets.find("bkt").project == "demo"
    put(objects, "x")
    with pytest.raises(Conflict):
        objects.delete_bucket("bkt")
    objects.delete("bkt", "x")
    objects.delete_bucket("bkt")
    with pytest.raises(NotFound):
        objects.buckets.find("bkt")
    (tmp_path / "buckets" / "gs" / "bkt").mkdir()
    assert objects.buckets.find("bkt").project == ""  # nobody's any more


def test_what_a_dead_process_left_is_swept_and_what_is_under_way_is_not(objects, tmp_path):
    with objects.begin() as alive:
        dead = alive.path.with_name("0" * 32)
        dead.write_bytes(b"half")
        os.utime(dead, (1, 1))
        os.utime(alive.path, (1, 1))
        objects._swept = -1e9
        objects.begin().discard()
        assert alive.path.exists() and not dead.exists()


def test_a_bucket_that_is_kept_elsewhere_is_known_and_has_no_directory(tmp_path):
    (tmp_path / "buckets" / "gs" / "far").mkdir(parents=True)
    buckets = LocalBuckets(Home(tmp_path), elsewhere={"far": "demo"})
    for call in (buckets.path, buckets.delete, lambda name: buckets.replace(Bucket(name))):
        with pytest.raises(Unimplemented):
            call("far")
    with pytest.raises(AlreadyExists):
        buckets.create(Bucket("far"))
    assert buckets.find("far").project == "demo"
    assert [bucket.name for bucket in buckets.list()] == ["far"]


def test_without_obstore_it_is_said_what_to_install(objects, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    for call in (
        lambda far: far.find("far", "x"),
        lambda far: far.list("far", Query()),
        lambda far: far.delete("far", "x"),
        lambda far: far.expect("far", "x"),
    ):
        with pytest.raises(ConfigurationError) as told:
            call(RealObjects("far", objects))
        assert "cairnflow[stores]" in told.value.remedy
