"""The processes of an attempt, wherever they run: what is known of each, and what their owner can do with them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from cairn.launcher.logs import Pump
from cairn.launcher.runtime import Call
from cairn.launcher.step import Plan

NEVER = float("inf")


class Refused(Exception):
    """The attempt cannot begin; the message is for the user."""


class Member:
    """One process of the attempt, and what is known of its end."""

    def __init__(self, plan: Plan, pump: Pump) -> None:
        self.plan = plan
        self.pump = pump
        self.code: Optional[int] = None  # exit status, when it exited
        self.number: Optional[int] = None  # of the signal that ended it
        self.failure = ""  # why its command was never executed
        self.gone = ""  # how it vanished without an exit of its own
        self.out_of_memory = False
        self.memory_limit = 0  # of its own, in bytes; 0: it has none but the attempt's

    @property
    def failed(self) -> bool:
        return bool(self.code != 0 or self.failure or self.gone)


class Members:
    """All of an attempt. `Children` and `Containers` are such; every method is called by the attempt's one thread.

    `enforced`, `peak` and `cpu` are what the exit tells: limits that were kept ("memory:cgroup"), the most memory that
    was used in bytes, seconds of CPU.
    """

    def __init__(self) -> None:
        self.all: List[Member] = []
        self.enforced: List[str] = []
        self.exceeded = False  # more memory was used than the limit allows: to be killed by the attempt
        self.peak = 0
        self.cpu = 0.0

    def begin(self, plans: Sequence[Tuple[Plan, Dict[str, Any]]]) -> Optional[Call]:
        """Start all, or raise Refused or OSError; what was started by then is ended by `kill_all` and `finish`.

        In a forked step it returns what to call, else None.
        """
        raise NotImplementedError

    @property
    def running(self) -> bool:
        raise NotImplementedError

    def wait(self, until: float) -> Set[int]:
        """Pump logs until something happened, or the monotonic clock says `until`: descriptors that are ready."""
        raise NotImplementedError

    def ended(self) -> List[Member]:
        """Which have ended since the last call."""
        raise NotImplementedError

    def forget(self, fd: int) -> None:
        """The engine's descriptor is closed and not to be waited for any more."""
        raise NotImplementedError

    def look(self, now: float) -> float:
        """Measure what is limited or told, when it is time to; the time of the next look."""
        raise NotImplementedError

    def signal(self, number: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """End whatever is left of it, and close the logs."""
        raise NotImplementedError
