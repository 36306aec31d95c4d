"""A container that does one thing and answers with what it writes."""

from __future__ import annotations

import select
import time
from typing import Any

from cairn.environments.redaction import redact
from cairn.environments.uv_command import Progress
from cairn.launcher.container_api import ContainerApi, EngineError

_REMOVAL_SECONDS = 20.0  # a busy engine takes its time with a container's files


def run_to_end(
    api: ContainerApi, name: str, body: dict[str, Any], progress: Progress | None = None
) -> tuple[str, list[str]]:
    """(standard output, lines of standard error); `progress` hears each of those as it comes.

    A container of the same name is one that an earlier caller has left: it is removed. Raises EngineError, EngineGone.
    """
    container = _create(api, name, body)
    try:
        stream = api.attach(container)
        try:
            api.call("POST", f"/containers/{container}/start")
            output = bytearray()
            said = _Lines(progress)
            while not stream.at_end:
                select.select([stream], [], [])
                stream.read()
                for kind, data in stream.parts():
                    if kind == "stderr":
                        said.take(data)
                    else:
                        output += data
        finally:
            stream.close()
        return output.decode(errors="replace"), said.end()
    finally:
        remove(api, container)


def _create(api: ContainerApi, name: str, body: dict[str, Any]) -> str:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        remove(api, name)
        try:
            return str(api.call("POST", "/containers/create", body, name=name)["Id"])
        except EngineError as error:
            if error.status != 409 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # the earlier one is just being removed


def remove(api: ContainerApi, container: str) -> None:
    """End it; one that is not there is no error. Raises EngineError, EngineGone."""
    try:
        api.call("DELETE", f"/containers/{container}", force=1, v=1)
    except EngineError as error:
        if error.status not in (404, 409):  # it is gone, or going
            raise


class _Lines:
    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lines: list[str] = []
        self._rest = b""

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._add(line)

    def end(self) -> list[str]:
        if self._rest:
            self._add(self._rest)
        return self._lines[-200:]

    def _add(self, line: bytes) -> None:
        text = redact(line.decode(errors="replace").rstrip())
        self._lines.append(text)
        if self._progress is not None and text:
            self._progress(text)
