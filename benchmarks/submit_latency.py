"""From asking to the first step's start: `cairn run`'s engine against a server, over REST and gRPC.

    python benchmarks/submit_latency.py [--rounds 15] [--limit 150]

What is measured, with a small pipeline and one of 300 KB:

- embedded: an engine in this process, as `cairn run` has it once its imports are done, from the pipeline's text to the
  step's start
- rest, grpc: a server that has run before, from before the request is sent to the step's start
- cold server: `cairn serve` starts, and the first request of its life; without the start

A step notes its own first moment, so every figure ends at the same place. The ways take turns, so that whatever else
the machine does hits all of them. Medians in milliseconds, the smallest and the largest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from cairn.api.grpc.encoding import encoded
from cairn.domain.runs import Submission
from cairn.spec.load import load_text
from cairn.wiring import Cairn, open_cairn

_PARENT = "projects/bench/locations/us-central1"
_METHOD = "/google.cloud.aiplatform.v1.PipelineService/CreatePipelineJob"
_REQUEST = "google.cloud.aiplatform.v1.CreatePipelineJobRequest"
_IMAGES = '[images]\n"*" = "host"\n'


def pipeline(mark: Path, size: int) -> dict[str, Any]:
    """One step that leaves a file `mark`, in a pipeline of about `size` bytes."""
    others = range(size // 1200)  # of components that no task uses
    command = ["sh", "-c", f"date +%s.%N > {mark}.tmp && mv {mark}.tmp {mark}"]
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "pipelineInfo": {"name": "latency"},
        "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp"}, "taskInfo": {"name": "a"}}}}},
        "components": {
            "comp": {"executorLabel": "exec"},
            **{f"comp-{number}": {"executorLabel": f"exec-{number}"} for number in others},
        },
        "deploymentSpec": {
            "executors": {
                "exec": _container(command),
                **{f"exec-{number}": _container(["sh", "-c", f"echo {'x' * 1000}"]) for number in others},
            }
        },
    }


def _container(command: list[str]) -> dict[str, Any]:
    return {"container": {"image": "shell", "command": command}}


def started(mark: Path, began: float) -> float:
    """Milliseconds from `began` until the step started."""
    until = time.time() + 30
    while not mark.exists():
        if time.time() > until:
            raise SystemExit("a step has not started within 30 s")
        time.sleep(0.001)
    return (float(mark.read_text()) - began) * 1000


class Embedded:
    def __init__(self, cairn: Cairn) -> None:
        self.cairn = cairn
        self.engine = cairn.engine()

    def __call__(self, spec: dict[str, Any], mark: Path) -> float:
        text = json.dumps(spec)
        began = time.time()
        read = load_text(text, origin="benchmark")
        run = self.cairn.runs.submit(read, Submission(settings=self.cairn.run_settings()))
        self.cairn.runs.take(self.engine, run, pipeline=read)
        self.engine.run_until_done()
        return started(mark, began)


class Rest:
    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def __call__(self, spec: dict[str, Any], mark: Path) -> float:
        content = json.dumps({"pipelineSpec": spec}).encode()
        began = time.time()
        self.connection.request("POST", f"/v1/{_PARENT}/pipelineJobs", content, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {body[:300]!r}")
        return started(mark, began)


class Grpc:
    def __init__(self, url: str) -> None:
        channel = grpc.insecure_channel(urlsplit(url).netloc, [("grpc.max_receive_message_length", -1)])
        grpc.channel_ready_future(channel).result(20)
        self.call = channel.unary_unary(_METHOD)

    def __call__(self, spec: dict[str, Any], mark: Path) -> float:
        content = encoded(_REQUEST, {"parent": _PARENT, "pipelineJob": {"pipelineSpec": spec}})
        began = time.time()
        self.call(content, timeout=30)
        return started(mark, began)


class Served:
    """`cairn serve` on a home of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        (home / "config.toml").write_text(_IMAGES)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cairn", "serve", "--port", "0", "--json", "--quiet"],
            env={**os.environ, "CAIRN_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=150.0, help="ms that a server may add")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(Path(folder), given.rounds, given.limit)


def report(folder: Path, rounds: int, limit: float) -> int:
    (folder / "embedded").mkdir()
    (folder / "embedded" / "config.toml").write_text(_IMAGES)
    missed = 0
    with open_cairn(str(folder / "embedded")) as cairn, Served(folder / "served") as server:
        ways: dict[str, Callable[[dict[str, Any], Path], float]] = {
            "embedded": Embedded(cairn), "rest": Rest(server.url), "grpc": Grpc(server.url)
        }  # fmt: skip
        for name, size in (("small", 0), ("300 KB", 300_000)):
            taken = measured(folder, ways, size, rounds)
            base = statistics.median(taken["embedded"])
            for way, values in taken.items():
                added = statistics.median(values) - base
                missed += added > limit
                print(line(f"{name}: {way}", values) + (f"   {added:+.1f} ms" if way != "embedded" else ""))
    for way, made in (("rest", Rest), ("grpc", Grpc)):
        values = []
        for number in range(min(3, rounds)):
            with Served(folder / f"cold-{way}-{number}") as server:
                mark = folder / f"cold-{way}-{number}.mark"
                values.append(made(server.url)(pipeline(mark, 0), mark))
        print(line(f"cold server: {way}", values))
    return 1 if missed else 0


def measured(
    folder: Path, ways: dict[str, Callable[[dict[str, Any], Path], float]], size: int, rounds: int
) -> dict[str, list[float]]:
    """By way; the first round is not counted."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, ask in ways.items():
            mark = folder / f"{way}-{size}-{number}"
            value = ask(pipeline(mark, size), mark)
            if number:
                taken[way].append(value)
    return taken


def line(name: str, values: list[float]) -> str:
    return f"{name:20} {statistics.median(values):8.1f} ms  ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main())
