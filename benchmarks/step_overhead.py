"""What a step costs on the process executor alone: no engine, no records.

    python benchmarks/step_overhead.py [--python ENVIRONMENT/bin/python] [--steps 300] [--rounds 5]

Without --python an environment with kfp is made by uv in a temporary directory. Every step is a process of its own with
its own directory, logs and published exit. CPU is that of the warm parent, the supervisors and the steps.
"""

import argparse
import itertools
import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cairn.domain.resources import Resources
from cairn.engine.ports import Environment, ProcessSpec, StartAttempt
from cairn.executors.process import ProcessExecutor

KFP = "kfp==2.17.0"
SOURCE = """
import kfp
from kfp import dsl
from kfp.dsl import *
from typing import *

def add(a: int, b: int) -> int:
    return a + b

"""
FRESH = {"PYTHONUNBUFFERED": ""}  # a start-up variable: the step takes a fresh process


def make_environment(directory: Path) -> str:
    uv = shutil.which("uv") or [sys.executable, "-m", "uv"]
    command = [uv] if isinstance(uv, str) else uv
    python = str(directory / "environment" / "bin" / "python")
    subprocess.run([*command, "venv", "-q", "--python", sys.executable, str(directory / "environment")], check=True)
    install = [*command, "pip", "install", "-q", "--python", python, "--no-deps", "--compile-bytecode", KFP]
    subprocess.run(install, check=True)
    return python


def requests(root: Path, environment: Environment, kind: str, count: int):
    for number in range(count):
        directory = root / f"{kind}-{time.monotonic_ns()}-{number}"
        directory.mkdir()
        executor_input = {
            "inputs": {"parameterValues": {"a": 1, "b": number}},
            "outputs": {
                "parameters": {"Output": {"outputFile": f"{directory}/out/Output"}},
                "outputFile": f"{directory}/out/executor_output.json",
            },
        }
        arguments = ("--executor_input", json.dumps(executor_input), "--function_to_execute", "add")
        if kind == "command":
            process = ProcessSpec(argv=("true",), environment=environment)
        else:
            variables = FRESH if kind == "fresh" else {}
            process = ProcessSpec((), environment, variables, call_source=SOURCE, call_arguments=arguments)
        yield StartAttempt(
            uid=directory.name,
            directory=str(directory),
            processes=(process,),
            resources=Resources(),
            create_directories=(f"{directory}/out",),
        )


def measure(root: Path, environment: Environment, kind: str, concurrency: int, count: int):
    """(milliseconds per step from start to exit, steps per second, milliseconds of CPU per step)."""
    executor = ProcessExecutor()
    executor.warm(environment, concurrency)
    run(executor, requests(root, environment, kind, concurrency * 2), concurrency)
    prepared = list(requests(root, environment, kind, count))
    began = time.perf_counter()
    latencies = run(executor, iter(prepared), concurrency)
    elapsed = time.perf_counter() - began
    busy = cpu_of_descendants()
    executor.close()
    return statistics.median(latencies) * 1e3, count / elapsed, busy / (count + concurrency * 2) * 1e3


def run(executor: ProcessExecutor, upcoming, concurrency: int) -> list[float]:
    started: dict[str, float] = {}
    latencies = []
    for request in itertools.islice(upcoming, concurrency):
        started[request.uid] = time.perf_counter()
        executor.start(request)
    while started:
        select.select([executor.fileno()], [], [])
        for ended in executor.collect():
            assert ended.exit.code == 0, ended
            latencies.append(time.perf_counter() - started.pop(ended.uid))
            if (request := next(upcoming, None)) is not None:
                started[request.uid] = time.perf_counter()
                executor.start(request)
    return latencies


def cpu_of_descendants() -> float:
    """Seconds that the executor's processes have used, ended ones included."""
    total = 0.0
    queue = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    while queue:
        pid = queue.pop()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        queue += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="interpreter of an environment with kfp")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-benchmark-") as name:
        root = Path(name)
        python = arguments.python or make_environment(root)
        environment = Environment(key="benchmark", python=python)
        print(f"{'step':<10}{'at once':>8}{'ms a step':>12}{'(spread)':>16}{'steps/s':>10}{'CPU ms':>9}")
        for kind, concurrency in itertools.product(("forked", "fresh", "command"), (1, 2)):
            count = arguments.steps if kind != "fresh" else max(10, arguments.steps // 10)
            rounds = [measure(root, environment, kind, concurrency, count) for _ in range(arguments.rounds)]
            latency, rate, cpu = ([one[column] for one in rounds] for column in range(3))
            spread = f"{min(latency):.2f} to {max(latency):.2f}"
            print(
                f"{kind:<10}{concurrency:>8}{statistics.median(latency):>12.2f}{spread:>16}"
                f"{statistics.median(rate):>10.0f}{statistics.median(cpu):>9.2f}"
            )


if __name__ == "__main__":
    main()
