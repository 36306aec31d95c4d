"""Much of everything: output, parameters, runs at once."""

from __future__ import annotations

import re
import time
from pathlib import Path

from harness import Case, Place, processes_of

from cairn.domain.states import RunState

FLOOD_PEAK_BYTES = 300 << 20
LOG_LIMIT = 64 << 20


def test_a_flood_of_output_is_cut_and_marked(place: Place) -> None:
    """200 MB in lines, one line of 100 MB, 10 MB of random bytes; neither the engine nor a waiter grows with it."""
    case = Case(place, "flood", "flooding")
    case.parameters = {}
    running = case.start()
    peak = 0
    while running.alive:
        peak = max(peak, *(resident(pid) for pid in processes_of(case.mark)), 0)
        time.sleep(0.05)
    ended = running.wait(60)
    assert ended.status == 0, ended
    assert peak < FLOOD_PEAK_BYTES
    case.find()
    [log] = (place.home / "runs" / case.uid).rglob("stdout.log")
    assert log.stat().st_size < LOG_LIMIT * 1.1
    with log.open("rb") as file:
        start = file.read(1000)
        file.seek(-(1 << 17), 2)
        end = file.read()
    assert start.startswith(b"xxxxxxxxxx")
    assert re.search(rb"\[cairn: \d{8,} bytes cut here, the log reached its limit\]", end), end[-300:]
    errors = log.with_name("stderr.log")
    assert errors.stat().st_size >= 10 << 20
    assert errors.read_bytes().endswith(b"last\n"), "binary output is kept as it is"
    case.check()


def test_a_parameter_of_100_mb_is_handed_on(shared_place: Place) -> None:
    case = Case(shared_place, "heavy", "heavy", size=100_000_000)
    del case.parameters["trace"]
    ended = case.run(120)
    assert ended.status == 0, ended
    assert ended.result["outputs"] == {"Output": 100_000_000}
    case.check()
    database = sum(path.stat().st_size for path in shared_place.home.glob("cairn.db*"))
    assert database < 50 << 20, "a large parameter does not belong into the database"


def test_fifty_runs_at_once_lose_nothing(place: Place) -> None:
    began = time.monotonic()
    cases = [Case(place, f"many-{number}", "single", number=number) for number in range(50)]
    running = [case.start() for case in cases]
    for number, (case, process) in enumerate(zip(cases, running, strict=True)):
        ended = process.wait(200)
        assert ended.status == 0, ended
        assert ended.result["outputs"] == {"Output": number + 1}
        assert case.executions() == {"first": 1}
    print(f"fifty runs in {time.monotonic() - began:.1f} s")
    for case in cases:
        assert case.state() is RunState.SUCCEEDED
        case.check()


def resident(pid: int) -> int:
    """Bytes of anonymous memory."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
