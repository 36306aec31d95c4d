"""What reaches a supervisor from outside its socket: children that ended, and signals that ask for a stop."""

from __future__ import annotations

import os
import signal
from typing import Any

STOP_SIGNAL = signal.SIGTERM  # ask the step to end, kill it after the grace
KILL_SIGNAL = signal.SIGUSR1  # kill it at once
HANDLED = frozenset({signal.SIGCHLD, STOP_SIGNAL, KILL_SIGNAL})
# Signals that a fresh process has at their defaults and that Python, this module, or `nohup` changes.
RESTORED = ("SIGCHLD", "SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT", "SIGQUIT", "SIGPIPE", "SIGXFSZ", "SIGXFZ")


class Control:
    """`fileno` becomes readable when a signal came; `stop` and `kill` then say what was asked."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)
        self.stop = False
        self.kill = False
        signal.signal(signal.SIGCHLD, self._handle)
        signal.signal(STOP_SIGNAL, self._handle)
        signal.signal(KILL_SIGNAL, self._handle)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self.reader

    def drain(self) -> None:
        try:
            while len(os.read(self.reader, 512)) == 512:
                pass
        except BlockingIOError:
            pass

    def _handle(self, number: int, _frame: Any) -> None:
        if number == STOP_SIGNAL:
            self.stop = True
        elif number == KILL_SIGNAL:
            self.kill = True


def block() -> None:
    """Hold signals back across a fork, so that none reaches a child that still has our handlers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def restore_defaults() -> None:
    """Give a step the signal dispositions that a process started from a shell has."""
    signal.set_wakeup_fd(-1)
    for name in RESTORED:
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
