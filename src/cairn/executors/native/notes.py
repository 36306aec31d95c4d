"""What an operation says of its work: the attempt's stdout.log, so that `cairn runs logs` shows it."""

from __future__ import annotations

from collections.abc import Iterable

from cairn.launcher.logs import log_path


class Notes:
    """Lines are appended and are in the file when a call returns. A file that cannot be written stops no work."""

    def __init__(self, directory: str) -> None:
        self._path = log_path(directory, "stdout")
        self._said = ""

    def say(self, *lines: str) -> None:
        self._write(lines)

    def now(self, line: str) -> None:
        """Said unless it was the last that `now` said: a state, each time it is looked at."""
        if line != self._said:
            self._said = line
            self._write((line,))

    def _write(self, lines: Iterable[str]) -> None:
        try:
            with open(self._path, "a", encoding="utf-8", errors="replace") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError:
            return
