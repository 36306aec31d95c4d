"""What gcsfs and pandas do with a bucket, against STORAGE_EMULATOR_HOST."""

import time

import gcsfs

fs = gcsfs.GCSFileSystem(project="demo", token="anon", consistency="md5")
bucket = f"fs-{time.time_ns()}"
fs.mkdir(bucket)
assert fs.ls(bucket) == []

fs.pipe(f"{bucket}/a/b.txt", b"hello")
fs.pipe(f"{bucket}/a/x y#?%.txt", b"ends with\r")
assert fs.cat(f"{bucket}/a/b.txt") == b"hello" and fs.cat(f"{bucket}/a/x y#?%.txt") == b"ends with\r"
with fs.open(f"{bucket}/big", "wb", block_size=2**18) as file:
    for number in range(20):
        file.write(bytes([number]) * 100_000)
with fs.open(f"{bucket}/big", "rb") as file:
    file.seek(1_500_000)
    assert file.read(10) == bytes([15]) * 10
assert fs.info(f"{bucket}/big")["size"] == 2_000_000
assert fs.glob(f"{bucket}/**/*.txt") == [f"{bucket}/a/b.txt", f"{bucket}/a/x y#?%.txt"]
assert list(fs.walk(bucket)) == [(bucket, ["a"], ["big"]), (f"{bucket}/a", [], ["b.txt", "x y#?%.txt"])]

fs.mv(f"{bucket}/a/b.txt", f"{bucket}/c/d.txt")
assert not fs.exists(f"{bucket}/a/b.txt") and fs.exists(f"{bucket}/c/d.txt") and fs.isdir(f"{bucket}/c")
fs.cp_file(f"{bucket}/c/d.txt", f"{bucket}/e.txt")
fs.touch(f"{bucket}/marker/")
fs.invalidate_cache()
assert fs.isdir(f"{bucket}/marker")
fs.merge(f"{bucket}/m", [f"{bucket}/e.txt", f"{bucket}/e.txt"])
assert fs.cat(f"{bucket}/m") == b"hellohello"
with fs.transaction, fs.open(f"{bucket}/late", "wb") as file:
    file.write(b"late")
assert fs.cat(f"{bucket}/late") == b"late"

file = fs.open(f"{bucket}/given-up", "wb", autocommit=False, block_size=2**18)
file.write(b"z" * 1_000_000)
file.flush()
file.discard()
assert not fs.exists(f"{bucket}/given-up")
try:
    fs.cat(f"{bucket}/none")
except FileNotFoundError:
    pass
else:
    raise AssertionError("read what is not there")

try:
    import pandas
except ImportError:
    print("without pandas")
else:
    options = {"project": "demo", "token": "anon"}
    frame = pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    frame.to_csv(f"gs://{bucket}/t.csv", index=False, storage_options=options)
    assert pandas.read_csv(f"gs://{bucket}/t.csv", storage_options=options).equals(frame)

fs.rm(f"{bucket}/c", recursive=True)
assert f"{bucket}/c/d.txt" not in fs.find(bucket)
fs.rm(bucket, recursive=True)
assert not fs.exists(bucket)
