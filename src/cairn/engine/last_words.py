"""What a failed step said last, in one line, for the error that everybody sees: lists, APIs, the table of a sweep."""

from __future__ import annotations

import os
import re

from cairn.launcher.logs import log_path

TAIL_BYTES = 16 * 1024
MAX_LENGTH = 300  # characters
FEW_LINES = 3  # of a step that is no Python: beyond, its last line may be anything

_TRACE = "Traceback (most recent call last):"
_HYDRA = "Error executing job with overrides:"  # hydra._internal.utils.run_and_report
_HINT = "Set the environment variable HYDRA_FULL_ERROR=1"
_RAISED = re.compile(r"[A-Za-z_][\w.]*(?::\s.*)?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\U0010ffff]+")


def failed_directory(directory: str, message: str) -> str:
    """Where the logs of the one that an exit's message names are: `workerpool1-0: exit status 1`, of an attempt with
    several processes; else the attempt's own directory."""
    name, colon, _ = message.partition(": ")
    if colon:
        try:
            entries = [entry.path for entry in os.scandir(directory) if entry.name.endswith(f"-{name}")]
        except OSError:
            entries = []
        if len(entries) == 1 and os.path.basename(entries[0]).startswith("replica-"):
            return entries[0]
    return directory


def last_words(directory: str) -> str:
    """The exception of the last traceback on stderr, `ValueError: no such layer`; of another command the last line, if
    it wrote but a few; "" when it said nothing of use."""
    try:
        with open(log_path(directory, "stderr"), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = _UNPRINTABLE.sub(" ", _COLOUR.sub("", _exception(lines) or _of_hydra(lines) or _last_of_few(lines))).strip()
    return said if len(said) <= MAX_LENGTH else said[: MAX_LENGTH - 1] + "…"


def _exception(lines: list[str]) -> str:
    """The line after the frames of the last traceback."""
    begins = [number for number, line in enumerate(lines) if line.strip() == _TRACE]
    for line in lines[begins[-1] + 1 :] if begins else ():
        if line and not line[0].isspace():
            return line if _RAISED.fullmatch(line) else ""
    return ""


def _of_hydra(lines: list[str]) -> str:
    """What Hydra says of an error of its own or of `instantiate`, which it shows without a traceback."""
    begins = [number for number, line in enumerate(lines) if line.startswith(_HYDRA)]
    if not begins:
        return _of_composing(lines)
    first = next((line for line in lines[begins[-1] + 1 :] if line.strip()), "")
    return "" if first.strip() == _TRACE else first


def _of_composing(lines: list[str]) -> str:
    """What it says before there is a job: a paragraph, an empty line and a hint. Warnings go before, each with a line
    of source that is indented by two."""
    words = [line.rstrip() for line in lines]
    while words and not words[-1]:
        words.pop()
    if len(words) < 3 or not words[-1].startswith(_HINT) or words[-2]:
        return ""
    paragraph: list[str] = []
    for line in reversed(words[:-2]):
        if not line or re.match(r"  \S", line):
            break
        paragraph.insert(0, line)
    return paragraph[0] if paragraph else ""


def _last_of_few(lines: list[str]) -> str:
    words = [line for line in lines if line.strip()]
    return words[-1] if 0 < len(words) <= FEW_LINES and _TRACE not in map(str.strip, words) else ""
