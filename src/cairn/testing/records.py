"""The conformance suite of records: a backend supplies the fixture `location` and inherits every test.

    class TestSqlite(RecordsConformance):
        @pytest.fixture
        def location(self, tmp_path):
            return str(tmp_path / "cairn.db")

`location` is what `open_records` takes; each test gets a database of its own that does not exist or is empty.
Other processes are forked, and open the database themselves.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cairn.domain.artifacts import Artifact, ArtifactType, Fingerprint
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import AttemptRecord, Exit, Failure, Run, TaskInputs, TaskOutputs, TaskRecord
from cairn.domain.states import AttemptState, ExitReason, RunState, TaskState
from cairn.domain.values import Spilled
from cairn.engine.ports import Batch, CacheEntry, Fence, Lineage, Owner
from cairn.errors import FenceLost, InputRefused, NotFound, RecordsBusy, RecordsError
from cairn.metadata.service import MetadataService
from cairn.metadata.types import ArtifactQuery
from cairn.records import Records, open_records, owners, restore_records
from cairn.testing.metadata_records import MetadataConformance

MACHINE = Capacity(cpu_millis=4000, memory_bytes=8 << 30)
SCOPE = "default/local/train"
_forked = multiprocessing.get_context("fork")


def a_run(**changes: Any) -> Run:
    uid = str(uuid.uuid4())
    return replace(Run(uid, f"job-{uid[:8]}", "train", "spec-1", RunState.PENDING, create_time=1), **changes)


def a_task(run: Run, path: str = "train", state: TaskState = TaskState.RUNNING, **fields: Any) -> TaskRecord:
    return TaskRecord(run.uid, path, path, f"comp-{path}", "leaf", state, uid=f"task-{path}", **fields)


def an_attempt(run: Run, path: str = "train", *, cpu: int = 1000, memory: int = 0, number: int = 1) -> AttemptRecord:
    directory = f"/attempts/{path}/{number}"
    resources = Resources(cpu_millis=cpu, memory_bytes=memory)
    return AttemptRecord(
        run.uid, path, number, str(uuid.uuid4()), AttemptState.RUNNING, directory, "process", resources
    )


def ended(attempt: AttemptRecord) -> AttemptRecord:
    return replace(attempt, state=AttemptState.SUCCEEDED, exit=Exit(ExitReason.EXITED, 0))


def an_artifact(name: str, **fields: Any) -> Artifact:
    return Artifact(f"artifact-{name}", ArtifactType("system.Dataset"), f"/store/{name}", **fields)


def executed(
    name: str, inputs: Sequence[Artifact] = (), outputs: Sequence[Artifact] = (), run_uid: str = ""
) -> Lineage:
    """What a task named `name` adds to the metadata store."""
    execution = Execution(f"execution-{name}", "system.ContainerExecution", ExecutionState.COMPLETE, name)
    events = [Event(one.id, execution.id, EventType.INPUT, one.id) for one in inputs]
    events += [Event(one.id, execution.id, EventType.OUTPUT, one.id) for one in outputs]
    return Lineage((execution,), tuple(outputs), tuple(events), run_uid=run_uid)


def gone() -> Owner:
    """An engine of this machine that has died."""
    process = _forked.Process(target=int)
    process.start()
    owner = Owner(process.pid or 0, 1, owners.boot_id(), owners.this_host())
    process.join()
    return owner


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `work(number, *arguments)` in `count` processes at once; their results. Fails if one fails."""
    parents = []
    for number in range(count):
        ours, theirs = _forked.Pipe(duplex=False)
        process = _forked.Process(target=_report, args=(theirs, work, number, *arguments))
        process.start()
        theirs.close()
        parents.append((process, ours))
    results = []
    for process, ours in parents:
        result, error = ours.recv()
        process.join()
        assert error is None, error
        results.append(result)
    return results


def _report(pipe: Any, work: Callable[..., Any], *arguments: Any) -> None:
    try:
        pipe.send((work(*arguments), None))
    except BaseException as error:  # noqa: BLE001 - it is told to the parent
        pipe.send((None, repr(error)))


def _submit(number: int, location: str, times: int) -> set[str]:
    with open_records(location, capacity=MACHINE) as records:
        runs = (a_run(request_id="once", job_id=f"job-{number}-{turn}") for turn in range(times))
        return {records.create_run(run, "{}").uid for run in runs}


CONTENDING = 8  # so many want the machine at one time, each more than an eighth of it


def _use_machine(number: int, location: str, steps: int, engines: int) -> int:
    """Run steps as an engine would; how often one was denied. Number 0 watches; the most CPUs it has seen in use."""
    if number == 0:
        return _watch_machine(location, engines)
    run, denied = a_run(), 0
    with open_records(location, capacity=MACHINE) as records:
        records.create_run(run, "{}")
        fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
        contends = number <= CONTENDING
        while contends and len(records.list_runs()) < CONTENDING:  # however slowly processes start
            time.sleep(0.01)
        for step in range(steps):
            attempt = an_attempt(run, f"step-{step}", cpu=1000 + 500 * (number % 3))
            while records.commit(Batch(fences={run.uid: fence}, starts=[attempt])).denied:
                denied += 1
                time.sleep(0.05)
            time.sleep(0.05 if contends else 0)  # the step
            records.commit(Batch(fences={run.uid: fence}, attempts=[ended(attempt)]))
        records.commit(Batch(fences={run.uid: fence}, runs=[replace(run, state=RunState.SUCCEEDED)]))
        records.release(fence)
    return denied


def _watch_machine(location: str, engines: int) -> int:
    most, deadline = 0, time.monotonic() + 120
    with open_records(location, capacity=MACHINE) as records:
        while time.monotonic() < deadline and len(records.list_runs(states=[RunState.SUCCEEDED])) < engines:
            [(used,)] = records._connection().query("SELECT sum(cpu_millis) FROM leases")
            most = max(most, int(used or 0))
            time.sleep(0.001)
    return most


def _commit_until_killed(pipe: Any, location: str, run: Run, first: int) -> None:
    with open_records(location, capacity=MACHINE) as records:
        fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
        for turn in range(first, first + 10_000):
            tasks = [a_task(run, f"{turn}-{number}") for number in range(20)]
            records.commit(Batch(fences={run.uid: fence}, tasks=tasks))
            pipe.send(turn)


def _write_journal(number: int, location: str, run_uid: str, times: int, last: int) -> list[int]:
    """Append to the journal. Number 0 reads it meanwhile, up to `last`; what it has seen, in its order."""
    seen, deadline = [0], time.monotonic() + 60
    with open_records(location, capacity=MACHINE) as records:
        for turn in range(times if number else 0):
            records.request(run_uid, "cancel", {"by": number, "turn": turn})
        while number == 0 and seen[-1] < last and time.monotonic() < deadline:
            seen += [entry.sequence for entry in records.journal(seen[-1])]
    return seen


class RecordsConformance(MetadataConformance):
    @pytest.fixture
    def location(self) -> str:
        raise NotImplementedError("a backend says where its database is")

    @pytest.fixture
    def records(self, location: str) -> Iterator[Records]:
        with open_records(location, capacity=MACHINE) as opened:
            yield opened

    @pytest.fixture
    def run(self, records: Records) -> Run:
        return records.create_run(a_run(), "{}")

    @pytest.fixture
    def fence(self, records: Records, run: Run) -> Fence:
        return records.claim(run.uid, owners.this_process(), lease_seconds=60)

    # --- runs ---

    def test_a_run_is_read_as_it_was_written(self, records: Records) -> None:
        values = {
            "integer": 2**70,
            "float": 1.0,
            "text": "naïve 🧭 \x00 ' \" %s ?",
            "spilled": [{"deep": Spilled("/spill/1", "xxh3:1", 7)}],
            "looks spilled": {"kind": "spilled", "uri": "/spill/1", "digest": "xxh3:1", "size": 7},
            "infinite": [math.inf, -math.inf, None],
        }
        run = a_run(parameters=values, labels={"team": "vision"}, error=Failure("no"), warnings=("w",), request_id="r")
        records.create_run(run, '{"pipeline": true}', [Context("train", "system.Pipeline")])
        assert records.run(run.uid) == run
        assert type(records.run(run.uid).parameters["float"]) is float
        assert records.spec_text("spec-1") == '{"pipeline": true}'

    def test_a_diverged_metric_stays_not_a_number(self, records: Records, run: Run, fence: Fence) -> None:
        model = an_artifact("model", metadata={"loss": math.nan, "note": None})
        records.commit(Batch(fences={run.uid: fence}, lineage=[executed("train", outputs=[model])]))
        metadata = MetadataService(records).artifact(model.id).metadata
        assert math.isnan(metadata["loss"])
        assert metadata["note"] is None

    def test_a_job_id_is_taken_once_in_its_project(self, records: Records) -> None:
        records.create_run(a_run(job_id="nightly"), "{}")
        with pytest.raises(InputRefused, match="nightly"):
            records.create_run(a_run(job_id="nightly"), "{}")
        records.create_run(a_run(job_id="nightly", project="other"), "{}")

    def test_a_thousand_submits_of_one_request_make_one_run(self, location: str) -> None:
        # The first of them also makes the database.
        made = set[str]().union(*in_processes(10, _submit, location, 100))
        assert len(made) == 1
        with open_records(location, capacity=MACHINE) as records:
            assert [run.uid for run in records.list_runs()] == list(made)

    def test_runs_are_found_by_uid_job_id_and_prefix(self, records: Records) -> None:
        first = records.create_run(a_run(uid="abcd1111-0000", job_id="one"), "{}")
        second = records.create_run(a_run(uid="abcd2222-0000", job_id="two"), "{}")
        assert records.find_run("abcd1111-0000") == records.find_run("one") == records.find_run("abcd1") == first
        with pytest.raises(InputRefused, match="several") as refused:
            records.find_run("abcd")
        assert first.uid in str(refused.value)
        assert second.uid in str(refused.value)
        for unknown in ("abc", "zzzz", "abcd1111-0001", ""):
            with pytest.raises(NotFound):
                records.find_run(unknown)

    def test_runs_are_listed_newest_first_by_state_pipeline_and_label(self, records: Records) -> None:
        made = [records.create_run(a_run(labels={"turn": str(turn % 2)}), "{}") for turn in range(5)]
        other = records.create_run(a_run(pipeline_name="other", state=RunState.RUNNING), "{}")
        assert records.list_runs(limit=3) == [other, made[4], made[3]]
        _, token = records.page_runs(limit=3)
        assert records.page_runs(limit=3, token=token) == ([made[2], made[1], made[0]], "")
        assert records.list_runs(states=[RunState.RUNNING]) == records.list_runs(pipeline="other") == [other]
        assert records.list_runs(labels={"turn": "1"}) == [made[3], made[1]]
        assert records.list_runs(project="elsewhere") == []
        assert records.open_runs() == [*made, other]

    # --- claims ---

    def test_a_live_engine_keeps_its_run(self, records: Records, run: Run, fence: Fence) -> None:
        other = Owner(os.getppid(), owners._start_ticks(os.getppid()), owners.boot_id(), owners.this_host())
        with pytest.raises(InputRefused, match=str(os.getpid())):
            records.claim(run.uid, other, lease_seconds=60)
        assert records.claimed(run.uid) == owners.this_process()
        records.release(fence)
        assert records.claimed(run.uid) is None
        assert records.claim(run.uid, other, lease_seconds=60).number == fence.number + 1

    def test_a_dead_engine_loses_its_run_at_once(self, records: Records, run: Run) -> None:
        first = records.claim(run.uid, gone(), lease_seconds=3600)
        second = records.claim(run.uid, owners.this_process(), lease_seconds=60)
        assert (first.number, second.number) == (1, 2)
        assert records.run(run.uid).fence == 2

    def test_an_engine_of_another_machine_loses_its_run_when_its_lease_ends(self, records: Records, run: Run) -> None:
        records.claim(run.uid, Owner(1, 1, "another boot", "another machine"), lease_seconds=0.2)
        with pytest.raises(InputRefused, match="another machine"):
            records.claim(run.uid, owners.this_process(), lease_seconds=60)
        time.sleep(0.25)
        records.claim(run.uid, owners.this_process(), lease_seconds=60)

    def test_after_a_takeover_the_old_engine_writes_nothing(self, records: Records, run: Run) -> None:
        old = records.claim(run.uid, owners.this_process(), lease_seconds=0)
        records.claim(run.uid, owners.this_process(), lease_seconds=60)
        before = records.head()
        with pytest.raises(FenceLost) as lost:
            records.commit(Batch(fences={run.uid: old}, tasks=[a_task(run)], starts=[an_attempt(run)]))
        assert lost.value.place == run.uid
        assert (records.tasks(run.uid), records.attempts(run.uid), records.head()) == ([], [], before)
        records.release(old)  # no error, and no effect
        assert records.claimed(run.uid) is not None

    def test_renewing_keeps_what_is_ours_and_names_what_is_lost(self, records: Records) -> None:
        first, second = records.create_run(a_run(), "{}"), records.create_run(a_run(), "{}")
        lost = records.claim(first.uid, owners.this_process(), lease_seconds=0)
        records.claim(first.uid, owners.this_process(), lease_seconds=0)
        ours = records.claim(second.uid, owners.this_process(), lease_seconds=0)
        assert records.claimed(second.uid) is None
        with pytest.raises(FenceLost) as error:
            records.renew([lost, ours], lease_seconds=60)
        assert error.value.place == first.uid
        assert records.claimed(second.uid) == owners.this_process()

    # --- commits ---

    def test_a_batch_is_read_as_it_was_written(self, records: Records, run: Run, fence: Fence) -> None:
        attempt = an_attempt(run)
        spilled = TaskInputs({"big": Spilled("/spill/1", "xxh3:1", 7), "none": None}, {"data": (an_artifact("data"),)})
        task = a_task(run, inputs=spilled, iterations=3, attempts=1, start_time=3)
        committed = records.commit(Batch(fences={run.uid: fence}, tasks=[task], starts=[attempt]))
        assert committed.denied == frozenset()
        assert committed.sequence == records.head()
        assert records.tasks(run.uid) == [task]
        assert records.attempts(run.uid) == [attempt]
        done = replace(task, state=TaskState.SUCCEEDED, outputs=TaskOutputs({"x": 1}), iterations=0)
        finished = replace(run, state=RunState.SUCCEEDED, outputs={"x": 1}, fence=1)
        records.commit(Batch(fences={run.uid: fence}, runs=[finished], tasks=[done], attempts=[ended(attempt)]))
        assert records.run(run.uid) == finished
        assert records.tasks(run.uid) == [done]
        assert records.attempts(run.uid) == [ended(attempt)]
        assert records.task_counts(run.uid) == {"SUCCEEDED": 1}

    def test_a_run_may_go_on_with_another_pipeline(self, records: Records, run: Run, fence: Fence) -> None:
        records.add_spec("spec-2", '{"edited": true}')
        edited = replace(run, spec_digest="spec-2", fence=fence.number)
        records.commit(Batch(fences={run.uid: fence}, runs=[edited]))
        assert records.run(run.uid) == edited
        assert records.spec_text("spec-2") == '{"edited": true}'
        with pytest.raises(RecordsError):
            records.commit(Batch(fences={run.uid: fence}, runs=[replace(run, spec_digest="unknown")]))
        assert records.run(run.uid) == edited

    def test_the_journal_has_one_entry_for_each_record_in_order(self, records: Records, run: Run, fence: Fence) -> None:
        start = records.head()
        tasks = [a_task(run, "a"), a_task(run, "b", TaskState.FAILED, error=Failure("bad"))]
        records.commit(Batch(fences={run.uid: fence}, runs=[run], tasks=tasks, starts=[an_attempt(run, "a")]))
        entries = records.journal(start)
        assert {(one.kind, one.path, one.state) for one in entries} == {
            ("run", "", "PENDING"),
            ("task", "a", "RUNNING"),
            ("task", "b", "FAILED"),
            ("attempt", "a", "RUNNING"),
        }
        assert [one.sequence for one in entries] == list(range(start + 1, start + 5))
        assert [one.detail for one in entries if one.path == "b"] == [{"error": "bad"}]
        assert records.journal(start, run_uid=run.uid, limit=2) == entries[:2]

    def test_a_denied_start_is_not_written_but_the_rest_is(self, records: Records, run: Run, fence: Fence) -> None:
        small, large = an_attempt(run, "small"), an_attempt(run, "large", cpu=3500)
        tasks = [a_task(run, "small"), a_task(run, "large"), a_task(run, "other", TaskState.SKIPPED)]
        committed = records.commit(Batch(fences={run.uid: fence}, tasks=tasks, starts=[small, large]))
        assert committed.denied == {large.uid}
        assert [task.path for task in records.tasks(run.uid)] == ["small", "other"]
        assert records.attempts(run.uid) == [small]
        assert "large" not in {entry.path for entry in records.journal(0)}
        # The same again, by itself and then with something else to write.
        assert records.commit(Batch(fences={run.uid: fence}, starts=[large])).denied == {large.uid}
        assert records.commit(Batch(fences={run.uid: fence}, starts=[large])).denied == {large.uid}
        done = [replace(tasks[2], state=TaskState.CANCELLED)]
        assert records.commit(Batch(fences={run.uid: fence}, tasks=done, starts=[large])).denied == {large.uid}
        assert records.tasks(run.uid)[1:] == done
        # What a batch gives back is there for its own starts.
        batch = Batch(fences={run.uid: fence}, attempts=[ended(small)], tasks=[tasks[1]], starts=[large])
        assert not records.commit(batch).denied

    def test_lineage_that_names_the_unknown_fails_the_whole_batch(
        self, records: Records, run: Run, fence: Fence
    ) -> None:
        unknown = executed("train", inputs=[an_artifact("never written")])
        with pytest.raises(RecordsError, match="never written"):
            records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run)], lineage=[unknown]))
        assert records.tasks(run.uid) == []
        assert records.executions_of_run(run.uid) == []

    def test_a_killed_writer_leaves_whole_batches_and_every_acknowledged_one(self, location: str) -> None:
        with open_records(location, capacity=MACHINE) as records:
            run = records.create_run(a_run(), "{}")
        acknowledged = set[int]()
        for turn in range(5):
            ours, theirs = _forked.Pipe(duplex=False)
            process = _forked.Process(target=_commit_until_killed, args=(theirs, location, run, turn * 10_000))
            process.start()
            theirs.close()
            acknowledged.add(ours.recv())
            time.sleep(0.013 * (turn + 1))
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            while ours.poll():
                try:
                    acknowledged.add(ours.recv())
                except EOFError:
                    break
        with open_records(location, capacity=MACHINE) as records:
            batches: dict[int, int] = {}
            for task in records.tasks(run.uid):
                turn = int(task.path.partition("-")[0])
                batches[turn] = batches.get(turn, 0) + 1
            assert set(batches.values()) == {20}
            assert acknowledged <= batches.keys()
            assert len(records.journal(0, limit=1_000_000)) == records.head() == 20 * len(batches) + 1

    def test_journal_numbers_appear_in_order_and_without_gaps(self, location: str) -> None:
        with open_records(location, capacity=MACHINE) as records:
            run = records.create_run(a_run(), "{}")
        seen, *_ = in_processes(5, _write_journal, location, run.uid, 50, 201)
        assert seen == list(range(202))
        with open_records(location, capacity=MACHINE) as records:
            assert len(records.requests([run.uid], 0)) == 200

    def test_threads_write_side_by_side(self, records: Records, run: Run, fence: Fence) -> None:
        def write(number: int) -> None:
            for turn in range(20):
                records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run, f"{number}-{turn}")]))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(records.tasks(run.uid)) == 80

    # --- the ledger ---

    def test_fifty_processes_never_hold_more_than_the_machine(self, location: str) -> None:
        most, *denied = in_processes(51, _use_machine, location, 2, 50)
        assert 0 < most <= MACHINE.cpu_millis
        assert sum(denied) > 0
        with open_records(location, capacity=MACHINE) as records:
            runs = records.list_runs()
            assert [len(records.attempts(run.uid)) for run in runs] == [2] * 50
            assert records.holders() == []

    def test_memory_is_counted_as_cpu_is(self, records: Records, run: Run, fence: Fence) -> None:
        starts = [an_attempt(run, f"t{number}", cpu=0, memory=3 << 30) for number in range(3)]
        assert records.commit(Batch(fences={run.uid: fence}, starts=starts)).denied == {starts[2].uid}

    def test_each_attempt_is_given_accelerators_of_its_own(self, records: Records, run: Run, fence: Fence) -> None:
        records.set_capacity(replace(MACHINE, accelerators=3))

        def asking(path: str, devices: int) -> AttemptRecord:
            return replace(an_attempt(run, path), resources=Resources(cpu_millis=100, accelerators=devices))

        first, second, third = asking("a", 1), asking("b", 2), asking("c", 1)
        committed = records.commit(Batch(fences={run.uid: fence}, starts=[first, second, third]))
        assert committed.devices == {first.uid: (0,), second.uid: (1, 2)}
        assert committed.denied == {third.uid}
        records.commit(Batch(fences={run.uid: fence}, attempts=[ended(first)]))
        assert records.commit(Batch(fences={run.uid: fence}, starts=[third])).devices == {third.uid: (0,)}
        assert {one.path: one.devices for one in records.attempts(run.uid)} == {"a": (), "b": (1, 2), "c": (0,)}

    def test_a_step_that_asks_nothing_is_always_admitted(self, records: Records, run: Run, fence: Fence) -> None:
        free = [an_attempt(run, f"free{number}", cpu=0) for number in range(50)]
        starts = [an_attempt(run, "all", cpu=4000), *free]
        assert not records.commit(Batch(fences={run.uid: fence}, starts=starts)).denied

    def test_on_an_idle_machine_anything_starts(self, records: Records, run: Run, fence: Fence) -> None:
        assert not records.commit(Batch(fences={run.uid: fence}, starts=[an_attempt(run, cpu=64_000)])).denied

    def test_a_run_that_holds_less_has_the_next_turn(self, records: Records, run: Run, fence: Fence) -> None:
        greedy = [an_attempt(run, f"g{number}") for number in range(6)]
        assert len(records.commit(Batch(fences={run.uid: fence}, starts=greedy)).denied) == 2
        late = records.create_run(a_run(), "{}")
        late_fence = records.claim(late.uid, owners.this_process(), lease_seconds=60)
        wanted = an_attempt(late)
        assert records.commit(Batch(fences={late.uid: late_fence}, starts=[wanted])).denied == {wanted.uid}
        batch = Batch(fences={run.uid: fence}, attempts=[ended(greedy[0])], starts=[greedy[4]])
        assert records.commit(batch).denied == {greedy[4].uid}
        assert not records.commit(Batch(fences={late.uid: late_fence}, starts=[wanted])).denied
        batch = Batch(fences={run.uid: fence}, attempts=[ended(greedy[1])], starts=[greedy[4]])
        assert not records.commit(batch).denied

    @pytest.mark.parametrize("end", ["dies", "releases", "is cancelled"])
    def test_a_run_that_waits_no_more_stands_in_nobodys_way(
        self, records: Records, run: Run, fence: Fence, end: str
    ) -> None:
        greedy = [an_attempt(run, f"g{number}") for number in range(5)]
        records.commit(Batch(fences={run.uid: fence}, starts=greedy))
        late = records.create_run(a_run(), "{}")
        late_fence = records.claim(late.uid, owners.this_process(), lease_seconds=60)
        assert records.commit(Batch(fences={late.uid: late_fence}, starts=[an_attempt(late)])).denied
        if end == "dies":
            records.claim(late.uid, owners.this_process(), lease_seconds=0)
            records.claim(late.uid, gone(), lease_seconds=60)
        elif end == "releases":
            records.release(late_fence)
        else:
            records.commit(Batch(fences={late.uid: late_fence}, runs=[replace(late, state=RunState.CANCELLING)]))
        batch = Batch(fences={run.uid: fence}, attempts=[ended(greedy[0])], starts=[greedy[4]])
        assert not records.commit(batch).denied

    def test_what_a_dead_engine_held_is_freed_unless_its_step_lives(self, records: Records, run: Run) -> None:
        fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
        lives, dead = an_attempt(run, "lives"), an_attempt(run, "dead")
        records.commit(Batch(fences={run.uid: fence}, starts=[lives, dead]))
        assert records.holders() == []
        assert records.free_dead(frozenset()) == 0
        records.release(fence)
        records.claim(run.uid, gone(), lease_seconds=60)
        assert sorted(records.holders()) == sorted((one.uid, one.directory) for one in (lives, dead))
        assert records.free_dead(frozenset({lives.uid})) == 1
        assert records.holders() == [(lives.uid, lives.directory)]

    def test_the_capacity_that_was_set_goes_before_the_one_detected(self, location: str, records: Records) -> None:
        assert records.capacity() == MACHINE
        records.set_capacity(Capacity(1000, 1 << 30, 2))
        with open_records(location, capacity=MACHINE) as others:
            assert others.capacity() == Capacity(1000, 1 << 30, 2)

    # --- requests, cache, lineage ---

    def test_requests_reach_the_engine_until_they_are_settled(self, records: Records, run: Run) -> None:
        other = records.create_run(a_run(), "{}")
        first = records.request(run.uid, "cancel", {"why": "Ctrl-C"})
        records.request(other.uid, "cancel", {})
        second = records.request(run.uid, "kill", {})
        assert [(one.sequence, one.kind) for one in records.requests([run.uid], 0)] == [
            (first, "cancel"),
            (second, "kill"),
        ]
        assert records.requests([run.uid], 0)[0].detail == {"why": "Ctrl-C"}
        assert [one.sequence for one in records.requests([run.uid], first)] == [second]
        records.settle(run.uid, first)
        assert [one.sequence for one in records.requests([run.uid, other.uid], 0)] == [first + 1, second]
        assert [one.kind for one in records.journal(0, run_uid=run.uid)] == ["run", "request", "request"]

    def test_the_newest_cache_entry_of_each_key_is_found(self, records: Records, run: Run, fence: Fence) -> None:
        outputs = TaskOutputs({"x": Spilled("/spill/2", "d", 1)}, {"data": (an_artifact("data"),)})
        entries = [
            CacheEntry(SCOPE, f"key-{key}", run.uid, f"p{turn}", {"part": "1"}, outputs, turn, "comp-a")
            for turn in (1, 3, 2)
            for key in range(200)
        ]
        records.commit(Batch(fences={run.uid: fence}, cache=entries))
        found = records.cached(SCOPE, [f"key-{key}" for key in range(100, 300)])
        assert sorted(found) == [f"key-{key}" for key in range(100, 200)]
        assert {entry.create_time for entry in found.values()} == {3}
        assert found["key-100"] == entries[200 + 100]
        assert records.cached(SCOPE, ["key-1"], not_before=4) == records.cached("other", ["key-1"]) == {}
        assert records.cached(SCOPE, []) == {}
        assert records.nearest(SCOPE, "comp-a") == entries[-1]
        assert records.nearest(SCOPE, "comp-b") is None
        assert records.nearest(SCOPE, "comp-a", path="p1") == entries[199], "the newest of that task"
        assert records.nearest(SCOPE, "comp-a", path="p3", before=3) == entries[-1], "it has none so early"
        assert records.nearest(SCOPE, "comp-a", path="elsewhere") == entries[-1]

    def test_cache_entries_are_listed_as_they_would_be_taken_and_forgotten(
        self, records: Records, run: Run, fence: Fence
    ) -> None:
        other = records.create_run(a_run(), "{}")
        made = [
            CacheEntry(scope, key, by.uid, "path", {}, TaskOutputs(), turn, component)
            for scope, key, by, turn, component in (
                (SCOPE, "a", run, 2, "comp-a"),
                (SCOPE, "a", run, 1, "comp-a"),
                (SCOPE, "b", run, 3, "comp-b"),
                (SCOPE, "b", other, 3, "comp-b"),
                ("default/local/else", "a", run, 4, "comp-a"),
            )
        ]
        fences = {run.uid: fence, other.uid: records.claim(other.uid, owners.this_process(), lease_seconds=60)}
        records.commit(Batch(fences=fences, cache=made))
        assert records.list_cached() == [made[4], made[3], made[0]]
        assert records.list_cached(limit=1) == [made[4]]
        assert records.list_cached(SCOPE, component="comp-a") == [made[0]]
        assert records.list_cached(run_uid=other.uid) == [made[3]]
        assert records.list_cached(SCOPE, run_uid=run.uid) == [made[0]], "b was made anew by the other run"
        assert records.forget_cached(SCOPE, keys=[]) == 0
        assert records.forget_cached(SCOPE, keys=["a", "unknown"]) == 2
        assert records.forget_cached(SCOPE, component="comp-a") == 0
        assert records.list_cached() == [made[4], made[3]]
        assert records.forget_cached(SCOPE) == 2
        assert records.forget_cached("") == 1
        assert records.list_cached() == []

    def test_lineage_is_followed_up_and_down(self, records: Records, run: Run, fence: Fence) -> None:
        data, clean, model, report = map(an_artifact, ("data", "clean", "model", "report"))
        records.commit(
            Batch(
                fences={run.uid: fence},
                contexts=[
                    Context("train", "system.Pipeline"),
                    Context("job", "system.PipelineRun", parents=("train",)),
                ],
                lineage=[
                    replace(executed("import", outputs=[data]), contexts=("train", "job")),
                    executed("clean", [data], [clean]),
                    executed("train", [clean], [model]),
                    executed("report", [data], [report]),
                ],
            )
        )
        service = MetadataService(records)

        def named(direction: Any, hops: int = 100) -> list[str]:
            graph = service.artifact_lineage(clean.id, direction=direction, max_hops=hops)
            ids = {one.id for one in graph.artifacts} | {one.id for one in graph.executions}
            assert all({event.artifact_id, event.execution_id} <= ids for event in graph.events)
            return sorted(one.display_name for one in graph.executions)

        assert named("upstream") == ["clean", "import"]
        assert named("downstream") == ["train"]
        assert named("both") == ["clean", "import", "train"]
        assert named("upstream", 1) == ["clean"]
        assert service.producer(model.id) == run.uid
        assert service.context("job").parents == ("train",)
        assert [one.display_name for one in service.context_lineage("job").executions] == ["import"]
        assert service.artifacts(ArtifactQuery(context_id="job")) == [data]
        assert service.artifacts(ArtifactQuery(run_uid=run.uid, limit=2)) == [report, model]
        assert service.artifacts(ArtifactQuery(run_uid=run.uid, before=model.id)) == [clean, data]
        assert service.artifacts(ArtifactQuery(uri="/store/data", schema_title="system.Dataset")) == [data]
        with pytest.raises(NotFound):
            service.artifact("artifact-unknown")

    def test_an_artifact_is_found_by_its_whole_uri(self, records: Records, run: Run, fence: Fence) -> None:
        stem = "gs://bucket/" + "x" * 300
        old, new = (an_artifact(name, fingerprint=Fingerprint("xxh3:1", 1, (2, 3))) for name in ("old", "new"))
        other = replace(an_artifact("other"), uri=stem + "2")
        same = [replace(one, uri=stem + "1") for one in (old, new)]
        records.commit(Batch(fences={run.uid: fence}, lineage=[executed("import", outputs=[*same, other])]))
        assert records.artifacts_by_uri("default", "local", stem + "1", "system.Dataset")[0] == same[1]
        assert records.artifacts_by_uri("default", "local", stem + "1", "system.Model") == []
        assert records.artifacts_by_uri("other", "local", stem + "1", "system.Dataset") == []

    # --- deletion and backup ---

    def test_of_two_who_delete_a_run_one_has_done_it(self, records: Records, run: Run, location: str) -> None:
        with open_records(location, capacity=MACHINE) as other:
            assert other.tasks(run.uid) == [] and records.tasks(run.uid) == []
            other.delete_run(run.uid)
            with pytest.raises(NotFound):
                records.delete_run(run.uid)

    def test_deleting_a_run_frees_what_only_it_refers_to(self, records: Records, run: Run, fence: Fence) -> None:
        own, shared = an_artifact("own"), an_artifact("shared")
        outputs = TaskOutputs({"big": Spilled("/spill/own", "d", 1), "both": Spilled("/spill/shared", "d", 1)})
        attempt = an_attempt(run)
        records.commit(
            Batch(
                fences={run.uid: fence},
                tasks=[a_task(run, outputs=outputs)],
                starts=[attempt],
                lineage=[executed("make", outputs=[own, shared])],
                cache=[CacheEntry(SCOPE, "key", run.uid, "train", {}, outputs, 1)],
            )
        )
        other = records.create_run(a_run(), "{}")
        other_fence = records.claim(other.uid, owners.this_process(), lease_seconds=60)
        inputs = TaskInputs({"both": Spilled("/spill/shared", "d", 1)})
        batch = Batch(fences={other.uid: other_fence}, tasks=[a_task(other, inputs=inputs)])
        batch.lineage = [executed("use", inputs=[shared], run_uid=other.uid)]
        records.commit(batch)
        with pytest.raises(InputRefused, match=str(os.getpid())):
            records.delete_run(run.uid)
        records.release(fence)
        freed = records.delete_run(run.uid)
        assert sorted(freed.uris) == ["/spill/own", "/store/own"]
        assert freed.directories == (attempt.directory,)
        assert records.referenced() == {"/store/shared", "/spill/shared"}
        for trees, near in (
            (["/store"], {"/store/shared"}),
            (["/store/shared/below/it", "/sto", "/store/share"], {"/store/shared"}),
            (["/spill/shared"], {"/spill/shared"}),
            (["/elsewhere", "/store/" + "long" * 100], set()),
        ):
            assert records.referenced(trees) == near, trees
        assert records.cached(SCOPE, ["key"]) == {}
        assert {entry.run_uid for entry in records.journal(0)} == {other.uid}
        for read in (records.run, records.tasks, records.delete_run):
            with pytest.raises(NotFound):
                read(run.uid)
        assert records.verify() == []
        with pytest.raises(FenceLost):
            records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run)]))

    def test_a_backup_is_restored_into_an_empty_database_only(
        self, records: Records, run: Run, fence: Fence, tmp_path: Path
    ) -> None:
        attempt, data = an_attempt(run), an_artifact("data", metadata={"rows": 3})
        batch = Batch(fences={run.uid: fence}, tasks=[a_task(run)], starts=[attempt])
        batch.lineage = [executed("make", outputs=[data])]
        records.commit(batch)
        backup, place = tmp_path / "records.backup", str(tmp_path / "restored.db")
        assert records.backup(str(backup)) > 5
        assert restore_records(place, backup) > 5
        with open_records(place, capacity=MACHINE) as restored:
            assert restored.run(run.uid) == records.run(run.uid)
            assert restored.tasks(run.uid) == records.tasks(run.uid)
            assert restored.attempts(run.uid) == [attempt]
            assert restored.journal(0) == records.journal(0)
            assert MetadataService(restored).run_lineage(run.uid) == MetadataService(records).run_lineage(run.uid)
            assert restored.claimed(run.uid) is None
            assert restored.claim(run.uid, owners.this_process(), lease_seconds=1).number == fence.number + 1
            assert restored.create_run(a_run(), "{}") in restored.list_runs()
        for target in (place, records.place):
            with pytest.raises(InputRefused, match="in use"):
                restore_records(target, backup)

    def test_half_a_backup_is_refused_and_leaves_nothing(self, records: Records, tmp_path: Path) -> None:
        records.create_run(a_run(), "{}")
        backup, place = tmp_path / "records.backup", str(tmp_path / "restored.db")
        records.backup(str(backup))
        whole = backup.read_bytes()
        for part in (whole[: len(whole) // 2], whole[:-9], b"", b"not a backup"):
            backup.write_bytes(part)
            with pytest.raises(InputRefused, match="not a whole backup"):
                restore_records(place, backup)
        backup.write_bytes(whole)
        restore_records(place, backup)

    def test_a_writer_waits_for_another_one_and_loses_nothing(self, location: str, run: Run, records: Records) -> None:
        holder = open_records(location, capacity=MACHINE)
        with open_records(location, capacity=MACHINE, busy_timeout_seconds=0.3) as impatient:
            holder._connection().begin()
            started = time.monotonic()
            with pytest.raises(RecordsBusy):
                impatient.request(run.uid, "cancel", {})
            assert 0.25 < time.monotonic() - started < 5
            releaser = threading.Timer(0.3, holder._connection().rollback)
            releaser.start()
            records.request(run.uid, "cancel", {})
            releaser.join()
            impatient.request(run.uid, "kill", {})
            assert [one.kind for one in records.requests([run.uid], 0)] == ["cancel", "kill"]
        holder.close()
