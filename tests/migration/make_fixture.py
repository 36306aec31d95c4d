"""Writes `version-N.db.gz` for the version that stands: run it once, at the release of that version."""

import gzip
import tempfile
from pathlib import Path

from cairn.domain.lineage import Context
from cairn.domain.runs import TaskOutputs
from cairn.domain.states import TaskState
from cairn.engine.ports import Batch, CacheEntry
from cairn.records import migrating, open_records, owners
from cairn.testing.records import MACHINE, a_run, a_task, an_artifact, an_attempt, ended, executed


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cairn.db"
        with open_records(path, capacity=MACHINE) as records:
            run = a_run(job_id="demo-1", pipeline_name="demo", parameters={"rate": 0.5, "rows": 3}, labels={"a": "b"})
            records.create_run(run, "{}", [Context("demo", "system.Pipeline")])
            fence = records.claim(run.uid, owners.this_process(), lease_seconds=1)
            data, model = an_artifact("data", metadata={"rows": 3}), an_artifact("model")
            for name, lineage in (
                ("load", executed("load", outputs=[data])),
                ("train", executed("train", [data], [model])),
            ):
                attempt = an_attempt(run, name)
                records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run, name)], starts=[attempt]))
                outputs = TaskOutputs({"x": 1})
                done = a_task(run, name, TaskState.SUCCEEDED, outputs=outputs)
                entry = CacheEntry("default/local/demo", f"key-{name}", run.uid, name, {}, outputs, 1)
                batch = Batch(fences={run.uid: fence}, tasks=[done], attempts=[ended(attempt)])
                batch.lineage, batch.cache = [lineage], [entry]
                records.commit(batch)
            records.release(fence)
        target = Path(__file__).parent / f"version-{migrating.VERSION}.db.gz"
        target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
