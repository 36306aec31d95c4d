"""A step's process, forked while the supervisor is idle, so that the attempt need not wait for the fork."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional, Tuple

from cairn.launcher import control, processes, step
from cairn.launcher.runtime import Call, Preload


class Spare:
    """The supervisor's ends of the pipes to a child that waits to be told what to become.

    `stdout`, `stderr` and `report` are read ends. The child dies with the supervisor.
    """

    def __init__(self, pid: int, request: int, stdout: int, stderr: int, report: int) -> None:
        self.pid = pid
        self.ticks = processes.start_ticks(pid)
        self.stdout = stdout
        self.stderr = stderr
        self.report = report
        self._request = request

    def begin(self, request: Dict[str, Any]) -> bool:
        """Say what to become (`step.Plan` and `limits.Placement` in JSON); False when the child is gone."""
        data = memoryview(json.dumps(request).encode())
        try:
            while data:
                data = data[os.write(self._request, data) :]
        except OSError:
            return False
        finally:
            os.close(self._request)
        return True

    def is_alive(self) -> bool:
        """Whether it still waits; when it does not, it is reaped and closed."""
        if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            return True
        for fd in (self._request, self.stdout, self.stderr, self.report):
            os.close(fd)
        return False


def fork(preload: Optional[Preload]) -> Tuple[Optional[Spare], Optional[Call]]:
    """In the supervisor: a spare. In the child, once it was told: what to call (a command is executed here and now)."""
    request, stdout, stderr, report = os.pipe(), os.pipe(), os.pipe(), os.pipe()
    control.block()
    pid = os.fork()
    if pid == 0:
        return None, step.wait(preload, request[0], stdout[1], stderr[1], report[1])
    control.unblock()
    for fd in (request[0], stdout[1], stderr[1], report[1]):
        os.close(fd)
    for fd in (stdout[0], stderr[0], report[0]):
        os.set_blocking(fd, False)
    return Spare(pid, request[1], stdout[0], stderr[0], report[0]), None
