"""Who asks for a run's logs and takes them slowly, or not at all."""

import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

_MIB = 1 << 20


def resident(pid):
    """Bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_a_long_log_is_read_no_faster_than_it_is_taken(server, pipeline_of):
    long = f"yes 0123456789abcde | head -c {20 * _MIB}"
    job = server.post("/v1/projects/p/locations/local/pipelineJobs", {"pipelineSpec": pipeline_of("long", write=long)})
    name = job.json["name"]
    assert server.ended(name)["state"] == "PIPELINE_STATE_SUCCEEDED"
    path = f"/cairn/v1/runs/{name.rpartition('/')[2]}"
    assert len(server.get(f"{path}/logs").content) == 20 * _MIB
    before = resident(server.process.pid)
    address = urlsplit(server.url)
    with ExitStack() as stack:
        for _ in range(10):
            reader = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            reader.sendall(f"GET {path}/events?logs=true HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        until, grown = time.monotonic() + 3, 0
        while time.monotonic() < until:
            grown = max(grown, resident(server.process.pid) - before)
            time.sleep(0.05)
        assert grown < 60 * _MIB, grown
    whole = server.get(f"{path}/events", logs="true").content
    assert whole.count(b"0123456789abcde") == 20 * _MIB // 16 and b"event: end" in whole


def test_only_who_watches_a_run_is_woken_by_it(server, pipeline_of):
    """Five hundred who watch a run that sleeps cost the others next to nothing."""

    def submit(name, **steps):
        body = {"pipelineSpec": pipeline_of(name, **steps)}
        return server.post("/v1/projects/p/locations/local/pipelineJobs", body).json["name"]

    def seconds():
        began = time.monotonic()
        for name in [submit(f"burst-{number}", go="true") for number in range(30)]:
            server.ended(name)
        return time.monotonic() - began

    def used():
        ran = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(ran[11]) + int(ran[12])) / os.sysconf("SC_CLK_TCK")

    sleeping = submit("sleeping", sleep="sleep 60").rpartition("/")[2]
    seconds()
    before = used()
    seconds()
    alone = used() - before
    address = urlsplit(server.url)
    with ExitStack() as stack:
        for _ in range(500):
            reader = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            path = f"/cairn/v1/runs/{sleeping}/events"
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        time.sleep(3)
        before = used()
        seconds()
        assert (watched := used() - before) < alone + 1.5, (watched, alone)
    server.post(f"/cairn/v1/runs/{sleeping}:cancel", {"kill": True})
