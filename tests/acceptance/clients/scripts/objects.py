"""google-cloud-storage and gcsfs: what one writes the other reads."""

import os
import time

import gcsfs
from google.api_core import exceptions
from google.cloud import storage


def passed(name):
    print("passed:", name, flush=True)


stamp = str(time.time_ns() // 1000)
name = "acceptance-" + stamp
client = storage.Client()
bucket = client.create_bucket(name, location="us-central1")
assert client.lookup_bucket(name).name == name
assert client.lookup_bucket(name + "-no") is None
assert name in [each.name for each in client.list_buckets()]
policy = bucket.get_iam_policy()
policy["roles/storage.objectViewer"].add("serviceAccount:local@demo.iam.gserviceaccount.com")
bucket.set_iam_policy(policy)
passed("buckets")

bucket.blob("a/one.txt").upload_from_string("one")
large = os.urandom(3 * 1024 * 1024 + 17)
blob = bucket.blob("a/large.bin", chunk_size=1024 * 1024)
blob.upload_from_string(large)
assert bucket.blob("a/large.bin").download_as_bytes() == large
assert bucket.blob("a/large.bin").download_as_bytes(start=1000, end=1999) == large[1000:2000]
blob = bucket.get_blob("a/one.txt")
assert blob.size == 3 and blob.md5_hash and blob.crc32c
passed("upload, resumable upload, ranged download")

bucket.blob("a/b/deep.txt").upload_from_string("deep", content_type="text/plain")
listed = client.list_blobs(name, prefix="a/", delimiter="/")
assert [each.name for each in listed] == ["a/large.bin", "a/one.txt"]
assert listed.prefixes == {"a/b/"}
passed("list")

copied = bucket.copy_blob(bucket.blob("a/one.txt"), bucket, "copy.txt")
assert copied.download_as_bytes() == b"one"
joined = bucket.blob("joined.txt")
joined.compose([bucket.blob("a/one.txt"), bucket.blob("copy.txt")])
assert joined.download_as_bytes() == b"oneone"
try:
    bucket.blob("copy.txt").upload_from_string("never", if_generation_match=0)
    raise AssertionError("a precondition was passed over")
except exceptions.PreconditionFailed:
    pass
bucket.blob("copy.txt").delete()
assert not bucket.blob("copy.txt").exists()
passed("copy, compose, preconditions, delete")

files = gcsfs.GCSFileSystem()
assert files.cat(name + "/a/one.txt") == b"one"
assert sorted(files.ls(name + "/a")) == [name + "/a/" + each for each in ("b", "large.bin", "one.txt")]
with files.open(name + "/from/gcsfs.bin", "wb", block_size=2**18) as file:
    file.write(large)
assert bucket.blob("from/gcsfs.bin").download_as_bytes() == large
with files.open("gs://" + name + "/a/large.bin") as file:
    file.seek(12345)
    assert file.read(100) == large[12345:12445]
assert files.info(name + "/a/one.txt")["size"] == 3
files.copy(name + "/a/one.txt", name + "/moved.txt")
assert files.glob(name + "/*.txt") == [name + "/joined.txt", name + "/moved.txt"]
files.rm(name + "/from", recursive=True)
assert not files.exists(name + "/from/gcsfs.bin")
passed("gcsfs")

bucket.delete(force=True)
assert client.lookup_bucket(name) is None
passed("delete of a bucket")
