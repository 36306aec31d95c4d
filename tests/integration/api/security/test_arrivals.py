"""What a server refuses before it looks at who asks, and before it reads what they send: over real sockets."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = "/v1/projects/default/locations/local"


def exchange(url, *parts, wait=5.0):
    """Send raw bytes on one connection; what comes back until it is closed, or nothing comes for a moment."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=wait) as line:
        for part in parts:
            line.sendall(part)
        found = b""
        line.settimeout(0.7)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := line.recv(65536):
                found += chunk
        return found


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(scope="module")
def open_server(shared_server):
    """On loopback, without logins."""
    return shared_server


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200),
        ("LOCALHOST", 200),
        ("evil.example.com", 403),
        ("evil.example.com:{port}", 403),
        ("127.0.0.1.evil.example.com", 403),
        ("169.254.169.254", 403),
        ("0.0.0.0:{port}", 403),
    ],
)
def test_a_page_whose_name_leads_here_is_refused(open_server, host, status):
    named = host.format(port=urlsplit(open_server.url).port)
    for path in ("/cairn/v1/runs", "/healthz", "/metrics", f"{ROOT}/pipelineJobs"):
        answer = open_server.request("GET", path, headers={"Host": named})
        assert answer.status == status, (path, answer)


def test_two_hosts_or_none_are_refused(open_server):
    for head in (
        b"Host: localhost\r\nHost: evil.example.com\r\n",
        b"Host: evil.example.com\r\nHost: localhost\r\n",
        b"",
    ):
        answer = exchange(open_server.url, b"GET /cairn/v1/runs HTTP/1.1\r\n" + head + b"\r\n")
        assert status_of(answer) in (400, 403), answer
    answer = exchange(open_server.url, b"GET http://evil.example.com/cairn/v1/runs HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b'"runs"' not in answer or status_of(answer) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example.com", "null", "http://localhost:1", "https://localhost:{port}"]
)
def test_pages_of_other_origins_are_refused(open_server, method, origin):
    named = origin.format(port=urlsplit(open_server.url).port)
    answer = open_server.request(method, "/cairn/v1/runs", {} if method == "POST" else None, headers={"Origin": named})
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_pages_are_let_in_without_being_shared(open_server):
    answer = open_server.request("GET", "/cairn/v1/runs", headers={"Origin": open_server.url})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_preflights_are_answered_for_allowed_origins_only(serve, tmp_path):
    there = "https://notebooks.example.com"
    server = serve(tmp_path / "home", CAIRN_SERVER_ALLOWED_ORIGINS=there, CAIRN_SERVER_AUTHENTICATION="required")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = server.request("OPTIONS", "/cairn/v1/runs", headers={"Origin": there, **asked})
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == there
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization"
    refused = server.request("OPTIONS", "/cairn/v1/runs", headers={"Origin": "https://evil.example.com", **asked})
    assert refused.status == 403 and "access-control-allow-origin" not in refused.headers
    read = server.request("GET", "/readyz", headers={"Origin": there})
    assert read.headers["access-control-allow-origin"] == there and read.headers["vary"] == "origin"
    # The answer to somebody who is not known yet can be read by the page too, so that it can say so.
    assert (
        server.request("GET", "/cairn/v1/runs", headers={"Origin": there}).headers["access-control-allow-origin"]
        == there
    )


@pytest.mark.parametrize("path", [f"{ROOT}/pipelineJobs", "/cairn/v1/runs", "/accounts/token", "/apis/v2beta1/runs"])
def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(open_server, path):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
    began = time.monotonic()
    answer = exchange(open_server.url, head)
    assert status_of(answer) == 413 and time.monotonic() - began < 3


def test_a_body_that_grows_too_large_is_refused_before_its_end(open_server):
    head = b"POST /accounts/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    answer = exchange(open_server.url, head, *[chunk] * 5)  # 80 KiB of 64, and no end
    assert status_of(answer) == 413
    assert b"connection: close" in answer.lower()


def test_the_limit_of_a_body_is_what_the_settings_say(serve, tmp_path):
    server = serve(tmp_path / "home", CAIRN_SERVER_BODY_LIMIT="64Ki")
    assert server.post(f"{ROOT}/pipelineJobs", {"displayName": "x" * 70_000}).status == 413
    assert server.post(f"{ROOT}/pipelineJobs", {"displayName": "x" * 60_000}).status != 413


def test_nobody_s_body_is_not_read(serve, tmp_path):
    server = serve(tmp_path / "home", CAIRN_SERVER_AUTHENTICATION="required")
    head = f"POST {ROOT}/pipelineJobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode()
    answer = exchange(server.url, head)
    assert status_of(answer) == 401 and b"connection: close" in answer.lower()


def test_smuggled_requests_are_refused(open_server):
    head = b"POST /cairn/v1/runs HTTP/1.1\r\nHost: localhost\r\n"
    both = head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = exchange(open_server.url, both + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1 or status_of(answer) == 400, answer
    two = head + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}"
    assert status_of(exchange(open_server.url, two)) == 400


def test_deep_json_and_json_bombs_are_refused_quickly(open_server):
    for body in (
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"displayName":' + b"9" * 1_000_000 + b"}",
    ):
        began = time.monotonic()
        answer = open_server.request("POST", f"{ROOT}/pipelineJobs", body)
        assert 400 <= answer.status < 500, answer
        assert time.monotonic() - began < 5


def test_credentials_in_the_query_are_no_credentials(serve, tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.wiring import open_cairn

    home = tmp_path / "home"
    home.mkdir()
    with open_cairn(str(home)) as cairn:
        _, token = create_token(cairn.records, "ann", {"*": "admin"})
    server = serve(home, CAIRN_SERVER_AUTHENTICATION="required")
    for name in ("access_token", "token", "key", "Authorization"):
        assert server.get("/cairn/v1/runs", **{name: token}).status == 401
    assert server.request("GET", "/cairn/v1/runs", headers={"Authorization": f"Bearer {token}"}).status == 200
    assert token not in (home / "server.log").read_text()


def test_too_many_requests_are_told_when_to_come_back(serve, tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.wiring import open_cairn

    home = tmp_path / "home"
    home.mkdir()
    with open_cairn(str(home)) as cairn:
        _, token = create_token(cairn.records, "ann", {"*": "admin"})
    server = serve(
        home,
        CAIRN_SERVER_AUTHENTICATION="required",
        CAIRN_SERVER_REQUESTS_PER_SECOND="1",
        CAIRN_SERVER_BURST="3",
    )
    server.headers = {"Authorization": f"Bearer {token}"}
    answers = [server.get("/cairn/v1/runs") for _ in range(6)]
    assert [one.status for one in answers[:3]] == [200] * 3
    refused = [one for one in answers if one.status == 429]
    assert refused and int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].json["error"]["status"] == "RESOURCE_EXHAUSTED"
    time.sleep(1.1)
    assert server.get("/cairn/v1/runs").status == 200


def test_a_revoked_token_is_refused_within_five_seconds(serve, tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.wiring import open_cairn

    home = tmp_path / "home"
    home.mkdir()
    with open_cairn(str(home)) as cairn:
        credential, token = create_token(cairn.records, "ann", {"*": "admin"})
        server = serve(home, CAIRN_SERVER_AUTHENTICATION="required")
        server.headers = {"Authorization": f"Bearer {token}"}
        assert server.get("/cairn/v1/runs").status == 200
        cairn.records.delete_credential(credential.id)
    until = time.monotonic() + 5
    while (status := server.get("/cairn/v1/runs").status) == 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert status == 401


@pytest.mark.parametrize(
    ("server", "host", "words"),
    [
        ({}, "0.0.0.0", "behind_proxy"),
        ({"CAIRN_SERVER_TLS": "local"}, "0.0.0.0", "cairn tokens create"),
        ({"CAIRN_SERVER_BEHIND_PROXY": "true"}, "0.0.0.0", "cairn tokens create"),
        ({"CAIRN_SERVER_AUTHENTICATION": "off", "CAIRN_SERVER_TLS": "local"}, "0.0.0.0", "without authentication"),
        ({"CAIRN_SERVER_AUTHENTICATION": "off"}, "::", "without authentication"),
        ({}, "", "behind_proxy"),
    ],
)
def test_beyond_loopback_an_open_server_does_not_start(tmp_path, server, host, words):
    import os

    own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent.parent / "serving.py"), f"host={json.dumps(host)}"],
        env={**own, "CAIRN_HOME": str(tmp_path / "home"), **server},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and "ConfigurationError" in done.stderr and words in done.stderr, done.stderr[-2000:]
    assert done.stdout == ""


def test_the_files_of_a_server_are_for_its_owner_alone(serve, tmp_path):
    home = tmp_path / "home"
    serve(home, CAIRN_SERVER_AUTHENTICATION="required")
    for path in (home / "server").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (home / "server" / "key").exists()
