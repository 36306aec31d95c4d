"""One process of an attempt as a container: what it writes, and how it ended."""

from __future__ import annotations

import os
import re
import signal
from typing import Any, Dict, Optional

from cairn.launcher.container_api import Reply, Stream
from cairn.launcher.container_usage import Usage
from cairn.launcher.logs import Pump
from cairn.launcher.long_words import too_long
from cairn.launcher.members import Member
from cairn.launcher.step import Plan

# What runc and crun say when the kernel refuses the words; the exit status is that of an ordinary failure.
TOO_LONG = re.compile(rb"\s*(?:\S+: )?exec [^\n]*: argument list too long\s*", re.IGNORECASE)
HEARD = 1024  # bytes of stderr's beginning that are looked at for the words of the container's init
# All that Docker's and Podman's init say when they cannot execute the command; they exit with 126 or 127.
INIT_FAILED = re.compile(
    rb"\s*(?:\[FATAL tini \(\d+\)\] exec (?P<name>.*) failed: (?P<why>.*)"
    rb"|(?:ERROR )?\(?catatonit(?::| \()\d+\)?:? failed to exec pid1: (?P<reason>.*))\s*",
    re.DOTALL,
)


class Container(Member):
    """One container of the attempt. `id` is "" until it was created."""

    def __init__(self, plan: Plan, request: Dict[str, Any], log_limit: int) -> None:
        """`request` has `container`: its name, its image's name and entrypoint, and the body that creates it."""
        super().__init__(plan, Pump(-1, -1, plan.directory, log_limit))
        container = request["container"]
        self.name: str = container["name"]
        self.image: str = container["image"]
        self.body: Dict[str, Any] = dict(container["body"])
        self.memory_limit = self.body["HostConfig"].get("Memory", 0)
        command = [*container["entrypoint"], *plan.command()]
        if command:  # else what the image says
            self.body.update(Entrypoint=command[:1], Cmd=command[1:])
        self.id = ""
        self.stream: Optional[Stream] = None
        self.waiting: Optional[Reply] = None
        self.lost_at: Optional[float] = None  # since when its engine is not heard of; None while it is
        self.lost_time = 0.0  # the same by the clock
        self.signal = 0  # to be sent when the engine is back
        self.usage: Optional[Usage] = None
        self._errors = b""  # the beginning of what it wrote to stderr
        self._size = {"stdout": 0, "stderr": 0}
        self._skip = {"stdout": 0, "stderr": 0}  # bytes that come a second time

    def hear(self) -> None:
        """Move what its stream holds into the logs."""
        stream = self.stream
        if stream is None:
            return
        stream.read()
        for name, data in stream.parts():
            again = min(self._skip[name], len(data))
            self._skip[name] -= again
            self._take(name, data[again:])

    def _take(self, name: str, data: bytes) -> None:
        if data:
            self._size[name] += len(data)
            if name == "stderr" and len(self._errors) < HEARD:
                self._errors += data[:HEARD]
            self.pump.take(name, data)

    @property
    def heard(self) -> int:
        return sum(self._size.values())

    def hear_again(self, stream: Stream) -> None:
        """A stream that begins with all that was heard already."""
        self.stream = stream
        self._skip = dict(self._size)

    def let_go(self) -> None:
        for connection in (self.stream, self.waiting):
            if connection is not None:
                connection.close()
        self.stream = self.waiting = None

    def inspected(self, state: Dict[str, Any], *, tells_memory: bool) -> None:
        """Take its end from what the engine says of it. `tells_memory`: whether that says if memory ran out."""
        code = int(state.get("ExitCode", -1))
        self.out_of_memory = bool(state.get("OOMKilled")) and code != 0
        if not tells_memory and code == 128 + signal.SIGKILL and not self.signal:  # nobody else is known to kill it
            self.out_of_memory = "Memory" in self.body["HostConfig"]
        if 128 < code <= 128 + signal.NSIG:
            self.number = code - 128
            return
        self.code = code
        if code and len(self._errors) < HEARD and TOO_LONG.fullmatch(self._errors):
            variables = dict(entry.split("=", 1) for entry in self.body["Env"])
            command = self.body.get("Entrypoint", []) + self.body.get("Cmd", [])
            why = too_long(command, variables) or "its arguments and variables are too long together"
            self.failure = not_executed(command[0] if command else "", why, self.image)
            return
        failed = INIT_FAILED.fullmatch(self._errors) if code in (126, 127) and len(self._errors) < HEARD else None
        if failed is not None:
            why = (failed.group("why") or failed.group("reason")).decode(errors="replace").strip()
            self.failure = not_executed(self.plan.argv[0] if self.plan.argv else "", why, self.image)


def not_executed(name: str, why: str, image: str) -> str:
    if os.sep not in name and re.search("no such file|not found", why, re.I):
        return f"command not found: {name!r} (in the image {image})"
    if re.search("exec format error", why, re.I):
        why += ": it is for another kind of processor, or a script without its first line `#!…`"
    return f"cannot execute {name!r} in the image {image}: {why}"
