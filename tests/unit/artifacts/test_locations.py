import pytest

from cairn.artifacts.locations import check_key, file_path, scheme_of, split_bucket, within
from cairn.errors import InputRefused


def test_bucket_uris_are_split():
    assert split_bucket("gs://b-1/x/y.csv") == ("gs", "b-1", "x/y.csv")
    assert split_bucket("S3://b") == ("s3", "b", "")
    assert split_bucket("gs://b/100%/a b/ü..x") == ("gs", "b", "100%/a b/ü..x")


@pytest.mark.parametrize(
    "uri",
    ["gs://", "gs:///x", "gs://../x", "gs://a/../b", "gs://a/b/..", "gs://a/b\\c", "gs://a/b\0c", "gs://a..b/x",
     "gs://a/%2e%2e/x", "gs://a/x%2Fy", "gs://a/%252e%252E/x", "gs://a/%25252e./x", "gs://a/%5cx", "gs://a/%00",
     "gs://.hidden/x", "gs://a b/x"],
)  # fmt: skip
def test_names_that_could_leave_a_bucket_are_refused(uri):
    with pytest.raises(InputRefused):
        split_bucket(uri)


def test_file_uris_and_paths_are_the_same():
    assert file_path("file:///a/b") == file_path("/a/b") == "/a/b"
    for uri in ("a/b", "file://host/a", "/a/../b", "/a\0", ""):
        with pytest.raises(InputRefused):
            file_path(uri)


def test_a_scheme_is_told_from_a_path():
    assert [scheme_of(uri) for uri in ("gs://a", "/a", "C:/x", "file:///x", "OCI://r")] == ["gs", "", "", "file", "oci"]


def test_links_are_resolved_before_asking_whether_a_path_is_within(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    assert within(tmp_path / "root" / "x", tmp_path / "root")
    assert not within(tmp_path / "root" / "out" / "x", tmp_path / "root")


def test_a_dot_dot_inside_a_name_is_a_name():
    check_key("a..b/c...", "x")
