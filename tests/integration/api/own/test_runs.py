"""Cairn's own API against a real server: what Vertex and KFP lack."""

import http.client
import json
import re
import time
from urllib.parse import quote, urlsplit

import pytest


@pytest.fixture
def submit(shared_server, pipeline_of):
    """`submit("name", step="command")`: the run, recorded and started."""

    def post(name, **steps):
        answer = shared_server.post("/cairn/v1/runs", {"pipeline": pipeline_of(name, **steps), "cache": False})
        assert answer.status == 200, answer
        return answer.json

    return post


def events(server, run_id, *, last="", **query):
    """(id, kind, data) of a run's stream, read to its end."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    connection.request(
        "GET", f"/cairn/v1/runs/{run_id}/events?{asked}", headers={"Last-Event-ID": last} if last else {}
    )
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("content-type").startswith("text/event-stream")
    found = []
    for block in answer.read().decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
    connection.close()
    return found


def until_ended(server, run_id, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = server.get(f"/cairn/v1/runs/{run_id}").json
        if found["state"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} does not end")


def test_a_run_is_watched_from_its_submission_to_its_end(shared_server, submit):
    run = submit("watched", first="echo one; sleep 0.3", second="echo two")
    seen = events(shared_server, run["run_id"], logs="true")
    states = [(data["kind"], data["path"], data["state"]) for _, kind, data in seen if kind in ("run", "task")]
    assert states[0] == ("run", "", "PENDING")
    assert states.index(("task", "first", "SUCCEEDED")) < states.index(("task", "second", "SUCCEEDED"))
    assert ("run", "", "SUCCEEDED") in states
    numbers = [number for number, kind, _ in seen if kind != "log" and number]
    assert numbers == sorted(set(numbers))
    said = {data["task"]: data["text"] for _, kind, data in seen if kind == "log"}
    assert said == {"first": "one\n", "second": "two\n"}
    assert seen[-1][1] == "end"
    assert [task["state"] for task in seen[-1][2]["tasks"]] == ["SUCCEEDED", "SUCCEEDED"]


def test_whoever_comes_back_misses_nothing_and_sees_nothing_twice(shared_server, submit):
    run = submit("returning", only="true")
    until_ended(shared_server, run["run_id"])
    whole = [one for one in events(shared_server, run["run_id"]) if one[0]]
    assert len(whole) >= 5
    for at in (0, 2, len(whole) - 1):
        rest = events(shared_server, run["run_id"], last=str(whole[at][0]))
        assert [one for one in rest if one[0]] == whole[at + 1 :]
        by_query = events(shared_server, run["run_id"], after=whole[at][0])
        assert [one for one in by_query if one[0]] == whole[at + 1 :]


def test_a_step_is_heard_while_it_runs(shared_server, submit):
    run = submit("talking", only="echo early; sleep 3; echo late")
    address = urlsplit(shared_server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    began = time.monotonic()
    connection.request("GET", f"/cairn/v1/runs/{run['run_id']}/events?logs=true")
    answer = connection.getresponse()
    text = b""
    while b"early" not in text:
        text += answer.read1(65536)
    assert time.monotonic() - began < 2.5
    connection.close()
    shared_server.post(f"/cairn/v1/runs/{run['run_id']}:cancel", {"kill": True})
    assert until_ended(shared_server, run["run_id"])["state"] == "CANCELLED"


def test_a_failed_run_is_resumed_with_what_succeeded_kept(shared_server, submit, tmp_path):
    marker = tmp_path / "marker"
    run = submit("resumed", first="date +%N", second=f"test -e {marker}")
    failed = until_ended(shared_server, run["run_id"])
    assert failed["state"] == "FAILED"
    assert [task["attempts"] for task in failed["tasks"]] == [1, 1]
    marker.touch()
    assert shared_server.post(f"/cairn/v1/runs/{run['run_id']}:resume").status == 200
    done = until_ended(shared_server, run["run_id"])
    assert done["state"] == "SUCCEEDED"
    assert [task["attempts"] for task in done["tasks"]] == [1, 2]
    again = shared_server.post(f"/cairn/v1/runs/{run['run_id']}:resume")
    assert again.status in (200, 400)


def test_two_runs_are_compared(shared_server, submit):
    first, second = submit("compared", a="echo 1"), submit("compared", a="echo 2")
    for run in (first, second):
        until_ended(shared_server, run["run_id"])
    found = shared_server.get(f"/cairn/v1/runs/{first['run_id']}/diff", **{"with": second["run_id"]}).json
    assert [one["name"] for one in found["pipeline"]] == ["a (component)"]
    assert found["parameters"] == []


def test_why_a_task_was_computed(shared_server, submit):
    run = submit("asked", a="true")
    until_ended(shared_server, run["run_id"])
    found = shared_server.get(f"/cairn/v1/runs/{run['run_id']}/why", task="a").json
    assert (found["task"], found["verdict"]) == ("a", "off")
    assert shared_server.get(f"/cairn/v1/runs/{run['run_id']}/why", task="b").status == 404
    assert shared_server.get(f"/cairn/v1/runs/{run['run_id']}/why").status == 400


def test_logs_are_text_and_never_a_page(shared_server, submit):
    run = submit("logged", a="echo '<script>alert(1)</script>'; echo oops >&2")
    until_ended(shared_server, run["run_id"])
    answer = shared_server.get(f"/cairn/v1/runs/{run['run_id']}/logs", task="a", stream="stdout")
    assert answer.content == b"<script>alert(1)</script>\n"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_runs_are_listed_by_page(shared_server, submit):
    made = [submit("paged", a="true")["run_id"] for _ in range(5)]
    seen, token = [], ""
    while True:
        page = shared_server.get("/cairn/v1/runs", pipeline="paged", page_size=2, page_token=token).json
        seen += [run["run_id"] for run in page["runs"]]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/cairn/v1/runs/nothing-here", None, 404, "no run"),
        ("GET", "/cairn/v1/runs?page_size=0", None, 400, "page_size"),
        ("GET", "/cairn/v1/runs?page_size=" + "9" * 5000, None, 400, "page_size"),
        ("GET", "/cairn/v1/runs?state=HAPPY", None, 400, "one of"),
        ("GET", "/cairn/v1/runs?page_token=nonsense", None, 400, "page"),
        ("POST", "/cairn/v1/runs", {"pipelin": {}}, 400, "pipelin"),
        ("POST", "/cairn/v1/runs", {"pipeline": {"pipelineInfo": {}}}, 400, "pipeline"),
        ("POST", "/cairn/v1/runs", {"pipeline": "a: [", "labels": {}}, 400, "pipeline"),
        ("POST", "/cairn/v1/runs", b"{", 400, "JSON"),
        ("POST", "/cairn/v1/runs", b"[" * 100_000, 400, "nested"),
        ("PUT", "/cairn/v1/runs", {}, 405, "PUT"),
        ("GET", "/cairn/v1/elsewhere", None, 404, "nothing"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(shared_server, method, path, body, status, said):
    answer = shared_server.request(method, path, body)
    assert answer.status == status, answer
    assert said in answer.error


def test_openapi_describes_every_route_and_the_probes_answer(shared_server):
    described = shared_server.get("/cairn/v1/openapi.json").json
    assert described["openapi"].startswith("3.1")
    assert {"/cairn/v1/runs", "/cairn/v1/runs/{run}/events", "/readyz"} <= described["paths"].keys()
    for path in ("/healthz", "/livez", "/readyz", "/cairn/v1/status"):
        assert shared_server.get(path).status == 200


def test_metrics_count_what_was_run_and_asked(shared_server, submit):
    def value(text, name):
        found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    ended = 'cairn_runs_ended_total{state="SUCCEEDED"}'
    asked = 'cairn_http_requests_total{method="GET",route="own.showRun",status="200"}'
    before = shared_server.get("/metrics").content.decode()
    until_ended(shared_server, submit("counted", a="true")["run_id"])
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        after = shared_server.get("/metrics").content.decode()
        if value(after, ended) > value(before, ended):
            break
    assert value(after, ended) > value(before, ended)
    assert value(after, asked) > value(before, asked)
    assert value(after, "cairn_ready") == 1.0
