"""A server over many recorded runs: how fast it starts, lists, filters and shows.

    python benchmarks/serving.py [--runs 100000] [--url postgresql://…] [--home DIR] [--rounds 30]

Fills a home (or takes DIR as it stands), starts `cairn serve` on it and asks from the outside over one connection, as a
client does. Medians in milliseconds, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from filling import fill  # noqa: E402

from cairn.wiring import open_cairn  # noqa: E402

LIMIT = 50.0  # milliseconds
START_LIMIT = 2.0  # seconds
_PARENT = "/v1/projects/bench/locations/us-central1/pipelineJobs"
_KFP = "/apis/v2beta1/runs"


_FILTERED = {
    "state": "state=PIPELINE_STATE_FAILED",
    "display_name": 'display_name="experiment 7"',
    "label, rare": "labels.n=31",
    "label and state": "labels.team=fraud AND state=PIPELINE_STATE_FAILED",
    "create_time": 'create_time<"2026-10-01T00:00:00Z"',
}


def questions(job: str, uid: str) -> dict[str, str]:
    """What is asked, by what it is called in the table."""
    filtered = {
        f"Vertex: first page of {name}": f"{_PARENT}?pageSize=50&filter={quote(text)}"
        for name, text in _FILTERED.items()
    }
    return {
        "Vertex: first page (50)": f"{_PARENT}?pageSize=50",
        **filtered,
        "Vertex: order_by end_time": f"{_PARENT}?pageSize=50&orderBy={quote('end_time desc')}",
        "Vertex: a run's detail": f"{_PARENT}/{job}",
        "KFP: first page (50)": f"{_KFP}?page_size=50&sort_by={quote('created_at desc')}",
        "KFP: a run's detail": f"{_KFP}/{uid}",
        "Cairn: first page (50)": "/cairn/v1/runs?page_size=50",
        "Cairn: a run's detail": f"/cairn/v1/runs/{uid}",
    }


def serve(home: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """The server, once it answers, and the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "cairn", "serve", "--port", str(port), "--quiet"]
    process = subprocess.Popen(command, env={**os.environ, "CAIRN_HOME": str(home)}, stderr=subprocess.DEVNULL)
    while True:
        try:
            if ask(http.client.HTTPConnection("127.0.0.1", port), "/readyz")[0] == 200:
                return process, time.perf_counter() - began
        except OSError:
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise SystemExit("the server does not start") from None
            time.sleep(0.01)


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def measure(connection: http.client.HTTPConnection, path: str, rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        status, body = ask(connection, path)
        taken.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise SystemExit(f"{path}: {status} {body[:300]!r}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--url", default="", help="a PostgreSQL database that is empty")
    parser.add_argument("--home", type=Path, help="a home that was filled before")
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        if given.url:
            os.environ["CAIRN_RECORDS_URL"] = given.url
        if given.home is None:
            with open_cairn(str(home)) as cairn:
                print(f"{given.runs:,} runs written in {fill(cairn, given.runs):.0f} s")
        report(home, given.rounds)


def report(home: Path, rounds: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process, seconds = serve(home, port)
    try:
        print(f"{'start, until it answers':32} {seconds:8.2f} s   (limit {START_LIMIT:.0f} s)")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        [newest] = json.loads(ask(connection, "/cairn/v1/runs?page_size=1")[1])["runs"]
        for name, path in questions(newest["job_id"], newest["run_id"]).items():
            taken = measure(connection, path, rounds)
            median = statistics.median(taken)
            verdict = "" if median <= LIMIT else f"  over {LIMIT:.0f}"
            print(f"{name:32} {median:8.1f} ms  ({min(taken):.1f} to {max(taken):.1f}){verdict}")
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
