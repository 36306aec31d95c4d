"""Every route of every front, asked by nobody, by a stranger and by the owner. None may be forgotten."""

import http.client
import importlib.util
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cairn.api.access import Role, Scope

_spec = importlib.util.spec_from_file_location("security_asking", Path(__file__).parent / "asking.py")
asking = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(asking)

MINE = "mine"
CANARY = b"canary7c1e"
# What nobody may ask, and nothing else: probes, which tell no more than that, and where credentials are exchanged.
PUBLIC = {"own.healthz", "own.livez", "own.readyz", "accounts.token", "kfp.GetHealthz"}

ROUTES = asking.every_route()


class Line:
    """One connection for many requests."""

    def __init__(self, url, headers):
        address = urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        self.headers = {"Content-Type": "application/json", **headers}

    def ask(self, route, path):
        """Status and what comes first of the body."""
        body = None if route.method in ("GET", "DELETE") else b"{}"
        try:
            self.connection.request(route.method, path, body, self.headers)
            answer = self.connection.getresponse()
            if "event-stream" in answer.headers.get("content-type", ""):
                self.connection.close()
                return answer.status, b""
            return answer.status, answer.read()
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            raise AssertionError(f"{route.name}: {error!r}") from error


def walk(guarded, who, project=MINE):
    """(route, status, body) of each, by one who asks for what is in `project`."""
    line = Line(guarded.server.url, guarded.headers(who))
    for route in ROUTES:
        path = asking.path_of(route.template, guarded.known, project)
        status, body = line.ask(route, path)
        yield route, path, status, body
    line.connection.close()


def test_the_routes_are_all_here():
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names)) and len(names) > 300
    assert {route.name for route in ROUTES if route.access.scope is Scope.PUBLIC} == PUBLIC
    assert all(route.access.role > Role.NONE for route in ROUTES if route.name not in PUBLIC)
    changing = [route for route in ROUTES if route.method in ("DELETE", "PUT", "PATCH")]
    assert all(route.access.role >= Role.EDITOR for route in changing), "what changes things needs an editor"


def test_nobody_is_told_nothing(filled):
    wrong = [
        (route.name, status)
        for route, _, status, body in walk(filled, "nobody")
        if (status != 401 and route.name not in PUBLIC) or CANARY in body or status >= 500
    ]
    assert wrong == []


def test_nobody_does_not_learn_what_is_there(filled):
    for path in (
        "/",
        "/v1/nothing",
        "/apis/v2beta1/nothing",
        "/cairn/v1/nothing",
        "/storage/v1/nothing",
        "/etc/passwd",
    ):
        assert filled.ask("nobody", "GET", path).status == 401
        assert filled.ask("nobody", "TRACE", path).status == 401


def test_a_stranger_finds_nothing_and_changes_nothing(filled):
    # Asked for, so that the answer says no more than the question did.
    ids = sorted({value.encode() for value in filled.known.values() if CANARY in value.encode()}, key=len, reverse=True)
    wrong = []
    for route, path, status, body in walk(filled, "stranger"):
        for known in ids if status >= 400 else ():
            body = body.replace(known, b"")
        told = CANARY in body
        # That something may not be done would tell that it is there: only what concerns the whole server says so.
        expected = {Scope.PROJECT: status == 404, Scope.SERVER: status == 403}
        hidden = expected.get(route.access.scope, status not in (401, 403))
        if route.name not in PUBLIC and (told or not hidden or status in (500, 502, 503)):
            wrong.append((route.name, path, status, body[:200]))
    assert wrong == []
    assert filled.ask("owner", "GET", f"/v1/projects/{MINE}/locations/local/pipelineJobs").json["pipelineJobs"]
    assert filled.ask("owner", "GET", f"/apis/v2beta1/runs/{filled.known['run_id']}").status == 200
    assert (
        filled.ask("owner", "GET", f"/storage/v1/b/{filled.known['bucket']}/o/{filled.known['object']}").status == 200
    )


def test_a_viewer_sees_and_changes_nothing(filled):
    wrong = [
        (route.name, path, status)
        for route, path, status, _ in walk(filled, "viewer")
        if route.name not in PUBLIC
        and route.access.role > Role.VIEWER
        and (status not in (403, 404) if route.access.scope is not Scope.PROJECT else status != 403)
    ]
    assert wrong == []
    assert filled.ask("viewer", "GET", f"/v1/projects/{MINE}/locations/local/pipelineJobs").json["pipelineJobs"]


def test_the_owner_is_never_kept_out(filled_anew):
    wrong = [
        (route.name, path, status, body[:200])
        for route, path, status, body in walk(filled_anew, "owner")
        if status in (401, 403) or status in (500, 502, 503)
        if not body.startswith(b"TensorBoard is starting")  # he is let in, and has to wait
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "path", "body", "query"),
    [
        ("GET", "/apis/v2beta1/runs", None, {"namespace": MINE}),
        ("GET", "/apis/v2beta1/experiments", None, {"namespace": MINE}),
        ("GET", "/apis/v2beta1/pipelines", None, {"namespace": MINE}),
        ("GET", "/apis/v2beta1/recurringruns", None, {"namespace": MINE}),
        ("POST", "/apis/v2beta1/experiments", {"display_name": "x", "namespace": MINE}, {}),
        ("POST", "/apis/v2beta1/pipelines", {"display_name": "x", "namespace": MINE}, {}),
        ("GET", "/cairn/v1/runs", None, {"project": MINE}),
        ("GET", "/storage/v1/b", None, {"project": MINE}),
        ("POST", "/storage/v1/b", {"name": "strangers-bucket"}, {"project": MINE}),
        ("GET", "/v3/projects/mine", None, {}),
    ],
)
def test_a_project_that_is_named_elsewhere_than_in_the_path_is_hidden_too(filled, method, path, body, query):
    answer = filled.ask("stranger", method, path, body, **query)
    assert answer.status == 404, answer
    assert CANARY not in answer.content
    assert filled.ask("owner", method, path, body, **query).status == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/apis/v2beta1/runs", "namespace"),
        ("/apis/v2beta1/experiments", "namespace"),
        ("/apis/v2beta1/pipelines", "namespace"),
        ("/apis/v2beta1/recurringruns", "namespace"),
        ("/cairn/v1/runs", "project"),
        ("/storage/v1/b", "project"),
    ],
)
def test_lists_hold_what_may_be_seen(filled, path, name):
    for who in ("owner", "viewer"):
        seen = filled.ask(who, "GET", path, **{name: MINE})
        assert seen.status == 200 and CANARY in seen.content
    hidden = filled.ask("stranger", "GET", path)
    assert hidden.status == 200 and CANARY not in hidden.content


def test_a_slash_hidden_in_a_name_leads_nowhere(filled):
    job = f"locations/local/pipelineJobs/{filled.known['pipelineJobs']}"
    inside = f"mine/{job}".replace("/", "%2F")
    for path in (
        f"/v1/projects/theirs%2F..%2F{inside}/locations/local/pipelineJobs/x",
        f"/v1/projects/theirs/../mine/{job}",
        f"/v1/projects/theirs/locations/local/pipelineJobs/..%2F..%2F..%2F..%2Fprojects%2F{inside}",
        f"/v1/projects/theirs/locations/projects%2F{inside}/pipelineJobs/x",
        f"//v1/projects/mine/{job}",
        f"/v1/projects/MINE/{job}",
        f"/v1/projects/mine%00/{job}",
    ):
        answer = filled.ask("stranger", "GET", path)
        assert answer.status in (400, 404) and b"SUCCEEDED" not in answer.content, (path, answer)


def test_resources_of_another_project_are_not_taken_from_a_body(filled):
    """A stranger works in a project of his own, and names what is in another one."""
    theirs = "/v1/projects/theirs/locations/local"
    mine = "projects/mine/locations/local"
    store = f"{mine}/metadataStores/default"
    filled.ask("stranger", "POST", f"{theirs}/metadataStores", {}, metadataStoreId="default")
    contexts, schema = f"{theirs}/metadataStores/default/contexts", {"schemaTitle": "system.Context"}
    context = filled.ask("stranger", "POST", contexts, schema, contextId="c")
    assert context.status == 200, context
    one = f"{contexts}/c"
    known = CANARY.decode()
    for path, body in [
        (f"{one}:addContextArtifactsAndExecutions", {"artifacts": [f"{store}/artifacts/{known}-artifact"]}),
        (
            f"{one}:addContextArtifactsAndExecutions",
            {"executions": [f"{store}/executions/{known}-execution"]},
        ),
        (f"{one}:addContextChildren", {"childContexts": [f"{store}/contexts/{known}-context"]}),
        (f"{theirs}/pipelineJobs:batchDelete", {"names": [f"{mine}/pipelineJobs/{filled.known['pipelineJobs']}"]}),
        (f"{theirs}/pipelineJobs:batchCancel", {"names": [f"{mine}/pipelineJobs/{filled.known['pipelineJobs']}"]}),
    ]:
        answer = filled.ask("stranger", "POST", path, body)
        assert answer.status in (400, 404), (path, body, answer)
    graph = filled.ask("stranger", "GET", f"{one}:queryContextLineageSubgraph")
    assert CANARY not in graph.content
    assert filled.ask("owner", "GET", f"/v1/{mine}/pipelineJobs/{filled.known['pipelineJobs']}").status == 200


def test_a_run_is_not_found_by_the_beginning_of_its_id(filled):
    uid = filled.known["run_id"]
    for reference in (uid, uid[:8], uid[:4], filled.known["pipelineJobs"]):
        answer = filled.ask("stranger", "GET", f"/cairn/v1/runs/{reference}")
        assert answer.status == 404, answer
        assert uid.encode() not in answer.content.replace(reference.encode(), b"") and b"mine" not in answer.content


def test_a_name_that_two_projects_have_tells_a_stranger_of_neither(filled, pipeline_of):
    job = filled.known["pipelineJobs"]
    made = filled.ask(
        "owner",
        "POST",
        "/v1/projects/mine2/locations/local/pipelineJobs",
        {"pipelineSpec": pipeline_of("other", greet="true")},
        pipelineJobId=job,
    )
    assert made.status == 200
    answer = filled.ask("stranger", "GET", f"/cairn/v1/runs/{job}")
    assert answer.status == 404 and b"mine" not in answer.content, answer


def test_json_is_what_every_refusal_is(filled):
    for who in ("nobody", "stranger"):
        for path in (
            f"/v1/projects/{MINE}/locations/local/pipelineJobs",
            "/apis/v2beta1/runs/x",
            "/storage/v1/b/x",
            "/cairn/v1/runs/x",
            "/nowhere",
        ):
            answer = filled.ask(who, "GET", path)
            assert answer.status in (401, 404)
            assert isinstance(json.loads(answer.content), dict)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert (answer.status == 401) == ("www-authenticate" in answer.headers)
