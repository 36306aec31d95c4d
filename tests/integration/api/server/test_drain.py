"""How a server ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cairn.api.access import READ_ANY
from cairn.api.binding import bind
from cairn.api.http import Call, Reply, Route, json_reply
from cairn.errors import InputRefused


class Slow:
    """A handler that waits until it may go on."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()
        self.route = Route("GET", "/test/slow", self.handle, READ_ANY, "test.slow")

    def handle(self, _call: Call) -> Reply:
        self.begun.set()
        self.free.wait(20)
        return json_reply({"whole": True})


def test_what_runs_is_finished_and_nothing_new_is_taken(host, ask_health):
    slow = Slow()
    running = host([slow.route])
    with ThreadPoolExecutor(2) as threads, running.connect() as idle:
        ask_health(idle)
        asked = threads.submit(running.get, "/test/slow")
        assert slow.begun.wait(5)
        running.server.stop()
        assert idle.recv(1) == b""
        with pytest.raises(OSError):
            running.connect(timeout=1)
        assert running.server.context.draining
        slow.free.set()
        assert asked.result() == (200, b'{"whole":true}')
        running.thread.join(5)
        assert not running.thread.is_alive()


def test_the_drain_has_an_end(host):
    slow = Slow()
    running = host([slow.route], drain_seconds=0.3)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(running.get, "/test/slow")
        assert slow.begun.wait(5)
        running.server.stop()
        with pytest.raises(OSError):
            asked.result(5)
        slow.free.set()


def test_event_streams_are_told(host):
    async def events(_call: Call) -> Reply:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(60)

        return Reply(body=chunks(), content_type="text/event-stream")

    running = host([Route("GET", "/test/events", events, READ_ANY, "test.events")])
    client = running.client()
    client.request("GET", "/test/events")
    answer = client.getresponse()
    assert answer.readline() == b"data: 1\n"
    began = time.monotonic()
    running.server.stop()
    assert b"event: draining\n" in answer.read()
    running.thread.join(5)
    assert time.monotonic() - began < 2


def test_a_grpc_watch_hears_of_it_and_its_channel_ends(host):
    running = host()
    with grpc.insecure_channel(running.url[7:]) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        began = time.monotonic()
        running.server.stop()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert list(watch) == []
        running.thread.join(5)
        assert time.monotonic() - began < 3


def test_a_port_in_use_names_its_holder(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputRefused, match="is in use") as refused:
            host(port=port)
    assert f"127.0.0.1:{port}" in str(refused.value)
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in str(refused.value)


def test_an_address_of_elsewhere_is_refused():
    with pytest.raises(InputRefused, match="not an address of this machine"):
        bind("192.0.2.1", 0)
    with pytest.raises(InputRefused, match="cannot be listened on"):
        bind("no.such.host.invalid", 0)
    with pytest.raises(InputRefused):
        bind("127.0.0.1", 70000)


SERVE = """
import sys, threading, time
from cairn.api.access import READ_ANY
from cairn.api.http import Route, json_reply
from cairn.api.server import Server
from cairn.wiring import open_cairn

def slow(call):
    print("slow", flush=True)
    time.sleep(30)
    return json_reply({})

server = Server(open_cairn(), drain_seconds=20)
server.application.router.add(Route("GET", "/test/slow", slow, READ_ANY, "test.slow"))
server.stop_on_signals()
server.run(lambda: print(server.url, flush=True))
"""


def test_a_second_signal_ends_it_at_once(cairn_home):
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().strip().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET /test/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert process.stdout.readline() == "slow\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.poll() is None
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 128 + signal.SIGTERM
            assert time.monotonic() - began < 1
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
