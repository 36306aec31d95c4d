"""What google-cloud-storage does with a bucket, against STORAGE_EMULATOR_HOST."""

import io
import os
import tempfile
import time

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager

client = storage.Client(project="demo", credentials=AnonymousCredentials())


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError(f"{call} was not refused")


def names(bucket, **query):
    return [blob.name for blob in client.list_blobs(bucket, **query)]


def buckets():
    name = f"buckets-{time.time_ns()}"
    made = client.create_bucket(name, location="us-central1")
    assert name in [one.name for one in client.list_buckets()]
    refused(exceptions.Conflict, client.create_bucket, name)
    refused(exceptions.NotFound, client.get_bucket, "there-is-none")
    assert client.lookup_bucket("there-is-none") is None
    made.labels = {"team": "ml"}
    made.patch()
    found = client.get_bucket(name)
    assert found.labels == {"team": "ml"} and found.location == "us-central1"
    policy = made.get_iam_policy()
    policy.setdefault("roles/storage.objectViewer", set()).add("serviceAccount:x@y.iam.gserviceaccount.com")
    made.set_iam_policy(policy)
    assert made.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]
    assert "@" in client.get_service_account_email()
    made.versioning_enabled = True
    refused(exceptions.MethodNotImplemented, made.patch)
    made.blob("x").upload_from_string("x")
    refused(exceptions.Conflict, client.bucket(name).delete)
    client.bucket(name).delete(force=True)
    assert not client.bucket(name).exists()


def uploads(bucket):
    blob = bucket.blob("dir/hello world#?%ü:1.txt")
    blob.metadata = {"k": "v"}
    blob.upload_from_string("hello", content_type="text/plain")
    blob = bucket.get_blob(blob.name)
    assert (blob.size, blob.content_type, blob.metadata) == (5, "text/plain", {"k": "v"})
    assert (blob.md5_hash, blob.crc32c) == ("XUFAKrxLKna5cZ2REBfFkg==", "mnG7TA==")
    assert blob.download_as_bytes() == b"hello" and blob.download_as_bytes(start=1, end=2) == b"el"
    content = os.urandom(9 * 1024 * 1024 + 17)
    for name, chunk in (("small-chunks", 256 * 1024), ("large-chunks", 4 * 1024 * 1024), ("at-once", None)):
        blob = bucket.blob(name, chunk_size=chunk)
        blob.upload_from_file(io.BytesIO(content), checksum="md5")
        assert blob.download_as_bytes() == content
    bucket.blob("unknown-size", chunk_size=256 * 1024).upload_from_file(io.BytesIO(content))
    assert bucket.get_blob("unknown-size").size == len(content)
    with bucket.blob("written").open("w") as file:
        file.write("line\n" * 100_000)
    with bucket.blob("written").open("r") as file:
        assert len(file.read()) == 500_000
    bucket.blob("empty").upload_from_string("")
    assert bucket.blob("empty").download_as_bytes() == b""


def conditions(bucket):
    bucket.blob("once").upload_from_string("1", if_generation_match=0)
    refused(exceptions.PreconditionFailed, bucket.blob("once").upload_from_string, "2", if_generation_match=0)
    blob = bucket.get_blob("once")
    blob.upload_from_string("3", if_generation_match=blob.generation)
    refused(exceptions.PreconditionFailed, blob.delete, if_generation_match=1)
    assert bucket.get_blob("once", generation=1) is None
    blob.cache_control = "no-store"
    blob.patch(if_metageneration_match=1)
    blob.reload()
    assert blob.metageneration == 2 and blob.cache_control == "no-store"
    refused(exceptions.PreconditionFailed, blob.patch, if_metageneration_match=1)


def listing(bucket):
    for name in ("a-b", "a/b/c", "a/b/d", "a/x", "ab", "z/"):
        bucket.blob(name).upload_from_string("")
    everything = ["a-b", "a/b/c", "a/b/d", "a/x", "ab", "z/"]
    assert names(bucket) == everything and names(bucket, page_size=1) == everything
    found = client.list_blobs(bucket, delimiter="/")
    assert [blob.name for blob in found] == ["a-b", "ab"] and found.prefixes == {"a/", "z/"}
    found = client.list_blobs(bucket, delimiter="/", include_trailing_delimiter=True)
    assert [blob.name for blob in found] == ["a-b", "ab", "z/"]
    found = client.list_blobs(bucket, prefix="a/", delimiter="/")
    assert [blob.name for blob in found] == ["a/x"] and found.prefixes == {"a/b/"}
    assert names(bucket, prefix="a/b") == ["a/b/c", "a/b/d"]
    assert names(bucket, start_offset="a/b/d", end_offset="ab") == ["a/b/d", "a/x"]
    assert names(bucket, match_glob="a/**/{c,q}") == ["a/b/c"]
    assert names(bucket, max_results=2) == ["a-b", "a/b/c"]
    assert names(bucket, fields="items(name),nextPageToken", page_size=2) == everything


def combining(bucket):
    for name in ("one", "two"):
        bucket.blob(name).upload_from_string(name, content_type="text/x")
    whole = bucket.blob("whole")
    whole.compose([bucket.blob("one"), bucket.blob("two")])
    assert whole.download_as_bytes() == b"onetwo"
    whole.reload()
    assert whole.component_count == 2 and whole.md5_hash is None
    copied = bucket.copy_blob(bucket.blob("one"), bucket, "copies/of/one")
    assert copied.download_as_bytes() == b"one" and copied.content_type == "text/x"
    rewritten = bucket.blob("rewritten")
    assert rewritten.rewrite(bucket.blob("two")) == (None, 3, 3)
    bucket.rename_blob(rewritten, "renamed")
    assert not bucket.blob("rewritten").exists() and bucket.blob("renamed").download_as_bytes() == b"two"
    with client.batch():
        for name in ("one", "copies/of/one"):
            bucket.delete_blob(name)
    assert names(bucket) == ["renamed", "two", "whole"]
    refused(exceptions.NotFound, bucket.delete_blobs, [bucket.blob("none")])


def parts(bucket):
    content = os.urandom(21 * 1024 * 1024 + 3)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        blob = bucket.blob("deep/in parts#?%ü")
        blob.metadata = {"k": "v"}
        transfer_manager.upload_chunks_concurrently(
            file.name, blob, chunk_size=5 * 1024 * 1024, content_type="text/x", worker_type=transfer_manager.THREAD
        )
        found = bucket.get_blob(blob.name)
        assert (found.size, found.content_type, found.metadata) == (len(content), "text/x", {"k": "v"})
        assert found.download_as_bytes() == content
        transfer_manager.download_chunks_concurrently(
            found, file.name, chunk_size=5 * 1024 * 1024, worker_type=transfer_manager.THREAD, crc32c_checksum=False
        )
        with open(file.name, "rb") as arrived:
            assert arrived.read() == content


def hostile(bucket):
    for name in ("a//b", "/a", "..", "a/../b", ".", "x\\y", "n\0", "l\nl", "x" * 256, "é" * 600, "a%2Fb", "dir/."):
        refused(exceptions.BadRequest, bucket.blob(name).upload_from_string, "x")
        refused((exceptions.BadRequest, exceptions.NotFound), bucket.blob(name).download_as_bytes)
    bucket.blob("file").upload_from_string("x")
    refused(exceptions.BadRequest, bucket.blob("file/below").upload_from_string, "x")
    bucket.blob("tree/leaf").upload_from_string("x")
    refused(exceptions.BadRequest, bucket.blob("tree").upload_from_string, "x")
    refused(exceptions.BadRequest, bucket.blob("marker/").upload_from_string, "bytes")
    for name in ("a:b", "a b", "a?b", "a#b", "100%", "日本/é", "..a", "a..b", "x" * 255, "-rf", "o/b/c", "acl"):
        bucket.blob(name).upload_from_string(name)
        assert bucket.blob(name).download_as_bytes() == name.encode(), name


def main():
    buckets()
    for scenario in (uploads, parts, conditions, listing, combining, hostile):
        bucket = client.create_bucket(f"{scenario.__name__}-{time.time_ns()}")
        scenario(bucket)
        print("passed:", scenario.__name__)


main()
