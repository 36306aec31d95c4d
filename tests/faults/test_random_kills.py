"""While a run goes on, steps, waiters, warm parents, whole groups and engines are killed at random, seeded."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest
from harness import Case, Place, Running, command_line, parent_of, processes_of

from cairn.domain.states import RunState

OUTPUTS = {"wide": [number * number for number in range(12)], "lightweight": 27}
ENGINES_AT_MOST = 12


@pytest.mark.seeds(2)
def test_seed(shared_place: Place, seed: int) -> None:
    print(f"seed {seed}: pytest tests/faults/test_random_kills.py --fault-seed {seed}")
    chance = random.Random(seed)
    pipeline = chance.choice(sorted(OUTPUTS))
    case = Case(shared_place, f"random-{seed}", pipeline)
    shots = [(chance.random() * 0.1, chance.choice(sorted(VICTIMS))) for _ in range(chance.randint(1, 5))]
    print(f"{pipeline}: {shots}")
    executed: dict[str, int] = {}
    for _ in range(ENGINES_AT_MOST):
        running = case.start() if case.find() is None else case.start_resume()
        shoot(case, running, shots, chance)
        ended = running.wait(60)
        executions = case.executions()
        assert {path: executions[path] for path in executed} == executed, "a committed result was repeated"
        if case.find() is not None and case.state() is RunState.SUCCEEDED:
            break
        executed = {path: executions[path] for path in case.committed()}
    else:
        raise AssertionError(f"not ended after {ENGINES_AT_MOST} engines: {ended}")
    case.check(outputs={"Output": OUTPUTS[pipeline]})


def shoot(case: Case, running: Running, shots: list[tuple[float, str]], chance: random.Random) -> None:
    """Fire while the engine lives; what is left is for the next one."""
    while shots and running.alive:
        pause, kind = shots.pop(0)
        time.sleep(pause)
        victims = seen(kind, case, running)
        if victims:
            victim = chance.choice(sorted(victims))
            print(f"kill {kind} {victim}: {command_line(victim)}")
            with contextlib.suppress(ProcessLookupError):
                if kind == "group":
                    os.killpg(victim, signal.SIGKILL)
                else:
                    os.kill(victim, signal.SIGKILL)


def seen(kind: str, case: Case, running: Running) -> list[int]:
    """Processes of the kind, as soon as there are any."""
    victims: list[int] = []
    while running.alive and not victims:
        if case.find() is not None:
            victims = VICTIMS[kind](case, running)
        time.sleep(0.002)
    return victims


def steps(case: Case, running: Running) -> list[int]:
    return [step for _, step in case.waiters() if step]


def waiters(case: Case, running: Running) -> list[int]:
    return [waiter for waiter, _ in case.waiters() if waiter]


def warm_parents(case: Case, running: Running) -> list[int]:
    return [
        pid
        for pid in processes_of(case.mark)
        if "launcher_main" in command_line(pid) and parent_of(pid) in (running.pid, 1)
    ]


def engines(case: Case, running: Running) -> list[int]:
    return [running.pid] if running.alive else []


VICTIMS = {"step": steps, "waiter": waiters, "warm parent": warm_parents, "group": steps, "engine": engines}
