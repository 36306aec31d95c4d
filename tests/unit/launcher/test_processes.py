import os
import subprocess

from cairn.launcher import processes


def test_a_process_is_known_by_its_number_and_its_start():
    process = subprocess.Popen(["sleep", "60"])
    ticks = processes.start_ticks(process.pid)
    assert processes.is_alive(process.pid, ticks)
    assert not processes.is_alive(process.pid, ticks + 1)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(process.pid, ticks)
    assert processes.start_ticks(process.pid, zombie=True) == ticks
    process.wait()
    assert processes.start_ticks(process.pid, zombie=True) == 0


def test_descendants_of_descendants_are_found():
    process = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & echo; wait' & wait"], stdout=subprocess.PIPE)
    process.stdout.readline()
    found = processes.descendants(process.pid)
    assert len(found) == 2
    processes.kill_tree(process.pid)
    process.wait()
    process.stdout.close()


def test_a_sweep_ends_what_carries_the_attempts_mark_and_nothing_else():
    marked = subprocess.Popen(["sleep", "60"], env={"CAIRN_ATTEMPT": "abc", "PATH": os.environ["PATH"]})
    other = subprocess.Popen(["sleep", "60"], env={"CAIRN_ATTEMPT": "abcd", "PATH": os.environ["PATH"]})
    try:
        while set(processes.marked("abc")) != {marked.pid} or set(processes.marked("abcd")) != {other.pid}:
            pass
        processes.sweep("abc", other.pid, processes.start_ticks(other.pid) + 1)
        assert marked.wait() == -9
        assert other.poll() is None
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()
