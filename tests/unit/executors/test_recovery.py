import fcntl
import json
import os

from cairn.domain.states import ExitReason
from cairn.executors.process import recovery
from cairn.launcher import processes


def test_giving_up_is_refused_while_a_waiter_has_the_lock(tmp_path):
    held = os.open(tmp_path / "waiter.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert not recovery.give_up(str(tmp_path))
    assert not (tmp_path / "abandoned").exists()
    os.close(held)
    assert recovery.give_up(str(tmp_path))
    assert (tmp_path / "abandoned").exists()


def test_an_exit_is_read_whole_or_not_at_all(tmp_path):
    fields = {"reason": "EXITED", "code": 3, "limits": ["memory:cgroup"], "boot": processes.boot_id()}
    path = tmp_path / "exit.json"
    assert recovery.read_exit(str(tmp_path)) is None
    path.write_text(json.dumps(fields))
    found = recovery.read_exit(str(tmp_path))
    assert (found.reason, found.code, found.limits) == (ExitReason.EXITED, 3, ("memory:cgroup",))
    for broken in (
        "",
        "[]",
        '{"reason": "EXI',
        json.dumps({**fields, "reason": "?"}),
        json.dumps({**fields, "boot": "x"}),
    ):
        path.write_text(broken)
        assert recovery.read_exit(str(tmp_path)) is None


def test_a_waiter_of_another_boot_is_nobody(tmp_path):
    lock = tmp_path / "waiter.lock"
    me = {"pid": os.getpid(), "ticks": processes.start_ticks(os.getpid())}
    lock.write_text(json.dumps({**me, "boot": "another"}).ljust(256))
    assert recovery.read_waiter(str(tmp_path)).pid == 0
    lock.write_text(json.dumps({**me, "boot": processes.boot_id()}).ljust(256))
    assert recovery.read_waiter(str(tmp_path)).pid == os.getpid()
