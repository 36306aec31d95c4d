"""The real TensorBoard behind the server: its page and data, who may look, and when it ends."""

import http.client
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from event_logs import FILES

from cairn.api.accounts.registry import create_token
from cairn.wiring import open_cairn

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(280)]

CONFIGURATION = """\
[images]
"*" = "host"
[server]
authentication = "required"
requests_per_second = 10000
tensorboard_idle_seconds = 3
"""
ROOT = "/v1/projects/mine/locations/local"


def viewers():
    """Process ids of real TensorBoards that servers have started, with the directory of each."""
    found = {}
    for name in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().decode().split("\0") if name.isdigit() else []
        except OSError:
            continue
        if any(word.endswith("tensorboards/program.py") for word in words):
            found[int(name)] = words[-2]
    return found


def settled(ask, seconds=150):
    """The answer, once TensorBoard is there: a browser asks again as often."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer.status != 503:
            return answer
        time.sleep(0.5)
    raise AssertionError(answer)


def test_a_run_is_shown_to_who_may_see_it_for_as_long_as_somebody_looks(serve, tmp_path, pipeline_of):
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    with open_cairn(str(home)) as cairn:
        roles = {"someone": {"*": "admin"}, "viewer": {"mine": "viewer"}, "stranger": {"theirs": "admin"}}
        tokens = {name: create_token(cairn.records, name, granted)[1] for name, granted in roles.items()}
    headers = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()} | {"nobody": {}}
    before = viewers()
    server = serve(home)
    server.headers = headers["someone"]
    logs = f'cp -r {FILES}/x {FILES}/tb2 "$CAIRN_LOG_DIRECTORY/"'
    pipeline = pipeline_of("train", fit=f'mkdir -p "$CAIRN_LOG_DIRECTORY"; {logs}')
    made = server.post(f"{ROOT}/pipelineJobs", {"pipelineSpec": pipeline}, pipelineJobId="job-1").json
    assert server.ended(made["name"])["state"] == "PIPELINE_STATE_SUCCEEDED"
    server.headers = {}

    def ask(who, path, method="GET", body=None, **more):
        return server.request(method, path, body, headers={**headers[who], **more})

    entered = ask("viewer", "/tensorboard/mine/runs/job-1")
    assert entered.status == 307
    page = entered.headers["location"]
    for path in (page, f"{page}data/runs", "/tensorboard/mine/runs/job-1", f"{page}projects/theirs/x"):
        assert ask("nobody", path).status == 401
        assert ask("stranger", path).status == 404
        assert ask("stranger", path.replace("/mine/", "/theirs/")).status == 404
    assert viewers().keys() == before.keys()  # nobody has started anything
    waiting = ask("viewer", page, accept="text/html")
    assert waiting.status == 503 and b"starting" in waiting.content and "refresh" in waiting.content.decode()

    shown = settled(lambda: ask("viewer", page))
    assert shown.status == 200 and b"TensorBoard" in shown.content, shown
    assert "connection" not in shown.headers and "default-src 'self'" in shown.headers["content-security-policy"]
    script = ask("viewer", f"{page}index.js")
    assert script.status == 200 and len(script.content) > 1_000_000

    def runs():
        answer = ask("viewer", f"{page}data/runs")
        return answer if sorted(answer.json) == ["fit/tb2", "fit/x"] else type(answer)(503, {}, answer.content)

    settled(runs, seconds=30)
    query = "?run=fit%2Fx&tag=loss"
    [*points] = ask("viewer", f"{page}data/plugin/scalars/scalars{query}").json
    assert [round(value, 3) for _, _, value in points] == [1.0, 0.5, 0.333, 0.25]
    form = b'--b\r\nContent-Disposition: form-data; name="tag"\r\n\r\nloss\r\n--b\r\nContent-Disposition: form-data; name="runs"\r\n\r\nfit/x\r\n--b--\r\n'  # noqa: E501
    posted = ask("viewer", f"{page}data/plugin/scalars/scalars_multirun", "POST", form, **{"Content-Type": "multipart/form-data; boundary=b"})  # noqa: E501  # fmt: skip
    assert posted.status == 200 and len(posted.json["fit/x"]) == 4, posted
    assert ask("viewer", f"{page}no/such").status == 404
    assert head(server.url, page, headers["viewer"]) == (200, b"")
    forged = {**headers["viewer"], "Origin": "https://elsewhere.example"}
    assert server.request("GET", page, headers=forged).status == 403

    [process] = viewers().keys() - before.keys()
    directory = viewers()[process]
    assert os.stat(directory).st_mode & 0o077 == 0
    until_gone(process)  # nobody looks for three seconds
    assert not os.path.exists(directory)
    assert settled(lambda: ask("viewer", page)).status == 200
    [process] = viewers().keys() - before.keys()
    directory = viewers()[process]
    server.kill()
    until_gone(process, seconds=10)
    assert not os.path.exists(directory)


def head(url, path, headers):
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("HEAD", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def until_gone(process, seconds=20):
    end = time.monotonic() + seconds
    while process in viewers():
        assert time.monotonic() < end, f"process {process} is still there"
        time.sleep(0.1)
