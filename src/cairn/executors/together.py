"""Several executors as one: each attempt goes to the one that its request names."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping
from pathlib import Path

from cairn.engine.ports import AttemptExit, Environment, Executor, StartAttempt
from cairn.errors import CairnError, UnsupportedFeature


class ExecutorsTogether:
    """`made` makes an executor when the first attempt wants it; `marks` says which file in an attempt's directory tells
    that an executor has started it. What no mark tells is the first one's."""

    name = "together"

    def __init__(self, made: Mapping[str, Callable[[], Executor]], marks: Mapping[str, str]) -> None:
        self._makers = dict(made)
        self._marks = dict(marks)
        self._first = next(iter(made))
        self._members: dict[str, Executor] = {}
        self._started: dict[str, str] = {}  # attempt uid → executor
        self._selector = selectors.DefaultSelector()
        self._member(self._first)

    def fileno(self) -> int:
        fd: int = self._selector.fileno()  # epoll and kqueue have one
        return fd

    def can_mount(self, executor: str = "process") -> bool:
        return self._member(executor).can_mount(executor)

    def warm(self, environment: Environment, slots: int) -> None:
        self._member(environment.executor).warm(environment, slots)

    def start(self, request: StartAttempt) -> None:
        """Raises what making its executor raises."""
        self._member(request.executor).start(request)
        self._started[request.uid] = request.executor

    def adopt(self, uid: str, directory: str) -> bool:
        name = next((name for name, mark in self._marks.items() if Path(directory, mark).exists()), self._first)
        try:
            member = self._member(name)
        except CairnError:  # it cannot be made any more; what its attempts have left is ended all the same
            name, member = self._first, self._member(self._first)
        adopted = member.adopt(uid, directory)
        if adopted:
            self._started[uid] = name
        return adopted

    def stop(self, uid: str, *, kill: bool = False) -> None:
        if uid in self._started:
            self._member(self._started[uid]).stop(uid, kill=kill)

    def collect(self) -> list[AttemptExit]:
        exits = [ended for member in self._members.values() for ended in member.collect()]
        for ended in exits:
            self._started.pop(ended.uid, None)
        return exits

    def close(self) -> None:
        for member in self._members.values():
            self._selector.unregister(member.fileno())
            member.close()
        self._members.clear()
        self._selector.close()

    def _member(self, name: str) -> Executor:
        """Raises UnsupportedFeature for an executor that there is none of, and what making it raises."""
        member = self._members.get(name)
        if member is None:
            if name not in self._makers:
                known = ", ".join(self._makers)
                raise UnsupportedFeature(f"there is no executor {name!r}", remedy=f"there are {known}")
            member = self._members[name] = self._makers[name]()
            self._selector.register(member.fileno(), selectors.EVENT_READ)
        return member
