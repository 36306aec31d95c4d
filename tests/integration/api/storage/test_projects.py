"""Whose a bucket is, where logins are asked for."""

import pytest

from cairn.api.accounts.registry import create_token
from cairn.wiring import open_cairn

CONFIGURATION = '[images]\n"*" = "host"\n[server]\nauthentication = "required"\n'


@pytest.fixture
def guarded(serve, tmp_path):
    """`ask(who, method, path, body)`: ann in project a, bob in project b, root in all of them."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    granted = {"ann": {"a": "editor"}, "bob": {"b": "editor"}, "root": {"*": "admin"}}
    with open_cairn(str(home)) as cairn:
        tokens = {name: create_token(cairn.records, name, roles)[1] for name, roles in granted.items()}
    server = serve(home)

    def ask(who, method, path, body=None, **query):
        headers = {"Authorization": f"Bearer {tokens[who]}"}
        return server.request(method, path, body, query=query, headers=headers)

    ask.server, ask.tokens = server, tokens
    return ask


def seen_by(ask, bucket):
    """By whom a bucket is got, listed among the others, and read."""
    found = {}
    for who in ("ann", "bob", "root"):
        listed = [one["name"] for one in ask(who, "GET", "/storage/v1/b").json["items"]]
        got = ask(who, "GET", f"/storage/v1/b/{bucket}").status
        objects = ask(who, "GET", f"/storage/v1/b/{bucket}/o").status
        found[who] = (got, objects, bucket in listed)
    return found


def test_a_bucket_that_a_run_brings_into_being_belongs_to_the_runs_project(guarded, pipeline_of):
    job = {
        "displayName": "maker",
        "pipelineSpec": pipeline_of("maker", greet="echo hi"),
        "runtimeConfig": {"gcsOutputDirectory": "gs://brought-by-a-run/root"},
    }
    made = guarded("ann", "POST", "/v1/projects/a/locations/local/pipelineJobs", job)
    assert made.status == 200, made
    guarded.server.headers = {"Authorization": f"Bearer {guarded.tokens['ann']}"}
    ended = guarded.server.ended(made.json["name"])
    guarded.server.headers = {}
    assert ended["state"] == "PIPELINE_STATE_SUCCEEDED", ended
    seen = seen_by(guarded, "brought-by-a-run")
    assert seen == {"ann": (200, 200, True), "bob": (404, 404, False), "root": (200, 200, True)}
    upload = {"uploadType": "media", "name": "x"}
    assert guarded("bob", "POST", "/upload/storage/v1/b/brought-by-a-run/o", b"x", **upload).status == 404
    assert guarded("ann", "POST", "/upload/storage/v1/b/brought-by-a-run/o", b"x", **upload).status == 200
    later = guarded("bob", "POST", "/storage/v1/b", {"name": "brought-by-a-run"}, project="b")
    assert later.status == 409


def test_a_directory_of_which_nobody_knows_whose_it_is_is_for_those_who_may_see_everything(guarded):
    tree = guarded.server.home / "buckets" / "gs" / "from-before"
    tree.mkdir(parents=True)
    (tree / "x").write_text("x")
    seen = seen_by(guarded, "from-before")
    assert seen == {"ann": (404, 404, False), "bob": (404, 404, False), "root": (200, 200, True)}
    permissions = "/storage/v1/b/from-before/iam/testPermissions"
    assert guarded("ann", "GET", permissions, permissions="storage.objects.get").status == 404
