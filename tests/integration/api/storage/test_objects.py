"""The storage API as it goes over the wire: what clients do not show, and what hostile ones would try."""

import http.client
import json
import os
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest


@pytest.fixture
def bucket(server):
    assert server.post("/storage/v1/b", {"name": "bkt"}, project="demo").status == 200
    return "bkt"


def put(server, name, content=b"x", **query):
    query = {"uploadType": "media", "name": name, **query}
    return server.request("POST", "/upload/storage/v1/b/bkt/o", content, query=query, headers={"Content-Type": "t/x"})


def read(server, name, **headers):
    path = f"/storage/v1/b/bkt/o/{quote(name, safe='')}"
    return server.request("GET", path, query={"alt": "media"}, headers=headers)


def names(server, **query):
    return [one["name"] for one in server.get("/storage/v1/b/bkt/o", **query).json.get("items", [])]


def begin(server, name="big", **headers):
    query = {"uploadType": "resumable", "name": name}
    answer = server.request("POST", "/upload/storage/v1/b/bkt/o", {}, query=query, headers=headers)
    assert answer.status == 200, answer
    return answer.headers["location"].removeprefix(server.url)


def send(server, session, content, span):
    return server.request("PUT", session, content, headers={"Content-Range": f"bytes {span}"})


def test_what_a_step_writes_is_an_object_at_once_and_the_reverse(server, bucket):
    tree = server.home / "buckets" / "gs" / "bkt"
    (tree / "deep").mkdir()
    (tree / "deep" / "model.json").write_text("{}")
    info = server.get("/storage/v1/b/bkt/o/deep%2Fmodel.json").json
    assert (info["size"], info["contentType"], info["crc32c"]) == ("2", "application/json", "KXvQqg==")
    assert read(server, "deep/model.json").content == b"{}"
    (tree / "deep" / "model.json").write_text("[1]")
    later = server.get("/storage/v1/b/bkt/o/deep%2Fmodel.json").json
    assert int(later["generation"]) > int(info["generation"]) and later["crc32c"] != info["crc32c"]
    assert put(server, "from/client", b"bytes").status == 200
    assert (tree / "from" / "client").read_bytes() == b"bytes"
    assert names(server) == ["deep/model.json", "from/client"]


def test_a_number_is_told_to_all_but_the_client_that_would_ask_google_for_it(server, bucket):
    python = {"X-Goog-API-Client": "gl-python/3.11 gccl/3.17.1"}

    def number(**headers):
        query = {"projection": "noAcl"}
        return server.request("GET", "/storage/v1/b/bkt", query=query, headers=headers).json["projectNumber"]

    assert number().isdigit() and number(**python, **{"X-Cairn-Shim": "1"}).isdigit()
    assert number(**python) == "project:demo"


def test_a_directory_that_the_engine_made_is_a_bucket_of_every_project(server):
    (server.home / "buckets" / "gs" / "engine-made").mkdir(parents=True)
    listed = server.get("/storage/v1/b", project="anybody").json["items"]
    assert [one["name"] for one in listed] == ["engine-made"]
    assert server.post("/storage/v1/b", {"name": "engine-made"}, project="demo").status == 409


def test_a_sealed_file_is_replaced_and_its_reader_keeps_what_it_opened(server, bucket):
    put(server, "sealed", b"old")
    path = server.home / "buckets" / "gs" / "bkt" / "sealed"
    path.chmod(0o444)
    with path.open("rb") as reader:
        assert put(server, "sealed", b"new").status == 200
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-1", 206, b"01"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-100", 206, b"56789"),
        ("bytes=-100", 206, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=5-2", 416, b""),
        ("bytes=-0", 416, b""),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
    ],
)
def test_ranges(server, bucket, asked, status, content):
    put(server, "ten", b"0123456789")
    answer = read(server, "ten", Range=asked)
    if status == 200:
        status = answer.status if answer.status in (200, 206) else 200  # all of it, however it is called
    assert (answer.status, answer.content) == (status, content)


def test_head_and_conditional_reads(server, bucket):
    etag = put(server, "ten", b"0123456789").json["etag"]
    head = server.request("HEAD", "/download/storage/v1/b/bkt/o/ten", query={"alt": "media"})
    assert (head.status, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert read(server, "ten", **{"If-None-Match": etag}).status == 304
    assert read(server, "ten", **{"If-Match": "other"}).status == 412
    generation = etag.partition(".")[0]
    path = "/storage/v1/b/bkt/o/ten"
    assert server.get(path, ifGenerationNotMatch=generation).status == 304
    assert server.get(path, ifGenerationMatch="1").status == 412
    assert server.get(path, generation="1").status == 404


def test_pages_of_somebody_run_nothing_in_our_origin(server, bucket):
    put(server, "page.html", b"<script>alert(1)</script>")
    headers = read(server, "page.html").headers
    assert headers["content-disposition"] == "attachment" and "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_resumable_upload_goes_on_after_the_server_is_killed(serve, tmp_path):
    home = tmp_path / "home"
    first = serve(home)
    first.post("/storage/v1/b", {"name": "bkt"}, project="demo")
    content = os.urandom(3_000_000)
    session = begin(first)
    answer = send(first, session, content[:1_000_000], "0-999999/*")
    assert (answer.status, answer.headers["range"]) == (308, "bytes=0-999999")
    address = urlsplit(first.url)
    half = http.client.HTTPConnection(address.hostname, address.port)
    half.putrequest("PUT", session)
    half.putheader("Content-Range", "bytes 1000000-2999999/3000000")
    half.putheader("Content-Length", "2000000")
    half.endheaders()
    half.send(content[1_000_000:2_500_000])
    part = next((home / "buckets" / ".cairn" / "uploads").glob("*.part"))
    until = time.monotonic() + 20
    while part.stat().st_size < 2_000_000 and time.monotonic() < until:
        time.sleep(0.02)
    first.kill()
    half.close()
    assert not (home / "buckets" / "gs" / "bkt" / "big").exists()
    second = serve(home)
    assert names(second) == []
    asked = send(second, session, b"", "*/*")
    assert asked.status == 308
    arrived = int(asked.headers["range"].partition("-")[2]) + 1
    assert 2_000_000 <= arrived <= 2_500_000
    done = send(second, session, content[arrived:], f"{arrived}-2999999/3000000")
    assert (done.status, done.json["size"]) == (200, "3000000")
    assert read(second, "big").content == content
    assert send(second, session, b"", "*/*").json["generation"] == done.json["generation"]


def test_what_a_killed_server_was_receiving_is_seen_by_nobody_and_swept(serve, tmp_path):
    home = tmp_path / "home"
    first = serve(home)
    first.post("/storage/v1/b", {"name": "bkt"}, project="demo")
    address = urlsplit(first.url)
    half = http.client.HTTPConnection(address.hostname, address.port)
    half.putrequest("POST", "/upload/storage/v1/b/bkt/o?uploadType=media&name=half")
    half.putheader("Content-Length", "8000000")
    half.endheaders()
    half.send(b"x" * 5_000_000)
    partial = home / "buckets" / ".cairn" / "partial"
    until = time.monotonic() + 20
    while not (partial.is_dir() and any(one.stat().st_size for one in partial.iterdir())):
        assert time.monotonic() < until
        time.sleep(0.02)
    first.kill()
    half.close()
    second = serve(home)
    assert names(second) == [] and list((home / "buckets" / "gs" / "bkt").iterdir()) == []
    assert put(second, "next").status == 200
    assert list(partial.iterdir()) == []


def test_an_upload_that_its_client_breaks_off_leaves_nothing(server, bucket):
    address = urlsplit(server.url)
    half = http.client.HTTPConnection(address.hostname, address.port)
    half.putrequest("POST", "/upload/storage/v1/b/bkt/o?uploadType=media&name=half")
    half.putheader("Content-Length", "8000000")
    half.endheaders()
    half.send(b"x" * 3_000_000)
    time.sleep(0.3)
    half.close()
    partial = server.home / "buckets" / ".cairn" / "partial"
    until = time.monotonic() + 20
    while any(partial.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert names(server) == []


def test_resumable_sessions_are_exact(server, bucket):
    session = begin(server)
    assert "range" not in send(server, session, b"", "*/*").headers
    assert send(server, session, b"abc", "0-2/*").headers["range"] == "bytes=0-2"
    assert send(server, session, b"bcd", "1-3/*").headers["range"] == "bytes=0-3"  # sent again: what is new counts
    assert send(server, session, b"z", "9-9/*").status == 400
    assert send(server, session, b"z", "x").status == 400
    assert send(server, session, b"", "*/4").json["size"] == "4"
    assert read(server, "big").content == b"abcd"
    cancelled = begin(server, "gone")
    assert server.request("DELETE", cancelled).status == 499
    assert send(server, cancelled, b"", "*/*").status == 404
    assert server.request("PUT", "/upload/storage/v1/b/bkt/o", b"", query={"upload_id": "../../x"}).status == 404


def test_checksums_are_held_to(server, bucket):
    query = {"uploadType": "media", "name": "sum"}
    path = "/upload/storage/v1/b/bkt/o"
    wrong = server.request("POST", path, b"hello", query=query, headers={"x-goog-hash": "crc32c=AAAAAA=="})
    assert wrong.status == 400 and names(server) == []
    right = server.request("POST", path, b"hello", query=query, headers={"x-goog-hash": "crc32c=mnG7TA=="})
    assert right.status == 200
    session = begin(server, "resumed", **{"x-goog-hash": "md5=AAAAAAAAAAAAAAAAAAAAAA=="})
    assert send(server, session, b"hello", "0-4/5").status == 400
    assert names(server) == ["sum"]


def test_links_lead_nowhere_out_of_a_bucket(server, bucket, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    tree = server.home / "buckets" / "gs"
    (tree / "bkt" / "file").symlink_to(secret)
    (tree / "bkt" / "dir").symlink_to(tmp_path)
    (tree / "linked").symlink_to(tmp_path)
    (tree / "bkt" / "inside").symlink_to("real")
    put(server, "real", b"inside")
    assert read(server, "file").status == 400 and read(server, "dir/secret").status == 400
    assert put(server, "dir/new").status == 400 and not (tmp_path / "new").exists()
    assert put(server, "file").status == 400 and secret.read_text() == "secret"
    assert server.get("/storage/v1/b/linked").status == 404
    assert server.request("DELETE", "/storage/v1/b/bkt/o/dir%2Fsecret").status == 400 and secret.exists()
    assert names(server) == ["inside", "real"] and read(server, "inside").content == b"inside"


@pytest.mark.parametrize(
    "path",
    [
        "/storage/v1/b/bkt/o/..%2F..%2Fcairn.db",
        "/storage/v1/b/bkt/o/%2e%2e/%2e%2e/cairn.db",
        "/storage/v1/b/..%2F..%2F/o/cairn.db",
        "/storage/v1/b/.cairn/o/x",
        "/storage/v1/b/..",
        "/download/storage/v1/b/bkt/o/%252e%252e%2fcairn.db",
        "/storage/v1/b/bkt/o/%ff%fe",
        "/storage/v1/b/bkt/o/",
        "/storage/v1/b/bkt/o/a%00b",
    ],
)
def test_paths_that_would_climb_out(server, bucket, path):
    assert server.request("GET", path, query={"alt": "media"}).status in (400, 404)


def test_multipart_bodies_that_are_no_such_thing(server, bucket):
    def sent(body, kind='multipart/related; boundary="b"'):
        query = {"uploadType": "multipart"}
        headers = {"Content-Type": kind}
        return server.request("POST", "/upload/storage/v1/b/bkt/o", body, query=query, headers=headers).status

    good = b'--b\r\nContent-Type: application/json\r\n\r\n{"name":"m"}\r\n--b\r\nContent-Type: t/x\r\n\r\n'
    assert sent(good + b"a\r\n--b-c\r\n--b--") == 200
    assert read(server, "m").content == b"a\r\n--b-c"
    for body in (b"", b"--b", good, good + b"abc", good.replace(b'{"name":"m"}', b"[]") + b"\r\n--b--", good[:40]):
        assert sent(body) == 400
    assert sent(good + b"\r\n--b--", "multipart/related") == 400
    assert sent(b"--b\r\n" + b"x" * 3_000_000) == 413
    assert names(server) == ["m"]


def test_batches_answer_each_request_by_itself(server, bucket):
    put(server, "there")
    part = "--x\r\nContent-Type: application/http\r\nContent-ID: <{0}>\r\n\r\n{1} HTTP/1.1\r\n\r\n\r\n"
    asked = (
        "DELETE /storage/v1/b/bkt/o/there",
        "GET /storage/v1/b/bkt/o/none",
        "GET /healthz",
        "GET /storage/v1/b/bkt/o/there?alt=media",
        "GET /v1/projects",
    )
    body = "".join(part.format(number, line) for number, line in enumerate(asked)) + "--x--"
    headers = {"Content-Type": "multipart/mixed; boundary=x"}
    answer = server.request("POST", "/batch/storage/v1", body.encode(), headers=headers)
    statuses = [line.split()[1] for line in answer.content.decode().splitlines() if line.startswith("HTTP/1.1")]
    assert statuses == ["204", "404", "404", "501", "404"]


def test_the_index_lost_or_damaged_loses_only_metadata(serve, tmp_path):
    home = tmp_path / "home"
    first = serve(home)
    first.post("/storage/v1/b", {"name": "bkt", "labels": {"a": "b"}}, project="demo")
    put(first, "kept", b"kept")
    first.stop()
    index = home / "buckets" / "index.db"
    index.write_bytes(b"not a database at all" * 1000)
    for suffix in ("-wal", "-shm"):
        Path(f"{index}{suffix}").unlink(missing_ok=True)
    second = serve(home)
    assert read(second, "kept").content == b"kept"
    assert second.get("/storage/v1/b/bkt").json["labels"] == {"a": "b"}
    assert put(second, "new").status == 200 and names(second) == ["kept", "new"]


def test_partial_answers(server, bucket):
    put(server, "a/b")
    found = server.get("/storage/v1/b/bkt/o", fields="items(name,size),prefixes").json
    assert found == {"items": [{"name": "a/b", "size": "1"}]}
    assert server.get("/storage/v1/b/bkt", fields="name").json == {"name": "bkt"}
    assert server.get("/storage/v1/b/bkt", fields="a(").status == 400
    assert server.get("/storage/v1/b/bkt/o", pageToken="!").status == 400
    assert server.get("/storage/v1/b/bkt/o", maxResults="x").status == 400


def test_many_at_once_make_one_object_each(server, bucket):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        same = list(pool.map(lambda n: put(server, "same", b"%d" % n, ifGenerationMatch="0").status, range(32)))
        each = list(pool.map(lambda n: put(server, f"d/{n % 4}/{n}", b"x").status, range(64)))
        gone = list(pool.map(lambda n: server.delete(f"/storage/v1/b/bkt/o/d%2F{n % 4}%2F{n}").status, range(64)))
    assert sorted(same) == [200] + [412] * 31 and set(each) == {200} and set(gone) == {204}
    assert names(server) == ["same"]


def test_unknown_things_are_worded_as_the_api_words_them(server, bucket):
    error = json.loads(server.get("/storage/v1/b/none").content)["error"]
    assert error["code"] == 404 and error["errors"][0]["reason"] == "notFound"
    assert server.get("/storage/v1/b/bkt/o", softDeleted="true").status == 501
    assert server.post("/storage/v1/b", {"name": "Bad"}, project="demo").status == 400
    assert server.post("/storage/v1/b", {"name": "good", "retentionPolicy": {"retentionPeriod": "1"}}).status == 501


def test_a_backup_restored_elsewhere_has_the_objects_with_their_metadata(serve, tmp_path):
    import shutil
    import subprocess
    import sys

    home = tmp_path / "home"
    first = serve(home)
    first.post("/storage/v1/b", {"name": "bkt"}, project="demo")
    before = put(first, "deep/kept.tmp", b"kept").json
    begin(first, "under-way")
    for command, directory in (("backup", home), ("restore", tmp_path / "other")):
        variables = {**os.environ, "CAIRN_HOME": str(directory)}
        cairn = [sys.executable, "-m", "cairn", command, str(tmp_path / "backup")]
        done = subprocess.run(cairn, env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    first.stop()
    shutil.rmtree(home)
    second = serve(tmp_path / "other")
    after = second.get("/storage/v1/b/bkt/o/deep%2Fkept.tmp").json
    assert {**after, "selfLink": "", "mediaLink": ""} == {**before, "selfLink": "", "mediaLink": ""}
    assert second.get("/storage/v1/b", project="another").json["items"] == []
    assert not (tmp_path / "other" / "buckets" / ".cairn" / "uploads").exists()


@pytest.fixture
def mounting(missing_service):
    from cairn.executors.process import ProcessExecutor

    executor = ProcessExecutor()
    try:
        if not executor.can_mount():
            missing_service("mount namespaces", "the kernel refuses them to this user")
    finally:
        executor.close()


@pytest.mark.usefixtures("mounting")
def test_a_step_reads_what_a_client_wrote_and_the_reverse(server, bucket, pipeline_of):
    put(server, "in/data", b"from the client")
    jobs = "/v1/projects/demo/locations/local/pipelineJobs"
    pipeline = pipeline_of("exchange", swap="cp /gcs/bkt/in/data /gcs/bkt/copied && echo step > /gcs/bkt/out.txt")
    job = {"pipelineSpec": pipeline, "runtimeConfig": {"gcsOutputDirectory": "gs://bkt/root"}}
    made = server.post(jobs, job)
    assert made.status == 200, made
    ended = server.ended(made.json["name"])
    assert ended["state"] == "PIPELINE_STATE_SUCCEEDED", ended.get("error")
    assert read(server, "copied").content == b"from the client"
    assert read(server, "out.txt").content == b"step\n"
