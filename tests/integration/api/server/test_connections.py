"""What a client may hold of the server, and for how long."""

import asyncio
import http.client
import logging
import os
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import h2.connection
import h2.events
import httpx
import pytest

from cairn.api.access import READ_ANY, WRITE_ANY
from cairn.api.connections import Limits
from cairn.api.http import Call, Reply, Route, json_reply


def read_to_end(sock: socket.socket) -> bytes:
    found = b""
    while chunk := sock.recv(65536):
        found += chunk
    return found


def counted(call: Call) -> Reply:
    return json_reply({"size": len(call.content)})


COUNT = Route("POST", "/test/count", counted, WRITE_ANY, "test.count", limit=1024 * 1024)


def test_a_head_that_does_not_come_ends_the_connection(host):
    running = host(limits=Limits(head=0.4))
    with running.connect() as sock:
        began = time.monotonic()
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for _ in range(100):
            time.sleep(0.05)
            try:
                sock.sendall(b"a")
            except OSError:
                break
        assert 0.2 < time.monotonic() - began < 3


def test_silence_ends_a_connection(host, ask_health):
    running = host(limits=Limits(handshake=0.3, idle=0.3))
    with running.connect() as silent, running.connect() as idle:
        began = time.monotonic()
        ask_health(idle)
        assert silent.recv(1) == b""
        assert idle.recv(1) == b""
        assert time.monotonic() - began < 3


def test_a_connection_at_work_is_not_idle(host):
    def slow(_call: Call) -> Reply:
        time.sleep(1.0)
        return json_reply({})

    running = host([Route("GET", "/test/slow", slow, READ_ANY, "test.slow")], limits=Limits(idle=0.2, head=0.2))
    assert running.get("/test/slow")[0] == 200


def test_idle_connections_make_room_for_new_ones(host, ask_health):
    running = host(limits=Limits(connections=8))
    with ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(running.connect())
            ask_health(sock)
        for _ in range(20):
            assert running.get("/healthz", timeout=5)[0] == 200


def test_beyond_the_number_of_connections_new_ones_wait_for_those_at_work(host):
    free = threading.Event()

    def slow(_call: Call) -> Reply:
        free.wait(20)
        return json_reply({})

    running = host([Route("GET", "/test/slow", slow, READ_ANY, "test.slow")], limits=Limits(connections=4))
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(running.get, "/test/slow") for _ in range(8)]
        time.sleep(0.5)
        assert not any(one.done() for one in asked)
        free.set()
        assert [one.result()[0] for one in asked] == [200] * 8


def test_a_head_beyond_its_limit_is_refused(host):
    running = host()
    with running.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 431")


def test_a_body_beyond_its_limit_is_refused_before_it_is_sent(host):
    running = host([COUNT])
    client = running.client()
    client.putrequest("POST", "/test/count")
    client.putheader("Content-Length", str(10**10))
    client.endheaders()
    answer = client.getresponse()
    assert answer.status == 413
    assert b"larger than" in answer.read()


@pytest.mark.parametrize("http2", [False, True])
def test_the_refusal_of_a_long_body_is_read_by_who_sends_it(host, http2):
    """Many more chunks than an application's queue holds, none of them read."""
    running = host([COUNT])

    def body():
        for _ in range(400):
            yield b"x" * 16384

    if http2:
        pytest.importorskip("h2")
    with httpx.Client(http1=not http2, http2=http2, timeout=20) as client:
        for _ in range(3):
            answer = client.post(f"{running.url}/test/count", content=body())
            assert answer.status_code == 413
        assert client.get(f"{running.url}/healthz").status_code == 200
    assert len_of_connections(running) < 10


def len_of_connections(running) -> int:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = [one for one in threading.enumerate() if one.name.startswith("api")]
        if len(left) <= 8:
            break
    return len(left)


def test_a_body_within_its_limit_arrives_whole(host):
    running = host([COUNT])
    for size in (0, 1, 65536, 1024 * 1024):
        assert httpx.post(f"{running.url}/test/count", content=b"x" * size).json() == {"size": size}


def test_many_requests_on_one_connection(host):
    running = host()
    client = running.client()
    for _ in range(3000):
        client.request("GET", "/healthz")
        answer = client.getresponse()
        assert answer.status == 200
        answer.read()


def test_a_thousand_at_once(host):
    """Each on a connection of its own, to a handler that takes a worker."""
    running = host([COUNT])

    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=50) as client:
            answers = await asyncio.gather(
                *(client.post(f"{running.url}/test/count", content=b"x" * 1000) for _ in range(1000))
            )
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 1000


def test_probes_are_answered_while_every_worker_is_busy(host):
    free = threading.Event()

    def slow(_call: Call) -> Reply:
        free.wait(20)
        return json_reply({})

    running = host([Route("GET", "/test/slow", slow, READ_ANY, "test.slow")])
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(running.get, "/test/slow") for _ in range(20)]
        time.sleep(0.3)
        began = time.monotonic()
        assert running.get("/healthz")[0] == 200
        assert time.monotonic() - began < 0.5
        free.set()
        assert all(one.result()[0] == 200 for one in asked)


def test_defects_are_not_told_to_clients(host, caplog):
    def broken(_call: Call) -> Reply:
        raise ValueError("a password")

    running = host([Route("GET", "/test/broken", broken, READ_ANY, "test.broken")])
    status, content = running.get("/test/broken")
    assert status == 500
    assert b"password" not in content
    assert b"Traceback" not in content
    assert any(record.exc_info for record in caplog.records)  # the operator sees it


def test_one_line_for_each_request_and_no_secret_in_it(host, caplog):
    caplog.set_level(logging.INFO, "cairn.access")
    running = host([COUNT])
    httpx.post(f"{running.url}/test/count?access_token=hidden", content=b"hidden", headers={"x-goog-api-key": "hidden"})
    running.stop()  # a line is written once the answer is out
    lines = [record.getMessage() for record in caplog.records if record.name == "cairn.access"]
    assert len(lines) == 1
    assert lines[0].startswith("test.count POST 200 ")
    assert "hidden" not in caplog.text


def test_web_sockets_are_refused(host):
    running = host()
    with running.connect() as sock:
        sock.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert sock.recv(65536).startswith(b"HTTP/1.1 403")


def test_what_is_no_http_is_no_harm(host):
    running = host()
    for nonsense in (
        b"\x00" * 100,
        b"SSH-2.0-x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense" * 10,
        b"\x16\x03\x01",
    ):
        with running.connect() as sock:
            sock.sendall(nonsense)
            sock.shutdown(socket.SHUT_WR)
            read_to_end(sock)
    assert running.get("/healthz")[0] == 200


def test_a_client_that_takes_nothing_is_let_go(host):
    ended = threading.Event()

    async def much(_call: Call) -> Reply:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.set()

        return Reply(body=chunks(), content_type="application/octet-stream")

    running = host([Route("GET", "/test/much", much, READ_ANY, "test.much")], limits=Limits(send=0.5))
    with running.connect() as sock:
        sock.sendall(b"GET /test/much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended.wait(10)


def test_a_client_that_goes_ends_its_stream(host):
    ended = threading.Event()

    async def events(_call: Call) -> Reply:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"data: 1\n\n"
                await asyncio.sleep(60)
            finally:
                ended.set()

        return Reply(body=chunks(), content_type="text/event-stream")

    running = host([Route("GET", "/test/events", events, READ_ANY, "test.events")])
    with running.connect() as sock:
        sock.sendall(b"GET /test/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in sock.recv(65536)
    assert ended.wait(5)


def test_pipelined_requests_are_answered_in_order(host):
    running = host([COUNT])
    with running.connect() as sock:
        one = b"POST /test/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
        sock.sendall(one % (1, b"x") + one % (2, b"xx") + one % (3, b"xxx"))
        answer = http.client.HTTPResponse(sock)
        found = b""
        while found.count(b'"size"') < 3:
            found += sock.recv(65536)
        answer.close()
    assert [found.index(b'"size":%d' % size) for size in (1, 2, 3)] == sorted(
        found.index(b'"size":%d' % size) for size in (1, 2, 3)
    )


def test_resets_without_end_are_ended(host):
    """Streams that are opened and taken back at once (CVE-2023-44487)."""
    running = host([COUNT])
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/test/count"), (":authority", "localhost")]
    with running.connect() as sock:
        ended = False
        for number in range(1, 20001, 2):
            connection.send_headers(number, headers)
            connection.reset_stream(number)
            if number % 400 == 1:
                try:
                    sock.sendall(connection.data_to_send())
                except OSError:
                    ended = True
                    break
        if not ended:
            read_to_end(sock)  # … to which it comes
        assert number > 3000
    assert running.get("/healthz")[0] == 200


def test_an_idle_http_2_connection_is_told_to_go(host):
    running = host(limits=Limits(idle_http2=0.3))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    with running.connect() as sock:
        sock.sendall(connection.data_to_send())
        events = connection.receive_data(read_to_end(sock))
    gone = [event for event in events if isinstance(event, h2.events.ConnectionTerminated)]
    assert [event.error_code for event in gone] == [0]


def test_connections_leave_no_descriptors_and_no_tasks(host):
    running = host([COUNT])
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("this system does not tell its descriptors")
    running.get("/healthz")
    before = len(os.listdir(handles))
    for _ in range(300):
        running.get("/healthz")
        with running.connect() as sock:
            sock.sendall(b"POST /test/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
    deadline = time.monotonic() + 10
    while len(os.listdir(handles)) > before + 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(os.listdir(handles)) <= before + 5
    counting = asyncio.run_coroutine_threadsafe(_tasks(), running.server._loop)
    assert counting.result(5) < 12


async def _tasks() -> int:
    return len(asyncio.all_tasks())


def test_the_event_loop_is_free_while_workers_work(host):
    """Probes, deadlines and other connections depend on it: no handler may hold it, however much it computes."""

    def compute(_call: Call) -> Reply:
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            sum(range(1000))
        return json_reply({})

    running = host([Route("GET", "/test/compute", compute, READ_ANY, "test.compute")])
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            lags.append(time.monotonic() - began - 0.005)

    loop = running.server._loop
    watching = asyncio.run_coroutine_threadsafe(watch(), loop)
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(running.get, "/test/compute") for _ in range(60)]
        assert all(one.result()[0] == 200 for one in answers)
    watching.cancel()
    assert statistics.median(lags) < 0.05
