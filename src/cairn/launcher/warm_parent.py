"""What supervisors are forked from: one process for each environment, with the step runtime loaded, single-threaded.

The engine passes it one end of a socket pair for each supervisor it wants. When the engine's end closes it waits for
its busy supervisors, so that what a killed one leaves behind is ended, and exits.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from typing import Optional, Set

from cairn.launcher import linux, processes, supervisor
from cairn.launcher.control import Control
from cairn.launcher.runtime import Call, Preload
from cairn.launcher.wire import receive_descriptor


def serve(fd: int, preload: Optional[Preload]) -> Call:
    """Fork supervisors until the engine is gone. Returns only in a step's own process, with what it has to run."""
    os.setsid()
    linux.become_subreaper()
    control = Control()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection = socket.socket(fileno=fd)
    gc.collect()
    gc.freeze()
    gc.disable()
    supervisors: Set[int] = set()
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(fd, select.POLLIN)
    engine_gone = False
    while not (engine_gone and not supervisors):
        ready = dict(poller.poll())
        if control.fileno() in ready:
            control.drain()
            _reap(supervisors)
        if fd in ready:
            passed = receive_descriptor(connection)
            if passed is None:
                engine_gone = True
                poller.unregister(fd)
            elif passed >= 0:
                pid = os.fork()
                if pid == 0:
                    os.close(connection.detach())
                    os.close(control.reader)
                    os.close(control.writer)
                    return supervisor.serve(passed, preload)
                supervisors.add(pid)
                os.close(passed)
    os._exit(0)


def _reap(supervisors: Set[int]) -> None:
    """Collect what ended; any child that is no supervisor of ours is the orphan of a killed one and must not live."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            break
        supervisors.discard(pid)
    for child in processes.own_children():
        if child not in supervisors:
            processes.kill_tree(child)
