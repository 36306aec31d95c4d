"""Words to the user: standard output for results, standard error for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import msgspec

from cairn.errors import CairnError

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "") != "dumb"
    except ValueError:  # closed
        return False


def colours(stream: TextIO) -> bool:
    """https://no-color.org: any value that is not empty."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, style: str, stream: TextIO) -> str:
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colours(stream) else text


def clean(text: str) -> str:
    """Without what a terminal would obey: control characters are shown, line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _shown(each) for each in text)


def one_line(text: str, limit: int = 0) -> str:
    """In one line and, with `limit`, in that many characters."""
    text = " ".join(clean(text).split())
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def say(text: str = "") -> None:
    """One line on standard output. A closed pipe raises BrokenPipeError, which ends the command quietly."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line on standard error; nobody reading it is no reason to stop."""
    write_error(text + "\n")


def note_building(line: str) -> None:
    """What uv says while an environment is built, but for each of the packages installed."""
    if not line.lstrip().startswith("+ "):
        note(one_line(line, 200))


def write_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        _discard(2)


def silence() -> None:
    """Nobody reads standard output any more: let the interpreter's last flush go nowhere."""
    _discard(1)


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def print_json(value: Any) -> None:
    """One value in one line: the last line of standard output."""
    say(msgspec.json.encode(value, enc_hook=str).decode())


def complain(error: CairnError) -> None:
    """`error: message`, where, and what to do next."""
    place = f"{clean(error.place)}: " if error.place else ""
    note(f"{paint('error:', 'red', sys.stderr)} {place}{clean(error.message)}")
    if error.remedy:
        note(f"  {paint('→', 'cyan', sys.stderr)} {clean(error.remedy)}")


def warn(text: str) -> None:
    note(f"{paint('warning:', 'yellow', sys.stderr)} {clean(text)}")


def painter(stream: TextIO) -> Callable[[str, str], str]:
    """`paint` for one stream, asked once whether it takes colours."""
    if not colours(stream):
        return lambda text, _style: text
    return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m"
