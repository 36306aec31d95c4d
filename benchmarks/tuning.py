"""Studies: how good their decisions are, and what one costs.

    .venv/bin/python benchmarks/tuning.py [--seeds 20] [--trials 100] [--only regret|cost]

Regret: Branin and Hartmann-6, minimised through StudyService and through Optuna's TPE used directly, with the same
seeds (they must be equal to the last bit), and by Optuna's random sampler. Cost: one decision, suggested and recorded,
at 1,000 past trials, beside the sampler's own ask.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from cairn.domain.clock import SystemClock
from cairn.domain.resources import Capacity
from cairn.records import open_records
from cairn.tuning.service import StudyService
from cairn.tuning.types import Measurement, Study

Objective = Callable[[dict[str, float]], float]

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
_P = (
    (1312, 1696, 5569, 124, 8283, 5886),
    (2329, 4135, 8307, 3736, 1004, 9991),
    (2348, 1451, 3522, 2883, 3047, 6650),
    (4047, 8828, 8732, 5743, 1091, 381),
)


def branin(x: dict[str, float]) -> float:
    """https://www.sfu.ca/~ssurjano/branin.html"""
    one, two = x["x1"], x["x2"]
    curve = two - 5.1 / (4 * math.pi**2) * one**2 + 5 / math.pi * one - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(one) + 10


def hartmann6(x: dict[str, float]) -> float:
    """https://www.sfu.ca/~ssurjano/hart6.html"""
    point = [x[f"x{index}"] for index in range(1, 7)]
    return -sum(
        alpha * math.exp(-sum(a * (value - p * 1e-4) ** 2 for a, p, value in zip(row, place, point, strict=True)))
        for alpha, row, place in zip(_ALPHA, _A, _P, strict=True)
    )


SIX = {f"x{index}": (0.0, 1.0) for index in range(1, 7)}
PROBLEMS: dict[str, tuple[Objective, dict[str, tuple[float, float]], float]] = {
    "Branin": (branin, {"x1": (-5.0, 10.0), "x2": (0.0, 15.0)}, 0.39788735772973816),
    "Hartmann-6": (hartmann6, SIX, -3.322368011415515),
}


def through_studies(service: StudyService, name: str, seed: int, trials: int) -> float:
    objective, space, least = PROBLEMS[name]
    spec = {
        "metrics": [{"metricId": "value", "goal": "MINIMIZE"}],
        "parameters": [
            {"parameterId": one, "doubleValueSpec": {"minValue": low, "maxValue": high}}
            for one, (low, high) in space.items()
        ],
    }
    study = service.create(Study(spec, display_name=f"{name} {seed}", seed=seed))
    best = math.inf
    for _ in range(trials):
        [trial] = service.suggest(study, 1).trials
        value = objective({one: float(found) for one, found in trial.parameters.items()})
        service.complete(trial, Measurement({"value": value}))
        best = min(best, value)
    return best - least


def through_optuna(name: str, sampler: optuna.samplers.BaseSampler, trials: int) -> float:
    objective, space, least = PROBLEMS[name]
    study = optuna.create_study(sampler=sampler)
    study.optimize(
        lambda trial: objective({one: trial.suggest_float(one, *bounds) for one, bounds in space.items()}),
        n_trials=trials,
    )
    return study.best_value - least


def regret(directory: Path, seeds: int, trials: int) -> bool:
    good = True
    records = open_records(directory / "regret.db", capacity=Capacity(1000, 1 << 30, 0))
    service = StudyService(records, SystemClock())
    for name in PROBLEMS:
        ours = [through_studies(service, name, seed, trials) for seed in range(seeds)]
        theirs = [through_optuna(name, optuna.samplers.TPESampler(seed=seed), trials) for seed in range(seeds)]
        chance = [through_optuna(name, optuna.samplers.RandomSampler(seed=seed), trials) for seed in range(seeds)]
        ratio = statistics.median(chance) / statistics.median(ours)
        equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
        print(
            f"{name}, {trials} trials, {seeds} seeds: median regret {statistics.median(ours):.5f}, "
            f"Optuna's TPE directly {statistics.median(theirs):.5f} (equal in {equal} of {seeds}), "
            f"random {statistics.median(chance):.5f}: {ratio:.1f} times better"
        )
        good = good and equal == seeds and ratio >= 3
    records.close()
    return good


def cost(directory: Path, past: int = 1000, decisions: int = 60) -> bool:
    """The ask alone is what Optuna takes for a suggestion of the same study, with nothing recorded."""
    records = open_records(directory / "cost.db", capacity=Capacity(1000, 1 << 30, 0))
    service = StudyService(records, SystemClock())
    spec = {
        "metrics": [{"metricId": "value", "goal": "MINIMIZE"}],
        "parameters": [{"parameterId": one, "doubleValueSpec": {"maxValue": 1}} for one in SIX],
    }
    study = service.create(Study(spec, display_name="cost", seed=1))
    random = optuna.samplers.RandomSampler(seed=1)._rng.rng
    for _ in range(past):
        values = {one: float(random.rand()) for one in SIX}
        service.create_trial(study, values, final=Measurement({"value": hartmann6(values)}))
    again = StudyService(records, SystemClock())  # as after a restart
    begun = time.perf_counter()
    [trial] = again.suggest(study, 1).trials
    rebuilt = time.perf_counter() - begun
    asks: list[float] = []
    _time_asks(again, study, asks)
    suggesting, completing = [], []
    for _ in range(decisions):
        begun = time.perf_counter()
        done = again.complete(trial, Measurement({"value": hartmann6(trial.parameters)}))
        completing.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        [trial] = again.suggest(study, 1).trials
        suggesting.append(time.perf_counter() - begun)
        assert done.final is not None
    beyond = [whole - own for whole, own in zip(suggesting, asks, strict=True)]
    decision = [rest + end for rest, end in zip(beyond, completing, strict=True)]
    told = {
        "suggestion, recorded": suggesting,
        "of that the sampler's own ask": asks,
        "the rest": beyond,
        "completion, recorded": completing,
        "a decision beyond the ask: the rest and the completion": decision,
    }
    print(f"{past} past trials; a new process's first suggestion {rebuilt * 1000:.0f} ms. Medians, 90th percentiles:")
    for name, times in told.items():
        ninetieth = sorted(times)[int(len(times) * 0.9)]
        print(f"  {name}: {statistics.median(times) * 1000:.2f} ms, {ninetieth * 1000:.2f} ms")
    records.close()
    return statistics.median(decision) <= 0.005


def _time_asks(service: StudyService, study: Study, asks: list[float]) -> None:
    """Note how long the sampler itself takes from here on."""
    sampler = service._memory(study).sampler
    ask = sampler.ask

    def timed(*arguments: object) -> object:
        begun = time.perf_counter()
        found = ask(*arguments)
        asks.append(time.perf_counter() - begun)
        return found

    sampler.ask = timed


def importing() -> None:
    """What Optuna's import costs, and that nothing before a decision pays it."""
    import subprocess

    code = "import time; t = time.perf_counter(); import optuna; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    median = statistics.median(times) * 1000
    print(f"importing Optuna {optuna.__version__}: {median:.0f} ms, once, at a process's first decision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--only", choices=("regret", "cost"))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    good = True
    with tempfile.TemporaryDirectory(prefix="cairn-tuning-") as directory:
        if options.only != "cost":
            good = regret(Path(directory), options.seeds, options.trials)
        if options.only != "regret":
            importing()
            good = cost(Path(directory)) and good
    sys.exit(0 if good else os.EX_SOFTWARE)


if __name__ == "__main__":
    main()
