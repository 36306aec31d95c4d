import os
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from cairn.records import owners


def test_this_process_lives() -> None:
    assert owners.this_process().pid == os.getpid()
    assert owners.alive(owners.this_process())


def test_another_process_with_the_same_pid_is_not_the_owner() -> None:
    assert not owners.alive(replace(owners.this_process(), start_ticks=owners.this_process().start_ticks - 1))


def test_nobody_survives_a_reboot() -> None:
    assert not owners.alive(replace(owners.this_process(), boot_id="an earlier boot"))


def test_of_another_machine_nothing_is_said() -> None:
    assert owners.alive(replace(owners.this_process(), pid=2**22 + 1, host="elsewhere"))


def test_a_zombie_is_dead_and_its_name_may_hold_parentheses(tmp_path) -> None:
    named = tmp_path / "a) R 1 (b"
    named.symlink_to(sys.executable)
    process = subprocess.Popen([str(named), "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    owner = replace(owners.this_process(), pid=process.pid, start_ticks=owners._start_ticks(process.pid))
    assert owner.start_ticks
    assert owners.alive(owner)
    process.kill()
    deadline = time.monotonic() + 5
    while owners.alive(owner) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not owners.alive(owner)  # not yet reaped
    process.communicate()
    assert not owners.alive(owner)


@pytest.mark.parametrize("pid", [0, -1])
def test_no_process_has_such_a_pid(pid: int) -> None:
    assert not owners.alive(replace(owners.this_process(), pid=pid))


def test_the_boot_clock_moves_on() -> None:
    before = owners.boot_time()
    time.sleep(0.002)
    assert 1_000 < owners.boot_time() - before < 5_000_000
