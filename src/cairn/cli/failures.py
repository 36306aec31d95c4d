"""What a failed step said last, cut to what is the user's own."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cairn.cli import nouns, output
from cairn.domain.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cairn.cli.user_source import Place
    from cairn.domain.runs import AttemptRecord, Run
    from cairn.engine.report import Leaf

SHOWN = 3  # failed steps that are told in full
TAIL_BYTES = 32 * 1024
TAIL_LINES = 20

_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)$')
_TRACE = "Traceback (most recent call last):"
_OURS = re.compile(
    r"(?:/kfp/dsl/(?:executor|executor_main|kfp_config|task_final_status)\.py|/kfp/components/|/cairn/launcher/"
    r"|^<frozen (?:runpy|importlib[\w.]*)>|/runpy\.py|/importlib/)"
)
_LOGGER = re.compile(r"\[KFP Executor [^]]*\]: ")
_DUMP = "]: Got executor_input:"
_COMPILED = "ephemeral_component.py"


def last_attempts(attempts: list[AttemptRecord]) -> dict[str, AttemptRecord]:
    """The latest attempt that failed, by task path."""
    return {one.path: one for one in attempts if one.state in (AttemptState.FAILED, AttemptState.LOST)}


def explain(run: Run, leaf: Leaf, attempt: AttemptRecord | None, *, with_trace: bool) -> list[str]:
    """Lines about one failed step: what it said, where in the user's file, and the command for the whole log."""
    message = leaf.error.message if leaf.error else "failed"
    lines = [f"{leaf.path} failed: {output.clean(message)}"]
    said, compiled = [], ""
    if attempt is not None:
        from cairn.engine.last_words import failed_directory  # only for a failure

        directory = failed_directory(attempt.directory, attempt.exit.message if attempt.exit else "")
        said, compiled = tail(directory, whole=with_trace), _compiled(directory)
    if said:
        places = _places(run, compiled)
        lines += [f"    {line}" for line in (said if with_trace else shorten(said, places))[-TAIL_LINES * 2 :]]
    if leaf.error is not None and leaf.error.remedy:
        lines.append(f"  → {output.clean(leaf.error.remedy)}")
    if attempt is not None:
        lines.append(f"  whole log: {nouns.logs_command(run, _quoted(leaf.path))}")
    return lines


def shorten(said: list[str], places: Sequence[Place]) -> list[str]:
    """The last lines without frames of kfp's executor and ours; the user's file and line for the compiled one's."""
    found: list[str] = []
    hiding = False
    for line in said:
        frame = _FRAME.match(line)
        if frame is not None:
            hiding = bool(_OURS.search(frame["file"]))
            if not hiding:
                found.append(_own(frame, places))
        elif hiding and line.startswith("    "):
            continue  # the source line of a hidden frame, and the carets below it
        else:
            hiding = False
            found.append(line)
    trace = max((at for at, line in enumerate(found) if line.strip() == _TRACE), default=0)
    return found[max(0, min(trace, len(found) - 1)) :] if len(found) - trace > 1 else found[-TAIL_LINES:]


def _own(frame: re.Match[str], places: Sequence[Place]) -> str:
    if os.path.basename(frame["file"]) == _COMPILED:
        for place in places:
            own = place.line(int(frame["line"]))
            if own is not None:
                return f'  File "{place.file}", line {own}, in {frame["name"]}'
    return frame[0]


def _places(run: Run, compiled: str) -> list[Place]:
    if not compiled or not run.source:
        return []
    from cairn.cli import user_source  # ast: only for a failure

    return user_source.find_all(run.source, compiled)


def _compiled(directory: str) -> str:
    try:
        with open(os.path.join(directory, "component", _COMPILED), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def tail(directory: str, *, whole: bool = False) -> list[str]:
    """The end of the attempt's standard error, of its standard output when that is empty. Without what kfp's executor
    logs of itself, unless `whole`."""
    for stream in ("stderr", "stdout"):
        try:
            with open(os.path.join(directory, f"{stream}.log"), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            continue
        lines = [output.clean(line.rpartition("\r")[2]).rstrip() for line in text.split("\n")]
        lines = lines[1:] if size > TAIL_BYTES else lines
        lines = lines if whole else own_words(lines)
        while lines and not lines[-1]:
            lines.pop()
        if lines:
            return lines
    return []


def own_words(lines: list[str]) -> list[str]:
    """Lines without kfp's logger, whose dump of the executor's input goes over many lines of indented JSON.

    A dump whose beginning has been cut off is known by its end.
    """
    found: list[str] = []
    dumped = _rest_of_a_dump(lines)
    for at, line in enumerate(lines):
        if at < dumped:
            continue
        if _LOGGER.match(line):
            if line.endswith(_DUMP):
                dumped = next((end + 1 for end in range(at + 1, len(lines)) if lines[end] in ("}", "{}")), len(lines))
            continue
        found.append(line)
    return found


def _rest_of_a_dump(lines: list[str]) -> int:
    """How many lines at the beginning are the end of a dump."""
    for at, line in enumerate(lines):
        if line == "}":
            return at + 1
        if not line.startswith("    "):
            break
    return 0


def _quoted(path: str) -> str:
    return f"'{path}'" if "[" in path else path
