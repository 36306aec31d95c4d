"""Crowds: submits at once of one request and of many, and gRPC calls from many channels, with a probe beside them.

    python benchmarks/serving_load.py [--submits 1000] [--threads 1000] [--channels 50] [--calls 2000]

Starts `cairn serve` on a new home and asks from the outside. Any failed call ends it with an error. The client shares
the machine's cores with the server, so rates are lower bounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from submit_latency import Served, pipeline

from cairn.api.grpc.encoding import encoded

_LIST = "/google.cloud.aiplatform.v1.PipelineService/ListPipelineJobs"


def ask(address: str, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {content[:300]!r}")
    return content


class Probe(threading.Thread):
    """Asks for the server's health every 50 ms; `worst` is the longest answer, in milliseconds."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address, self.worst, self.going = address, 0.0, True

    def run(self) -> None:
        while self.going:
            began = time.perf_counter()
            ask(self.address, "GET", "/healthz")
            self.worst = max(self.worst, (time.perf_counter() - began) * 1000)
            time.sleep(0.05)


def crowd(name: str, address: str, threads: int, count: int, one: Callable[[int], None]) -> None:
    def timed(number: int) -> float:
        began = time.perf_counter()
        one(number)
        return (time.perf_counter() - began) * 1000

    probe = Probe(address)
    probe.start()
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        taken = sorted(pool.map(timed, range(count)))
    seconds = time.perf_counter() - began
    probe.going = False
    probe.join()
    print(
        f"{name:28} {count:7,} in {seconds:6.2f} s, {count / seconds:6.0f}/s; "
        f"median {statistics.median(taken):6.0f} ms, 99 %: {taken[int(len(taken) * 0.99)]:6.0f} ms; "
        f"probe's worst {probe.worst:4.0f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--submits", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=50)
    parser.add_argument("--calls", type=int, default=2000, help="of each channel")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder) / "home") as server:
        address = urlsplit(server.url).netloc
        spec = pipeline(Path(folder) / "mark", 0)

        def submit(request: str) -> None:
            ask(address, "POST", "/cairn/v1/runs", json.dumps({"pipeline": spec, "request_id": request}).encode())

        crowd("submits of one request", address, given.threads, given.submits, lambda _: submit("one"))
        crowd("submits, all different", address, given.threads, given.submits, lambda n: submit(f"request-{n}"))
        called(address, given.channels, given.calls)
    return 0


def called(address: str, channels: int, calls: int) -> None:
    request = encoded(
        "google.cloud.aiplatform.v1.ListPipelineJobsRequest",
        {"parent": "projects/empty/locations/us-central1", "pageSize": 10},
    )
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection for each
    made = [grpc.insecure_channel(address, options) for _ in range(channels)]
    stubs = [channel.unary_unary(_LIST) for channel in made]
    crowd(
        f"gRPC over {channels} connections",
        address,
        channels,
        channels * calls,
        lambda number: stubs[number % channels](request, timeout=30),
    )
    for channel in made:
        channel.close()


if __name__ == "__main__":
    sys.exit(main())
