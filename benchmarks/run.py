"""Cairn's figures and its peers', measured side by side.

    python benchmarks/run.py [--only NAME] [--rounds N] [--no-peers] [--json FILE]

Everything is timed from the outside, from the shell to the exit; the rounds take the contestants in turn, so that a
machine that is slow for a while is slow for all of them. Peers are installed on first use into virtual environments of
their own (`--cache`); one that cannot be installed is left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measure import CommandFailed, Once, Series, run  # noqa: E402

PIPELINES = HERE / "pipelines"
CHAIN = 20
LOOP = 200
LONG_LOOP = 10_000
ARTIFACT_BYTES = 512 << 20
PEERS = {"kfp": "kfp==2.17.0", "luigi": "luigi>=3.8", "metaflow": "metaflow>=2.19"}


@dataclass
class Row:
    """One contestant's values of one figure. `limit` is what Cairn promises; None for a peer."""

    figure: str
    who: str
    series: Series
    unit: str = "s"
    limit: float | None = None

    @property
    def holds(self) -> bool | None:
        return None if self.limit is None else self.series.median <= self.limit


@dataclass
class Bench:
    """Where and how often it is measured, and who takes part."""

    home: Path
    cache: Path
    rounds: int
    with_peers: bool
    rows: list[Row] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def cairn(self, pipeline: str, *words: str) -> Once:
        return run(
            [*cairn_command(), "run", str(PIPELINES / f"{pipeline}.yaml"), "--quiet", "--json", *words],
            {"CAIRN_HOME": str(self.home)},
        )

    def items(self, count: int) -> list[str]:
        path = self.home.parent / f"items-{count}.json"
        path.write_text(json.dumps({"items": list(range(count))}))
        return ["--params", str(path)]

    def peer(self, script: str, package: str, *words: object) -> Once | None:
        """None when the peer cannot be installed or does not succeed: said once, at the end."""
        if not self.with_peers or script in self.missing:
            return None
        try:
            python = self._python(package) if package else sys.executable
            return run([python, str(HERE / "peers" / f"{script}.py"), *map(str, words)])
        except (CommandFailed, OSError, subprocess.CalledProcessError) as error:
            self.missing[script] = str(error)
            return None

    def _python(self, package: str) -> str:
        place = self.cache / package
        python = place / "bin" / "python"
        if not python.exists():
            say(f"installing {PEERS[package]} into {place}")
            subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "-p", "3.11", str(place)], check=True)
            install = [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "-q",
                "-p",
                str(python),
                PEERS[package],
                "setuptools",
            ]
            try:
                subprocess.run(install, check=True)
            except subprocess.CalledProcessError:
                shutil.rmtree(place)
                raise
        return str(python)

    def add(self, figure: str, who: str, value: float | None, *, unit: str = "s", limit: float | None = None) -> None:
        if value is None:
            return
        for row in self.rows:
            if (row.figure, row.who) == (figure, who):
                row.series.values.append(value)
                return
        self.rows.append(Row(figure, who, Series([value]), unit, limit))


CONTESTANTS: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("bare fork", "bare_fork", "", ()),
    ("luigi, forking", "luigi_forking", "luigi", ()),
    ("kfp.local, nothing installed", "kfp_local", "kfp", ()),
    ("metaflow", "metaflow_flows", "metaflow", ()),
]


def start(bench: Bench) -> None:
    """A compiled one-step pipeline, from the shell to the exit, its environment warm."""
    figure = "one step, shell to exit"
    bench.cairn("one")
    for _ in range(bench.rounds):
        bench.add(figure, "cairn", bench.cairn("one").seconds, limit=0.5)
        for who, script, package, words in CONTESTANTS[:3]:
            bench.add(figure, who, seconds(bench.peer(script, package, "chain", 1, *words)))


def chain(bench: Bench) -> None:
    """Each further step of a chain: (T(20) - T(1)) / 19."""
    figure = "each further step of a chain of 20"
    bench.cairn("chain")
    for _ in range(bench.rounds):
        longer, shorter = bench.cairn("chain").seconds, bench.cairn("one").seconds
        bench.add(figure, "cairn", 1000 * (longer - shorter) / (CHAIN - 1), unit="ms", limit=8)
        for who, script, package, words in CONTESTANTS:
            first = 2 if script == "metaflow_flows" else 1  # a flow has a start and an end
            few = seconds(bench.peer(script, package, "chain", first, *words))
            many = seconds(bench.peer(script, package, "chain", CHAIN, *words))
            if few is not None and many is not None:
                bench.add(figure, who, 1000 * (many - few) / (CHAIN - first), unit="ms")


def chain_with_installation(bench: Bench) -> None:
    """kfp.local as it is by default, a virtual environment for each step: once, since it takes so long."""
    few = seconds(bench.peer("kfp_local", "kfp", "chain", 1, "venv"))
    many = seconds(bench.peer("kfp_local", "kfp", "chain", 4, "venv"))
    if few is not None and many is not None:
        bench.add("each further step of a chain of 20", "kfp.local, installing", 1000 * (many - few) / 3, unit="ms")


def loop(bench: Bench) -> None:
    """A 200-way loop with its fan-in, from the shell to the exit."""
    figure = f"a {LOOP}-way loop with its fan-in"
    bench.cairn("loop", *bench.items(LOOP))
    for number in range(bench.rounds):
        bench.add(figure, "cairn", bench.cairn("loop", *bench.items(LOOP)).seconds, limit=1.2)
        for who, script, package, words in CONTESTANTS:
            if script != "metaflow_flows" or number == 0:  # most of a minute
                bench.add(figure, who, seconds(bench.peer(script, package, "loop", LOOP, *words)))


def long_loop(bench: Bench) -> None:
    """Whether a step costs the same in a loop of 10,000 as in one of 200, and what the engine needs."""
    bench.cairn("loop", *bench.items(1))
    shortest, short = Series(), Series()
    for _ in range(max(3, bench.rounds)):
        shortest.values.append(bench.cairn("loop", *bench.items(1)).seconds)
        short.values.append(bench.cairn("loop", *bench.items(LOOP)).seconds)
    longest = bench.cairn("loop", *bench.items(LONG_LOOP))
    for _ in range(max(3, bench.rounds)):
        short.values.append(bench.cairn("loop", *bench.items(LOOP)).seconds)
    each = (short.median - shortest.median) / (LOOP - 1)
    later = (longest.seconds - short.median) / (LONG_LOOP - LOOP)
    bench.add("each of 200 iterations", "cairn", 1000 * each, unit="ms")
    bench.add("each of 10,000 iterations", "cairn", 1000 * later, unit="ms")
    bench.add("their ratio", "cairn", later / each, unit="times", limit=1.25)
    bench.add("the engine's peak, 10,000 iterations", "cairn", longest.peak_bytes / 1e6, unit="MB", limit=300)


def cached(bench: Bench) -> None:
    """A fully cached run of 200 tasks, beyond a cached run of one step."""
    figure = "200 cached tasks, beyond one"
    bench.cairn("cached", *bench.items(LOOP))
    bench.cairn("cached-one")
    for _ in range(bench.rounds):
        many, one = bench.cairn("cached", *bench.items(LOOP)).seconds, bench.cairn("cached-one").seconds
        bench.add(figure, "cairn", many - one, limit=0.3)


def hand_on(bench: Bench) -> None:
    """512 MiB from one step to the next, against a process that writes and reads them: pair by pair."""
    figure = "512 MiB handed on, against writing and reading them"
    bench.cairn("hand-on", "size=1")
    path = bench.home.parent / "plain"

    def plain(size: int) -> float:
        os.sync()  # what others have written is not waited for while we measure
        once = run([sys.executable, str(HERE / "write_read.py"), str(path), str(size)])
        path.unlink()
        return once.seconds

    def handed_on(size: int) -> float:
        os.sync()
        once = bench.cairn("hand-on", f"size={size}")
        shutil.rmtree(bench.home / "store" / "hand-on")
        return once.seconds

    for _ in range(max(5, bench.rounds)):
        alone = plain(ARTIFACT_BYTES) - plain(1)
        steps = handed_on(ARTIFACT_BYTES) - handed_on(1)
        bench.add("512 MiB written and read by one process", "plain", alone)
        bench.add("512 MiB handed on from step to step", "cairn", steps)
        bench.add(figure, "cairn", steps / alone, unit="times", limit=1.15)


def records(bench: Bench) -> None:
    """3,000 recorded executions a second, with their artifacts and events: measured by records.py, printed as it is."""
    script = HERE / "records.py"
    if not script.exists():
        bench.missing["records"] = "benchmarks/records.py is not there"
        return
    subprocess.run([sys.executable, str(script)], check=True)


FIGURES: dict[str, Callable[[Bench], None]] = {
    "start": start,
    "chain": chain,
    "chain-installing": chain_with_installation,
    "loop": loop,
    "long-loop": long_loop,
    "cached": cached,
    "hand-on": hand_on,
    "records": records,
}


def seconds(once: Once | None) -> float | None:
    return None if once is None else once.seconds


def cairn_command() -> list[str]:
    """The installed command; in a source tree without one, its module."""
    installed = Path(sys.executable).with_name("cairn")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "import sys; from cairn.cli.main import main; sys.exit(main())"]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(bench: Bench) -> str:
    lines = [f"{'figure':52} {'who':30} {'median':>9} {'min':>9} {'max':>9} {'':5} {'promised':>9}"]
    for row in bench.rows:
        low, high = row.series.spread
        promised = "" if row.limit is None else f"≤ {row.limit:g} {'holds' if row.holds else 'DOES NOT HOLD'}"
        numbers = "".join(f" {value:9.3f}" for value in (row.series.median, low, high))
        lines.append(f"{row.figure:52} {row.who:30}{numbers} {row.unit:5} {promised}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", choices=FIGURES, action="append", help="this figure; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", type=Path, help="write the values here")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cairn-benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help="where peers are installed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-benchmarks-") as directory:
        bench = Bench(Path(directory) / "home", arguments.cache, arguments.rounds, not arguments.no_peers)
        for name in arguments.only or FIGURES:
            say(f"{name}: {FIGURES[name].__doc__}")
            FIGURES[name](bench)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(table(bench))
    for name, why in bench.missing.items():
        print(f"left out: {name}: {why.strip().splitlines()[-1][:200]}")
    if arguments.json:
        values = [vars(row) | {"series": row.series.values, "median": row.series.median} for row in bench.rows]
        arguments.json.write_text(json.dumps(values, indent=1))
    return 0 if all(row.holds is not False for row in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
