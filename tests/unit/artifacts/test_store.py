import os

import pytest

from cairn.artifacts.store import LocalStore, remove
from cairn.config.home import Home
from cairn.config.settings import ArtifactsSettings
from cairn.domain.values import Spilled
from cairn.errors import ConfigurationError, InputRefused, UnsupportedFeature


@pytest.fixture
def store(tmp_path):
    return LocalStore(Home.open(tmp_path / "home"))


def test_uris_paths_and_what_a_step_is_told(store, tmp_path):
    home = tmp_path / "home"
    assert store.path_of("/x/y") == store.step_path_of("/x/y") == "/x/y"
    for scheme in ("gs", "s3", "minio"):
        assert store.path_of(f"{scheme}://b/x/y") == f"{home}/buckets/{scheme}/b/x/y"
        assert store.step_path_of(f"{scheme}://b/x/y") == f"/{scheme.replace('gs', 'gcs')}/b/x/y"
    assert store.path_of("https://h/x") is None
    assert store.step_path_of("oci://r/x:1") == "oci://r/x:1"
    for method in (store.path_of, store.step_path_of):
        with pytest.raises(InputRefused):
            method("gs://b/../../x")


def test_mounts_are_those_of_the_schemes_in_use_with_their_buckets(store, tmp_path):
    assert store.mounts(["/x", "https://h/x"], "demo") == []
    assert store.mounts(["gs://b/x", "gs://c/y", "s3://d"], "demo") == [
        ("/gcs", f"{tmp_path}/home/buckets/gs"),
        ("/s3", f"{tmp_path}/home/buckets/s3"),
    ]
    assert (tmp_path / "home/buckets/gs/c").is_dir()


def test_where_projects_are_apart_a_step_is_shown_the_buckets_of_its_own(store, tmp_path):
    store.projects_apart = True
    store.mounts(["gs://mine/x"], "mine")
    (tmp_path / "home/buckets/gs/nobodys").mkdir()
    assert store.mounts(["gs://theirs/x", "gs://mine/x"], "theirs") == [
        ("/gcs/theirs", f"{tmp_path}/home/buckets/gs/theirs")
    ]
    assert store.buckets_of("mine") == [("/gcs/mine", f"{tmp_path}/home/buckets/gs/mine")]
    seen = {uri: store.shows(uri, "theirs") for uri in ("gs://mine/x", "gs://nobodys", "gs://theirs", "gs://new", "/x")}
    assert seen == {"gs://mine/x": False, "gs://nobodys": False, "gs://theirs": True, "gs://new": True, "/x": True}


def test_what_the_home_holds_lies_in_it_without_links(store, tmp_path):
    kept = tmp_path / "home/store/p/run/out"
    kept.mkdir(parents=True)
    store.mounts(["gs://mine/x"], "mine")
    (tmp_path / "outside").write_text("a secret of the machine's")
    (kept / "link").symlink_to(tmp_path / "outside")
    (kept / "other").symlink_to(tmp_path / "home/buckets/gs/mine")
    (kept / "file").touch()
    paths = {kept: True, kept / "file": True, kept / "link": False, kept / "other/x": False}
    paths |= {tmp_path / "home/buckets/gs/mine/x": True, tmp_path / "outside": False, tmp_path / "home/store": False}
    assert {path: store.holds(str(path)) for path in paths} == paths


def test_no_link_leads_from_one_bucket_into_another(store, tmp_path):
    store.mounts(["gs://mine/x", "gs://theirs/x"], "mine")
    (tmp_path / "home/buckets/gs/theirs/x").write_text("theirs")
    (tmp_path / "home/buckets/gs/mine/x").symlink_to(tmp_path / "home/buckets/gs/theirs/x")
    for call in (store.import_uri, lambda uri: store.read(uri, 10)):
        with pytest.raises(InputRefused, match="leads out of its bucket"):
            call("gs://mine/x")


def test_what_lies_in_a_real_bucket_has_no_path_and_is_refused_with_the_place(tmp_path):
    store = LocalStore(Home.open(tmp_path), buckets={"gs://b": "real", "gs://c": "local"})
    assert store.path_of("gs://b/x") is None
    assert store.path_of("s3://b/x") and store.path_of("gs://c/x")
    store.check("gs://c/x", "here")
    with pytest.raises(UnsupportedFeature) as told:
        store.check("gs://b/x", "here")
    assert told.value.place == "here" and "gs://b/x" in told.value.message
    for call in (store.import_uri, lambda uri: store.read(uri, 10), lambda uri: store.mounts([uri], "demo")):
        with pytest.raises(UnsupportedFeature):
            call("gs://b/x")
    assert not (tmp_path / "buckets" / "gs" / "b").exists()


@pytest.mark.parametrize(
    "entry", [{"gs://b": "reel"}, {"s3://b": "real"}, {"b": "real"}, {"gs://b/x": "real"}, {"gs://": "real"}]
)
def test_an_entry_of_buckets_that_means_nothing_is_refused(tmp_path, entry):
    with pytest.raises(ConfigurationError):
        LocalStore(Home.open(tmp_path), buckets=entry)


def test_unchanged_tells_a_touch_from_an_edit(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    found = store.fingerprint(str(path))
    assert store.unchanged(str(path), found, full=False)
    os.utime(path, (1, 1))
    assert store.unchanged(str(path), found, full=False)
    path.write_bytes(b"54321")
    assert not store.unchanged(str(path), found, full=False)
    path.unlink()
    assert not store.unchanged(str(path), found, full=False)


def test_an_edit_behind_the_stat_is_seen_when_all_is_read(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    found = store.fingerprint(str(path))
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(found.stat[0], found.stat[0]))
    assert store.unchanged(str(path), found, full=False)
    assert not store.unchanged(str(path), found, full=True)


def test_a_file_that_became_a_directory_is_changed(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    found = store.fingerprint(str(path))
    path.unlink()
    path.mkdir()
    assert not store.unchanged(str(path), found, full=False)


def test_sealed_results_are_read_only_unchanged_and_can_be_discarded(store, tmp_path):
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_text("x")
    (tree / "link").symlink_to("/etc/passwd")
    found = store.fingerprint(str(tree))
    store.seal(str(tree))
    for path in (tree, tree / "below", tree / "below" / "file"):
        assert path.stat().st_mode & 0o222 == 0
    assert os.stat("/etc/passwd").st_mode & 0o200
    assert store.unchanged(str(tree), found, full=True)
    store.discard(str(tree))
    assert not tree.exists()
    store.discard(str(tree))


def test_discarding_a_link_leaves_what_it_points_to(store, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    store.discard(str(tmp_path / "link"))
    store.discard(str(tmp_path / "tree"))
    assert (tmp_path / "kept" / "file").read_text() == "x"
    assert not os.path.lexists(tmp_path / "link")


def test_sealing_can_be_turned_off(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    LocalStore(Home.open(tmp_path / "home"), ArtifactsSettings(seal=False)).seal(str(path))
    assert path.stat().st_mode & 0o200


def test_removal_tells_what_it_frees(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    os.link(path, tmp_path / "other")
    assert remove(str(path)) == 0
    assert remove(str(tmp_path / "other")) >= 1 << 20


def test_a_spilled_parameter_comes_back_and_is_checked(store, tmp_path):
    text = b'{"a": "' + b"x" * 100_000 + b'"}'
    spilled = store.spill("run", text)
    assert store.unspill(spilled) == text
    assert store.spill("other", text) == spilled
    assert [path.suffix for path in (tmp_path / "home/store/.parameters").iterdir()] == [".json"]
    with open(spilled.uri, "r+b") as file:
        file.write(b"[")
    with pytest.raises(InputRefused, match="not what was written"):
        store.unspill(spilled)


@pytest.mark.parametrize("uri", ["/etc/hostname", "{store}/.parameters/../../config.toml", "{store}/.parameters/link"])
def test_only_spilled_parameters_are_unspilled(store, uri):
    store.spill("run", b"1")
    (store.root / ".parameters" / "link").symlink_to("/etc/hostname")
    with pytest.raises(InputRefused):
        store.unspill(Spilled(uri=uri.format(store=store.root), digest="", size=1))


def test_importing_a_local_path_gives_its_fingerprint(store, tmp_path):
    (tmp_path / "data.csv").write_text("1")
    assert store.import_uri(str(tmp_path / "data.csv")) == store.import_uri(f"file://{tmp_path}/data.csv")
    assert store.import_uri(str(tmp_path / "data.csv")).size == 1
    assert store.import_uri(str(tmp_path / "none")) is None
    assert store.import_uri("gs://bucket/none") is None


def test_a_link_out_of_a_bucket_is_not_imported(store):
    bucket = store.buckets / "gs" / "b"
    bucket.mkdir(parents=True)
    (bucket / "out").symlink_to("/etc")
    with pytest.raises(InputRefused, match="link"):
        store.import_uri("gs://b/out/hostname")


@pytest.mark.parametrize(
    "uri",
    ["ftp://h/x", "data:x", "x/y", "", "javascript://x", "http://", "http://localhost/x", "http://a.localhost/x",
     "http://127.0.0.1/", "http://10.1.2.3/", "http://169.254.169.254/latest", "http://[::1]/", "http://[fe80::1%25eth0]/",
     "http://[::ffff:127.0.0.1]/", "http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://intranet/x",
     "http://metadata.google.internal/", "https://user:pw@host.example/x", "http://h.example:99999/", "http://[x/",
     "https://h.example/../x", "https://h.example/%2e%2e/x", "https://h.example/a\nb"],
)  # fmt: skip
def test_what_an_importer_must_not_name(store, uri):
    with pytest.raises(InputRefused):
        store.import_uri(uri)


@pytest.mark.parametrize(
    "uri",
    ["https://example.com/data.csv?x=1", "oci://registry.example/a:1", "http://8.8.8.8/x", "http://[2606:4700::1111]/"],
)
def test_what_an_importer_may_name_without_a_path(store, uri):
    assert store.import_uri(uri) is None


def test_private_hosts_can_be_allowed(tmp_path):
    allowing = LocalStore(Home.open(tmp_path), ArtifactsSettings(allow_private_hosts=True))
    assert allowing.import_uri("http://10.0.0.1/x") is None
