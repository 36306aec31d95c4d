"""What steps have written, as it grows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from cairn.domain.runs import AttemptRecord
from cairn.errors import InputRefused, NotFound
from cairn.launcher.logs import STREAMS, interleaved, log_path

_CHUNK = 1 << 16
_REPLICA = re.compile(r"replica-(\d+)-(.+)")  # as `launcher/step.py` names their directories


def choose(attempts: Sequence[AttemptRecord], path: str, number: str | None) -> list[AttemptRecord]:
    """Attempts of one task or of all, in the order in which they started; `number`: one of them, or `all`, or None for
    the latest of each task. Raises NotFound, InputRefused."""
    mine = [one for one in attempts if not path or one.path == path]
    if number is None:
        mine = list({one.path: one for one in mine}.values())
    elif number != "all":
        if not number.isdigit():
            raise InputRefused(f"{number!r} is no attempt", place="--attempt", remedy="give a number, or all")
        known = mine
        mine = [one for one in mine if one.number == int(number)]
        if not mine:
            numbers = ", ".join(sorted({str(one.number) for one in known})) or "none"
            raise NotFound(f"there is no attempt {number}", place=path, remedy=f"there are: {numbers}")
    return sorted(mine, key=lambda one: (one.start_time, one.path))


def replicas(one: AttemptRecord) -> list[tuple[str, AttemptRecord]]:
    """Each process of an attempt that has logs of its own, with its name and as an attempt in its directory: first the
    chief, or the only one, whose name is ""."""
    found: list[tuple[int, str, str]] = []
    try:
        for entry in os.scandir(one.directory):
            if named := _REPLICA.fullmatch(entry.name):
                found.append((int(named[1]), named[2], entry.path))
    except OSError:
        pass  # deleted, or not there yet
    others = [(name, msgspec.structs.replace(one, directory=path)) for _, name, path in sorted(found)]
    return [("", one), *others]


class LogTail:
    """What has come to an attempt's logs since the last look; of one that had ended, all of it in its order."""

    def __init__(self, one: AttemptRecord) -> None:
        self.directory = one.directory
        self.done = False
        self._offsets = dict.fromkeys(STREAMS, 0)

    def more(self, *, ended: bool) -> Iterator[tuple[str, bytes]]:
        """(stream, bytes). `ended`: the attempt had ended before this look, so that this is the last."""
        if self.done:
            return
        if ended and not any(self._offsets.values()):
            yield from interleaved(self.directory)
        else:
            for stream in STREAMS:
                yield from self._grown(stream)
        self.done = ended

    def _grown(self, stream: str) -> Iterator[tuple[str, bytes]]:
        try:
            with open(log_path(self.directory, stream), "rb") as file:
                file.seek(self._offsets[stream])
                while data := file.read(_CHUNK):
                    self._offsets[stream] += len(data)
                    yield stream, data
        except FileNotFoundError:
            return
