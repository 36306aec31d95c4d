"""Executions recorded a second, each with 2 artifacts, 4 events and 2 contexts: `python benchmarks/records.py [URL]`.

One commit for every 100 executions, as a loop of fast steps makes them, synchronous=FULL; also one commit for each. The
default is a new SQLite file; URL may name a PostgreSQL database that is empty.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.ids import ordered_uid, random_uid
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.domain.resources import Capacity
from cairn.domain.runs import Run
from cairn.domain.states import RunState
from cairn.engine.ports import Batch, Fence, Lineage
from cairn.records import Records, open_records
from cairn.records.owners import this_process

DATASET = ArtifactType("system.Dataset")
ROUNDS = 9


def lineage(run: Run) -> Lineage:
    """One execution that reads two artifacts of its own run and writes two."""
    execution = Execution(ordered_uid(), "system.ContainerExecution", ExecutionState.COMPLETE, "train", {"rate": 0.1})
    made = tuple(
        Artifact(random_uid(), DATASET, f"/store/{run.uid}/{execution.id}/{name}", {"rows": 3}, name)
        for name in ("model", "metrics")
    )
    kinds = (EventType.INPUT, EventType.OUTPUT)
    events = tuple(Event(artifact.id, execution.id, kind, artifact.display_name) for artifact in made for kind in kinds)
    return Lineage((execution,), made, events, (run.pipeline_name, run.job_id), run.uid)


def rate(records: Records, run: Run, fence: Fence, each: int, total: int) -> float:
    batches = [
        Batch(fences={run.uid: fence}, lineage=[lineage(run) for _ in range(each)]) for _ in range(total // each)
    ]
    began = time.perf_counter()
    for batch in batches:
        records.commit(batch)
    return total / (time.perf_counter() - began)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        location = sys.argv[1] if len(sys.argv) > 1 else str(Path(folder, "cairn.db"))
        with open_records(location, capacity=Capacity(2000, 1 << 33)) as records:
            run = Run(random_uid(), "bench-1", "bench", "digest", RunState.PENDING)
            contexts = [Context("bench", "system.Pipeline"), Context("bench-1", "system.PipelineRun")]
            run = records.create_run(run, "{}", contexts)
            fence = records.claim(run.uid, this_process(), lease_seconds=600)
            for each, total in ((100, 3000), (1, 500)):
                rates = [rate(records, run, fence, each, total) for _ in range(ROUNDS)]
                low, high = min(rates), max(rates)
                what = f"recorded executions a second, {each} to a commit"
                print(f"{what:50} {statistics.median(rates):10,.0f}  ({low:,.0f} to {high:,.0f}, {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
