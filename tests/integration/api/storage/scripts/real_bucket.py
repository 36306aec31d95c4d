"""What google-cloud-storage, gcsfs and pandas do with the bucket `far`, which exists, against STORAGE_EMULATOR_HOST."""

import io
import os

import gcsfs
import pandas
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

client = storage.Client(project="demo", credentials=AnonymousCredentials())
bucket = client.get_bucket("far")
blob = bucket.blob("dir/hello world#?%ü:1.txt")
blob.metadata = {"k": "v"}
blob.upload_from_string("hello", content_type="text/plain")
blob = bucket.get_blob(blob.name)
assert (blob.size, blob.content_type, blob.metadata) == (5, "text/plain", {"k": "v"})
assert blob.download_as_bytes() == b"hello" and blob.download_as_bytes(start=1, end=2) == b"el"
content = os.urandom(9 * 1024 * 1024 + 17)
for name, chunk in (("small-chunks", 256 * 1024), ("at-once", None)):
    large = bucket.blob(name, chunk_size=chunk)
    large.upload_from_file(io.BytesIO(content), checksum="md5")
    assert large.download_as_bytes() == content
with bucket.blob("written").open("w") as file:
    file.write("line\n" * 100_000)
copied = bucket.copy_blob(blob, bucket, "copies/of/one")
assert copied.download_as_bytes() == b"hello"
bucket.rename_blob(copied, "renamed")
assert [one.name for one in client.list_blobs(bucket, prefix="r")] == ["renamed"]
for name in ("listed/1", "listed/2"):
    bucket.blob(name).upload_from_string(name)
for listed in client.list_blobs(bucket, prefix="listed/"):
    assert listed.download_as_bytes() == listed.name.encode() and listed.updated is not None
    listed.delete()
assert list(client.list_blobs(bucket, prefix="listed/")) == []
blob.delete()
assert not bucket.blob("copies/of/one").exists() and not bucket.blob(blob.name).exists()
try:
    bucket.blob("renamed").upload_from_string("2", if_generation_match=0)
except exceptions.PreconditionFailed:
    pass
else:
    raise AssertionError("a second one was made")

fs = gcsfs.GCSFileSystem(project="demo", token="anon")
fs.pipe("far/fs/a/b.txt", b"bytes")
with fs.open("far/fs/big", "wb", block_size=2**18) as file:
    for number in range(20):
        file.write(bytes([number]) * 100_000)
with fs.open("far/fs/big", "rb") as file:
    file.seek(1_500_000)
    assert file.read(10) == bytes([15]) * 10
assert fs.ls("far/fs") == ["far/fs/a", "far/fs/big"] and fs.isdir("far/fs/a")
assert fs.find("far/fs") == ["far/fs/a/b.txt", "far/fs/big"] and fs.info("far/fs/big")["size"] == 2_000_000
fs.mv("far/fs/a/b.txt", "far/fs/c.txt")
options = {"project": "demo", "token": "anon"}
frame = pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]})
frame.to_csv("gs://far/fs/t.csv", index=False, storage_options=options)
assert pandas.read_csv("gs://far/fs/t.csv", storage_options=options).equals(frame)
fs.rm("far/fs", recursive=True)
assert fs.find("far/fs") == []
print("passed: real")
