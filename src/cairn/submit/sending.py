"""A request handed to its client program, in a process and an environment of its own, and what that says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import CairnError, InputRefused, SubmissionFailed
from cairn.submit.requests import Request

_PROGRAMS = Path(__file__).with_name("clients")
_PATIENCE_SECONDS = 5.0  # for a program that is told to end


class Event(msgspec.Struct, frozen=True):
    """One line of a client program: `clients/telling.py`."""

    event: str  # submitted | state | task | note | failed
    name: str = ""
    id: str = ""
    state: str = ""
    task: str = ""
    text: str = ""
    error: str = ""
    message: str = ""
    remedy: str = ""
    status: int = 1
    trace: str = ""


@contextmanager
def sending(
    program: str, request: Request, python: str, variables: Mapping[str, str | None]
) -> Iterator[Iterator[Event]]:
    """The events of `program` with `request`, as they come. Leaving the block ends the program, never the run.

    `variables`: set for it over this process's own; None: taken out. What it prints goes to standard error. An
    interrupt of the terminal does not reach it: whether a request was taken must not be left open in the middle.
    SIGTERM and SIGHUP are interrupts here, so that nothing is left behind. Raises SubmissionFailed where it
    ends without a word.
    """
    environ = {name: value for name, value in os.environ.items() if name not in variables}
    environ |= {name: value for name, value in variables.items() if value is not None}
    with _interrupted_by_signals(), tempfile.TemporaryDirectory(prefix="cairn-submit-") as folder:
        path = Path(folder) / "request.json"
        path.write_bytes(msgspec.json.encode(request))
        process = subprocess.Popen(
            [python, str(_PROGRAMS / program), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
        try:
            yield _events(process)
        finally:
            _end(process)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """In the main thread; a signal that is ignored (nohup) stays so."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if threading.current_thread() is threading.main_thread() and signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _events(process: subprocess.Popen[bytes]) -> Iterator[Event]:
    stream = process.stdout
    assert stream is not None  # a pipe was asked for
    for line in stream:
        event = msgspec.json.decode(line, type=Event)
        yield event
        if event.event == "failed":
            return
    status = process.wait()
    if status:
        raise SubmissionFailed(f"the client's process ended with status {status}", remedy="look at what it said above")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def failure_of(event: Event, title: str) -> CairnError:
    """What a `failed` event comes to: refused (2) or failed (1)."""
    kind = InputRefused if event.status == InputRefused.exit_status else SubmissionFailed
    return kind(event.message, place=title, remedy=event.remedy)


def shown(request: Request) -> str:
    """The request as JSON to be read, without what is about this process."""
    told = msgspec.to_builtins(msgspec.structs.replace(request, watch="", traceback=False))
    return json.dumps(told, indent=2, ensure_ascii=False)
