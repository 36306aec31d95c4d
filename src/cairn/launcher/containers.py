"""The processes of an attempt as containers: created, heard, waited for and removed through the engine's API.

A container does not depend on its waiter: what a killed one leaves is found by the names in the mark (`CONTAINER_NAME`
in the attempt's directory), and removed by whoever finds the attempt without a waiter (`container_sweep`). Nor does it
depend on its engine, where that keeps containers alive while it restarts: the waiter comes back to them.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from cairn.launcher import processes
from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone, Reply
from cairn.launcher.container_member import Container, not_executed
from cairn.launcher.container_sweep import END_PATIENCE, remove, write_mark
from cairn.launcher.container_usage import Usage
from cairn.launcher.control import Control
from cairn.launcher.members import NEVER, Member, Members, Refused
from cairn.launcher.runtime import Call
from cairn.launcher.step import SHIM_VARIABLE, Plan, with_shim

QUIET_SECONDS = 0.008  # how long the output is left alone after a look, so that a chatty step does not wake the waiter
BEGIN_PATIENCE = 10.0  # for an engine that is just being restarted
GONE_PATIENCE = 300.0  # for an engine that is gone while containers of ours run
PING_SECONDS = 5.0
RETRY_SECONDS = 0.2
RING = 4 << 20  # bytes that the engine's own log may be behind; so it does not slow a chatty step down
FIRST_LOOK_SECONDS = 0.5  # after the start: a short step is not held up by being measured
LOOK_SECONDS = 1.0


class Containers(Members):
    def __init__(self, head: Dict[str, Any], fd: int, control: Control) -> None:
        """`fd` is the socket to Cairn's engine, -1 when it is closed."""
        super().__init__()
        told = head["containers"]
        self.enforced = told["limits"]
        self._head = head
        self._api = ContainerApi(told["socket"])
        self._patience: float = told.get("patience", GONE_PATIENCE)
        self._control = control
        self._fd = fd
        self._members: List[Container] = []
        self._running: List[Container] = []
        self._ended: List[Member] = []
        self._asked = False  # for containers to be created
        self._quiet_until = 0.0
        self._next_try = 0.0
        self._next_look = NEVER

    # --- the beginning --------------------------------------------------------------------------------------------

    def begin(self, plans: Sequence[Tuple[Plan, Dict[str, Any]]]) -> Optional[Call]:
        for plan, request in plans:
            self._members.append(Container(plan, request, self._head["log_limit"]))
            for mount in self._members[-1].body["HostConfig"]["Mounts"]:
                if os.path.normpath(mount["Target"]) == "/":
                    raise Refused("cannot show anything as '/': not a plain path below /")
        self.all.extend(self._members)
        write_mark(self._head["directory"], self._api.path, [member.name for member in self._members])
        deadline = time.monotonic() + min(BEGIN_PATIENCE, self._patience)
        while True:
            try:
                self._create()
                break
            except EngineGone as gone:
                if time.monotonic() > deadline:
                    raise Refused(no_engine(self._api.path, str(gone))) from None
                time.sleep(RETRY_SECONDS)
        write_mark(self._head["directory"], self._api.path, [member.name for member in self._members], created=True)
        self._running = list(self._members)
        self._start()
        self._next_look = time.monotonic() + FIRST_LOOK_SECONDS
        return None

    def _create(self) -> None:
        """All containers, at the same time; those that are there already (the answer was lost) are taken."""
        replies: List[Tuple[Container, Reply]] = []
        for member in self._members:
            if not member.id:
                self._complete(member.body)
                reply = self._api.begin("POST", "/containers/create", member.body, name=member.name)
                self._asked = True
                replies.append((member, reply))
        refusal = ""
        for member, reply in replies:
            try:
                member.id = reply.read()["Id"]
            except EngineError as error:
                found = self._api.inspect(member.name) if error.status == 409 else None
                member.id = found["Id"] if found is not None else ""
                if found is None:
                    refusal = refusal or _of(member, self._members) + _not_created(error, member.image)
        if refusal:
            raise Refused(refusal)

    def _complete(self, body: Dict[str, Any]) -> None:
        """What depends on the engine, and on what it says of the image."""
        if not self._api.is_podman:  # whose only log is in files, and needs no restart of it survived
            options = {"mode": "non-blocking", "max-buffer-size": str(RING), "max-size": "16m", "compress": "false"}
            body["HostConfig"]["LogConfig"] = {"Type": "local", "Config": options}
        variables = dict(entry.split("=", 1) for entry in body["Env"])
        if SHIM_VARIABLE in variables:  # it points Google's clients at Cairn's server, before the image's own modules
            if "PYTHONPATH" not in variables:
                found = self._api.call("GET", f"/images/{body['Image']}/json")
                own = dict(entry.split("=", 1) for entry in found["Config"].get("Env") or () if "=" in entry)
                variables["PYTHONPATH"] = own.get("PYTHONPATH", "")
            variables["PYTHONPATH"] = with_shim(variables[SHIM_VARIABLE], variables)
            body["Env"] = [f"{name}={value}" for name, value in variables.items()]

    def _start(self) -> None:
        """Start all at the same time. An engine that goes away meanwhile is come back to."""
        replies: List[Tuple[Container, Reply]] = []
        for member in self._members:
            try:
                member.stream = self._api.attach(member.id)
                replies.append((member, self._api.begin("POST", f"/containers/{member.id}/start")))
            except EngineGone:
                self._lose(member)
        refusal = ""
        for member, reply in replies:
            try:
                reply.read()
                member.waiting = self._api.wait(member.id)
            except EngineGone:
                self._lose(member)
            except EngineError as error:
                refusal = refusal or _of(member, self._members) + self._not_started(member, error)
        if refusal:
            raise Refused(refusal)

    def _not_started(self, member: Container, error: EngineError) -> str:
        command = member.plan.argv[0] if member.plan.argv else "the image's own command"
        if error.status in (400, 404) and re.search("no such file|not found|permission denied", error.message, re.I):
            return not_executed(command, error.message, member.image)
        return f"the container of {member.image} could not be started: {error.message}"

    # --- while it runs --------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return bool(self._running)

    def wait(self, until: float) -> Set[int]:
        now = time.monotonic()
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        if self._fd >= 0:
            poller.register(self._fd, select.POLLIN)
        quiet = now < self._quiet_until
        for member in self._running:
            if member.waiting is not None:
                poller.register(member.waiting, select.POLLIN)
            if member.stream is not None and not quiet:
                poller.register(member.stream, select.POLLIN)
        if quiet:
            until = min(until, self._quiet_until)
        if any(member.lost_at is not None for member in self._running):
            until = min(until, self._next_try)
        ready = poller.poll(None if until == NEVER else max(0.0, until - now) * 1000 + 0.5)
        found = {fd for fd, _ in ready}
        if self._control.reader in found:
            self._control.drain()
        for member in list(self._running):
            self._serve(member, found)
        self._come_back()
        return found

    def _serve(self, member: Container, found: Set[int]) -> None:
        if member.stream is not None and member.stream.fileno() in found:
            member.hear()
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            if member.stream.at_end:
                member.stream.close()
                member.stream = None
        if member.waiting is not None and member.waiting.fileno() in found:
            try:
                if member.waiting.poll()[0]:
                    self._see_end(member)
            except EngineGone:
                self._lose(member)
            except EngineError as error:
                self._end(member, gone=f"its container cannot be waited for: {error.message}")

    def _see_end(self, member: Container) -> None:
        """It does not run any more: take the rest of its output, and its exit. Raises EngineGone."""
        deadline = time.monotonic() + END_PATIENCE
        while member.stream is not None and not member.stream.at_end and time.monotonic() < deadline:
            select.select([member.stream], [], [], 0.1)
            member.hear()
        self._examine(member)

    def _examine(self, member: Container) -> None:
        """Go by what the engine says of the container now. Raises EngineGone."""
        found = self._api.inspect(member.id)
        state = found["State"] if found is not None else {"Status": "removing"}
        status = state.get("Status")
        if status in ("running", "paused", "restarting"):
            member.waiting = self._api.wait(member.id)
        elif status == "exited" or (status == "stopped" and state.get("FinishedAt")):
            member.inspected(state, tells_memory=not self._api.is_podman)
            self._end(member)
        else:  # whatever exit status it has is that of its removal
            member.number = signal.SIGKILL
            self._end(member, gone="its container was removed from outside while it ran")

    def _end(self, member: Container, gone: str = "") -> None:
        member.gone = gone
        member.let_go()
        member.lost_at = None
        self._running.remove(member)
        self._ended.append(member)

    def ended(self) -> List[Member]:
        ended, self._ended = self._ended, []
        return ended

    def forget(self, fd: int) -> None:
        if fd == self._fd:
            self._fd = -1

    def look(self, now: float) -> float:
        """The engine keeps limits; what is used is told in the exit, of containers that run for long enough."""
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            for member in self._running:
                self._measure(member)
            self.peak = max(self.peak, sum(member.usage.peak for member in self._members if member.usage is not None))
            self.cpu = sum(member.usage.cpu for member in self._members if member.usage is not None)
        return self._next_look

    def _measure(self, member: Container) -> None:
        if member.usage is None and member.lost_at is None:
            try:
                found = self._api.inspect(member.id)
            except (EngineGone, EngineError):
                return
            member.usage = Usage(member.id, found["State"].get("Pid", 0) if found is not None else 0)
        if member.usage is not None:
            member.usage.sample()

    def signal(self, number: int) -> None:
        replies = []
        for member in self._running:
            member.signal = number
            if member.lost_at is None:
                try:
                    target = f"/containers/{member.id}/kill"
                    replies.append(self._api.begin("POST", target, signal=signal.Signals(number).name))
                except EngineGone:
                    self._lose(member)
        for reply in replies:
            try:
                reply.read()
            except (EngineError, EngineGone):
                continue  # it does not run any more; or its engine does not, which is seen elsewhere
        if any(member.lost_at is not None for member in self._running):
            for pid in processes.marked(self._head["uid"]):  # without the engine's help, as far as that goes
                processes.send(pid, number)

    # --- an engine that went away ---------------------------------------------------------------------------------

    def _lose(self, member: Container) -> None:
        member.let_go()
        if member.lost_at is None:
            member.lost_at, member.lost_time = time.monotonic(), time.time()
            self._next_try = member.lost_at + RETRY_SECONDS

    def _come_back(self) -> None:
        now = time.monotonic()
        lost = [member for member in self._running if member.lost_at is not None]
        if not lost or now < self._next_try:
            return
        try:
            self._api.ping(PING_SECONDS)
            for member in lost:
                self._find(member)
        except EngineGone as gone:
            self._next_try = time.monotonic() + min(1.0, max(RETRY_SECONDS, (now - (lost[0].lost_at or now)) / 10))
            for member in lost:
                self._give_up(member, now, str(gone))
        except EngineError:
            self._next_try = now + 1.0

    def _find(self, member: Container) -> None:
        """Take a container up again, whatever has become of it meanwhile. Raises EngineGone."""
        found = self._api.inspect(member.id)
        if found is not None and found["State"].get("Status") == "created":
            member.stream = self._api.attach(member.id)
            try:
                self._api.call("POST", f"/containers/{member.id}/start")
            except EngineError as error:
                member.failure = self._not_started(member, error)
                self._end(member)
                return
        elif found is not None:
            self._hear_again(member)
        member.lost_at = None
        member.waiting = self._api.wait(member.id) if found is not None else None
        if found is None:
            self._examine(member)
        elif member.signal:
            self.signal(member.signal)

    def _hear_again(self, member: Container) -> None:
        """From the engine's own log: what was written meanwhile is in it. Raises EngineGone."""
        try:
            if member.heard <= RING:  # nothing can have been left out of it
                member.hear_again(self._api.logs(member.id))
            else:
                member.stream = self._api.logs(member.id, since=member.lost_time)
        except EngineError:  # an engine that keeps none
            member.stream = self._api.attach(member.id)

    def _give_up(self, member: Container, now: float, reason: str) -> None:
        if member.signal == signal.SIGKILL and not any(True for _ in processes.marked(self._head["uid"])):
            member.number = signal.SIGKILL
            self._end(member)
        elif now - (member.lost_at or now) > self._patience:
            seconds = f"{self._patience:g} seconds"
            what = f"{no_engine(self._api.path, reason)}; nothing was heard of container {member.name} for {seconds}"
            self._end(member, gone=what)

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        for member in self._members:
            member.let_go()
            member.pump.finish()
        left = [member.name for member in self._members] if self._asked else []
        deadline = time.monotonic() + min(END_PATIENCE, self._patience)
        while left:
            left = remove(self._api, left)[1]
            if not left or time.monotonic() > deadline:
                return  # an engine that does not answer keeps them until Cairn finds them by their label
            time.sleep(RETRY_SECONDS / 4)


def _of(member: Container, members: Sequence[Container]) -> str:
    return f"{member.plan.replica}: " if len(members) > 1 else ""


def _not_created(error: EngineError, image: str) -> str:
    if error.status == 404 and "image" in error.message.lower():
        return f"the image {image} is not in the container engine any more: {error.message}"
    return f"a container of {image} cannot be created: {error.message}"


def no_engine(engine_socket: str, reason: str) -> str:
    return (
        f"no container engine answers at {engine_socket}: {reason}; start it, or name another with DOCKER_HOST or "
        "[docker] socket of config.toml"
    )
