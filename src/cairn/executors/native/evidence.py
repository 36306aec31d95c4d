"""What a native attempt leaves in its directory: `native.json` when it begins, `exit.json` when it is over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from cairn.domain.runs import Exit
from cairn.engine.ports import NativeCall, StartAttempt
from cairn.executors.native import MARK
from cairn.launcher import processes
from cairn.launcher.waiting import EXIT_NAME


class Begun(msgspec.Struct, frozen=True):
    """`start_time`: microseconds since the Unix epoch."""

    call: NativeCall
    start_time: int
    timeout_seconds: float = 0.0
    directories: tuple[str, ...] = ()


def write_begun(request: StartAttempt, start_time: int) -> Begun:
    """Raises OSError."""
    assert request.native is not None
    begun = Begun(request.native, start_time, request.timeout_seconds, request.create_directories)
    _write(request.directory, MARK, msgspec.json.encode(begun))
    return begun


def read_begun(directory: str) -> Begun | None:
    """None where there is nothing that can be gone on with."""
    try:
        return msgspec.json.decode(Path(directory, MARK).read_bytes(), type=Begun)
    except (OSError, msgspec.DecodeError):
        return None


def write_exit(directory: str, ended: Exit) -> None:
    """With the boot that it belongs to, as every waiter does. Raises OSError."""
    found = {**msgspec.to_builtins(ended), "boot": processes.boot_id()}
    _write(directory, EXIT_NAME, json.dumps(found).encode())


def _write(directory: str, name: str, content: bytes) -> None:
    path = os.path.join(directory, name)
    with open(path + ".tmp", "wb") as file:
        file.write(content)
    os.rename(path + ".tmp", path)
