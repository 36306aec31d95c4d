"""A bucket that is kept in its own store. For the store stands a second server, which asks for a login: it is asked
what obstore asks of Cloud Storage, and answers only with the operator's token."""

import contextlib
import http.client
import os
import socket
import threading
import time
from urllib.parse import quote

import pytest

from cairn.api.accounts.registry import create_token
from cairn.wiring import open_cairn

pytest.importorskip("obstore")

CLOUD = '[server]\nauthentication = "required"\nrequests_per_second = 100000\nburst = 100000\n'
OURS = '[images]\n"*" = "host"\n[buckets]\n"gs://far" = "real"\n"gs://here" = "local"\n'


@pytest.fixture
def cloud(serve, tmp_path):
    home = tmp_path / "cloud"
    home.mkdir()
    (home / "config.toml").write_text(CLOUD)
    with open_cairn(str(home)) as cairn:
        token = create_token(cairn.records, "operator", {"ops": "editor"})[1]
    server = serve(home)
    server.token = token
    server.headers = {"Authorization": f"Bearer {token}"}
    assert server.post("/storage/v1/b", {"name": "far"}, project="ops").status == 200
    return server


def ours_of(serve, home, cloud, token):
    home.mkdir()
    (home / "config.toml").write_text(OURS)
    return serve(home, GOOGLE_BASE_URL=f"{cloud.url}/storage/xml", GOOGLE_BEARER_TOKEN=token)


@pytest.fixture
def ours(serve, tmp_path, cloud):
    server = ours_of(serve, tmp_path / "ours", cloud, cloud.token)
    assert server.post("/storage/v1/b", {"name": "here"}, project="demo").status == 200
    return server


def put(server, name, content=b"x", bucket="far", **query):
    query = {"uploadType": "media", "name": name, **query}
    path = f"/upload/storage/v1/b/{bucket}/o"
    return server.request("POST", path, content, query=query, headers={"Content-Type": "text/x"})


def place(name, bucket="far"):
    return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def read(server, name, bucket="far", **headers):
    return server.request("GET", place(name, bucket), query={"alt": "media"}, headers=headers)


def tree(server, bucket="far"):
    return server.home / "buckets" / "gs" / bucket


def test_what_is_written_and_read_here_lies_in_the_store(ours, cloud):
    made = put(ours, "dir/ä #1.txt", b"0123456789")
    assert made.status == 200, made
    assert (tree(cloud) / "dir" / "ä #1.txt").read_bytes() == b"0123456789"
    assert not tree(ours).exists()
    assert (made.json["size"], made.json["crc32c"]) == ("10", "KAwGng==")
    there = cloud.get(place("dir/ä #1.txt")).json
    info = ours.get(place("dir/ä #1.txt")).json
    assert (
        (info["generation"], info["contentType"])
        == (there["generation"], "text/x")
        == (made.json["generation"], "text/x")
    )
    assert read(ours, "dir/ä #1.txt").content == b"0123456789"
    part = read(ours, "dir/ä #1.txt", Range="bytes=2-4")
    assert (part.status, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    (tree(cloud) / "by-others").write_bytes(b"theirs")
    assert read(ours, "by-others").content == b"theirs"
    old = info["generation"]
    put(cloud, "dir/ä #1.txt", b"new")
    assert ours.delete(place("dir/ä #1.txt"), generation=old).status == 404
    assert ours.delete(place("dir/ä #1.txt")).status == 204
    assert ours.get(place("dir/ä #1.txt")).status == read(ours, "dir/ä #1.txt").status == 404
    assert not (tree(cloud) / "dir").exists()


def test_attributes_arrive_with_the_object(ours, cloud):
    resource = b'{"name": "m", "contentType": "text/csv", "metadata": {"team": "ml"}, "cacheControl": "no-store"}'
    body = (
        b"--B\r\ncontent-type: application/json\r\n\r\n"
        + resource
        + b"\r\n--B\r\ncontent-type: a/b\r\n\r\nx,y\r\n--B--"
    )
    headers = {"Content-Type": "multipart/related; boundary=B"}
    path = "/upload/storage/v1/b/far/o"
    assert ours.request("POST", path, body, query={"uploadType": "multipart"}, headers=headers).status == 200
    for server in (ours, cloud):
        info = server.get(place("m")).json
        assert (info["contentType"], info["metadata"], info["cacheControl"]) == ("text/csv", {"team": "ml"}, "no-store")


def test_lists_are_those_of_the_store(ours, cloud):
    names = ["a/1", "a/2", "ab", "b/c/d", "b/e", "z"]
    for name in names:
        put(cloud, name)

    def listed(**query):
        answer = ours.get("/storage/v1/b/far/o", **query).json
        found = [one["name"] for one in answer.get("items", [])], answer.get("prefixes", [])
        return (*found, answer["nextPageToken"]) if "nextPageToken" in answer else found

    assert listed() == (names, [])
    assert listed(prefix="a") == (["a/1", "a/2", "ab"], [])
    assert listed(prefix="a/") == (["a/1", "a/2"], [])
    assert listed(delimiter="/") == (["ab", "z"], ["a/", "b/"])
    assert listed(prefix="b/", delimiter="/") == (["b/e"], ["b/c/"])
    assert listed(prefix="b", delimiter="/") == ([], ["b/"])
    assert listed(prefix="none") == ([], [])
    assert listed(startOffset="a/2", endOffset="b/e") == (["a/2", "ab", "b/c/d"], [])
    assert listed(matchGlob="*/?") == (["a/1", "a/2", "b/e"], [])
    for asked in ({}, {"delimiter": "/"}, {"prefix": "a"}):
        together, token = ([], []), None
        while token != "":
            page = listed(**asked, maxResults=2, **({"pageToken": token} if token else {}))
            together[0].extend(page[0])
            together[1].extend(page[1])
            token = page[2] if len(page) > 2 else ""
        assert together == listed(**asked)


def test_a_large_object_goes_up_resumed_and_comes_down_whole(ours, cloud):
    content = os.urandom(21_000_000)
    query = {"uploadType": "resumable", "name": "large"}
    started = ours.request("POST", "/upload/storage/v1/b/far/o", {}, query=query)
    session = started.headers["location"].removeprefix(ours.url)
    half = ours.request("PUT", session, content[:10_000_000], headers={"Content-Range": "bytes 0-9999999/*"})
    assert half.status == 308
    rest = {"Content-Range": "bytes 10000000-20999999/21000000"}
    done = ours.request("PUT", session, content[10_000_000:], headers=rest)
    assert (done.status, done.json["size"]) == (200, "21000000")
    assert (tree(cloud) / "large").read_bytes() == content
    assert read(ours, "large").content == content
    assert read(ours, "large", Range="bytes=5000000-15000000").content == content[5_000_000:15_000_001]
    wrong = ours.request("POST", "/upload/storage/v1/b/far/o", b"x", query={"uploadType": "media", "name": "w"},
                         headers={"x-goog-hash": "crc32c=AAAAAA=="})  # fmt: skip
    assert wrong.status == 400 and not (tree(cloud) / "w").exists()
    assert list((ours.home / "buckets" / ".cairn" / "partial").iterdir()) == []


def test_names_arrive_as_they_are_or_are_refused(ours, cloud):
    taken = [
        "a:b",
        "a b",
        "a?b",
        "a+b&c",
        "a~b*c",
        "100%",
        "日本/é",
        "..a",
        "a..b",
        "x" * 255,
        "-rf",
        "o/b/c",
        "acl",
        "[{|}]^`",
    ]
    for name in taken:
        assert put(ours, name, name.encode()).status == 200, name
        assert (tree(cloud) / name).read_bytes() == name.encode()
        assert read(ours, name).content == name.encode()
    assert [one["name"] for one in ours.get("/storage/v1/b/far/o").json["items"]] == sorted(taken)
    for name in taken:
        assert ours.delete(place(name)).status == 204, name
    for name in ("a//b", "/a", "..", "a/../b", "x\\y", "n\0", "dir/"):
        assert put(ours, name).status == 400 and read(ours, name).status in (400, 404), name
    assert list(tree(cloud).iterdir()) == []


@pytest.mark.parametrize(
    ("resource", "status", "told"),
    [
        ({"metadata": {"k": "ä"}}, 400, "k: "),
        ({"metadata": {"a b": "x"}}, 400, "a b: "),
        ({"metadata": {"Team": "x"}}, 400, "lower case"),
        ({"contentDisposition": "attachment; filename=ä"}, 400, "Content-Disposition"),
        ({"customTime": "2026-01-01T00:00:00Z"}, 501, "customTime"),
    ],
)
def test_attributes_that_cannot_be_carried_are_refused(ours, cloud, resource, status, told):
    query = {"uploadType": "resumable", "name": "x"}
    started = ours.request("POST", "/upload/storage/v1/b/far/o", resource, query=query)
    session = started.headers["location"].removeprefix(ours.url)
    answer = ours.request("PUT", session, b"x", headers={"Content-Range": "bytes 0-0/1"})
    assert answer.status == status and told in answer.error, answer
    assert list(tree(cloud).iterdir()) == []


@pytest.mark.parametrize(("source", "target"), [("far", "far"), ("far", "here"), ("here", "far")])
@pytest.mark.parametrize("how", ["copyTo", "rewriteTo"])
def test_copies_between_here_and_there(ours, cloud, source, target, how):
    put(ours, "from", b"some bytes", bucket=source)
    copied = ours.post(f"{place('from', source)}/{how}/b/{target}/o/deep%2Fto", {})
    assert copied.status == 200, copied
    kept = tree(cloud if target == "far" else ours, target)
    assert (kept / "deep" / "to").read_bytes() == b"some bytes"
    assert ours.get(place("deep/to", target)).json["contentType"] == "text/x"


def test_compose_and_move_in_the_store(ours, cloud):
    put(ours, "one", b"1")
    put(ours, "two", b"2")
    sources = {"sourceObjects": [{"name": "one"}, {"name": "two"}]}
    assert ours.post(f"{place('both')}/compose", sources).status == 200
    assert ours.post(f"{place('both')}/moveTo/o/moved", {}).status == 200
    assert sorted(os.listdir(tree(cloud))) == ["moved", "one", "two"]
    assert read(ours, "moved").content == b"12"


def test_conditions_are_held_by_the_store_or_refused_by_name(ours, cloud):
    first = put(ours, "once", b"1", ifGenerationMatch=0)
    assert first.status == 200
    assert put(ours, "once", b"2", ifGenerationMatch=0).status == 412
    generation = first.json["generation"]
    assert put(ours, "once", b"3", ifGenerationMatch=generation).status == 200
    assert put(ours, "once", b"4", ifGenerationMatch=generation).status == 412
    assert (tree(cloud) / "once").read_bytes() == b"3"
    assert ours.get(place("once"), ifGenerationMatch=generation).status == 412
    for refused in (
        put(ours, "once", b"5", ifMetagenerationMatch=1),
        put(ours, "once", b"5", ifGenerationNotMatch=1),
        ours.delete(place("once"), ifGenerationMatch=generation),
        ours.patch(place("once"), {"metadata": {"k": "v"}}),
        ours.patch("/storage/v1/b/far", {"labels": {"k": "v"}}),
        ours.delete("/storage/v1/b/far"),
    ):
        assert refused.status == 501 and refused.error, refused
    assert ours.post("/storage/v1/b", {"name": "far"}, project="demo").status == 409
    assert (tree(cloud) / "once").read_bytes() == b"3"
    assert ours.get("/storage/v1/b/far").status == 200
    assert [one["name"] for one in ours.get("/storage/v1/b").json["items"]] == ["far", "here"]


def test_a_store_that_refuses_or_is_gone_is_told_as_that(serve, tmp_path, cloud):
    server = ours_of(serve, tmp_path / "wrong", cloud, "cairn_wrong")
    answer = put(server, "x")
    assert answer.status == 403 and "credentials" in answer.error
    assert "cairn_wrong" not in (server.home / "server.log").read_text()
    good = ours_of(serve, tmp_path / "good", cloud, cloud.token)
    assert put(good, "x").status == 200
    cloud.kill()
    for answer in (read(good, "x"), put(good, "y"), good.get("/storage/v1/b/far/o")):
        assert answer.status == 503 and cloud.token not in answer.error, answer


def test_a_store_that_is_silent_holds_up_nobody_else(serve, tmp_path):
    home = tmp_path / "ours"
    home.mkdir()
    (home / "config.toml").write_text(OURS)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        server = serve(home, GOOGLE_BASE_URL=url, GOOGLE_BEARER_TOKEN="x")
        server.post("/storage/v1/b", {"name": "here"}, project="demo")
        asked = [lambda: server.get("/storage/v1/b/far/o"), lambda: read(server, "x"), lambda: put(server, "y")]

        def quietly(one):
            with contextlib.suppress(OSError, http.client.HTTPException):
                one()

        waiting = [threading.Thread(target=quietly, args=(one,), daemon=True) for one in asked * 10]
        for one in waiting:
            one.start()
        time.sleep(1)
        began = time.monotonic()
        assert put(server, "z", b"here", bucket="here").status == 200
        assert read(server, "z", bucket="here").content == b"here"
        assert server.get("/v1/projects/demo/locations/local/pipelineJobs").status == 200
        assert time.monotonic() - began < 5
        assert all(one.is_alive() for one in waiting)
        server.kill()


def test_with_logins_it_belongs_to_the_project_that_the_configuration_names(serve, tmp_path, cloud):
    config = CLOUD + '[buckets]\n"gs://far" = "real:a"\n'
    home = tmp_path / "guarded"
    home.mkdir()
    (home / "config.toml").write_text(config)
    granted = {"ann": {"a": "viewer"}, "bob": {"b": "admin"}}
    with open_cairn(str(home)) as cairn:
        tokens = {name: create_token(cairn.records, name, roles)[1] for name, roles in granted.items()}
    server = serve(home, GOOGLE_BASE_URL=f"{cloud.url}/storage/xml", GOOGLE_BEARER_TOKEN=cloud.token)
    put(cloud, "x", b"bytes")
    found = {}
    for who, token in tokens.items():
        server.headers = {"Authorization": f"Bearer {token}"}
        found[who] = read(server, "x").status, put(server, "y").status, server.get("/storage/v1/b").json["items"] != []
    assert found == {"ann": (200, 403, True), "bob": (404, 404, False)}


@pytest.mark.parametrize("where", ["root", "importer"])
def test_a_run_whose_bytes_would_be_there_is_refused_with_the_place(ours, pipeline_of, where):
    spec = pipeline_of("far-away", greet="echo hi")
    job = {"displayName": "far", "pipelineSpec": spec}
    if where == "root":
        job["runtimeConfig"] = {"gcsOutputDirectory": "gs://far/root"}
    else:
        spec["root"]["dag"]["tasks"]["fetch"] = {"componentRef": {"name": "comp-fetch"}, "taskInfo": {"name": "fetch"}}
        artifact = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
        spec["components"]["comp-fetch"] = {
            "executorLabel": "exec-fetch",
            "outputDefinitions": {"artifacts": {"artifact": artifact}},
        }
        importer = {"artifactUri": {"constant": "gs://far/data.csv"}, "typeSchema": artifact["artifactType"]}
        spec["deploymentSpec"]["executors"]["exec-fetch"] = {"importer": importer}
    path = "/v1/projects/demo/locations/local/pipelineJobs"
    answer = ours.post(path, job)
    assert answer.status == 400 and "gs://far/" in answer.error, answer
    assert ("pipeline_root" if where == "root" else "comp-fetch") in answer.error
    assert ours.get(path).json.get("pipelineJobs", []) == []


@pytest.mark.network
@pytest.mark.slow
def test_clients_need_not_know(ours, run_client):
    assert "passed: real" in run_client("real_bucket.py", ours.url)
