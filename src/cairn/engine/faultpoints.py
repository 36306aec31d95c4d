"""Named points at which a test can kill the engine: `CAIRN_FAULT=NAME` or `NAME:N` (the N-th time it is reached).

The kill is SIGKILL, as the kernel or an operator would do it. Unset, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_COMMITTED = (
    *(f"run.{state}" for state in ("pending", "running", "cancelling", "succeeded", "failed", "cancelled")),
    *(f"task.{state}" for state in ("cached", "succeeded", "failed", "skipped", "cancelled")),
    *(f"task.{kind}" for kind in ("leaf.pending", "dag.running", "loop.running")),
    *(f"attempt.{state}" for state in ("running", "succeeded", "failed", "cancelled", "lost")),
)
POINTS = frozenset(
    (
        *(f"{when}:{what}" for what in _COMMITTED for when in ("before", "after")),  # around each commit
        "lease.claimed",  # a run was taken, nothing else done
        "started:attempt",  # the executor was told to start what was admitted
        "outputs.published",  # an attempt's outputs are digested, their commit is to come
        "environment.built",  # the tasks that waited for it have not gone on
        "lease.released",  # the run has ended and was given back
    )
)


def _parse(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition(":")
    return (name, int(count)) if count.isdecimal() else (text, 1)


_NAME, _left = _parse(os.environ.get("CAIRN_FAULT", ""))
_TRACE = os.environ.get("CAIRN_FAULT_TRACE", "")


def point(name: str) -> None:
    """Reach the fault point `name`: die here if the environment says so."""
    if not _NAME and not _TRACE:
        return
    _reach(name)


def _reach(name: str) -> None:
    global _left
    if _TRACE:
        with open(_TRACE, "a", encoding="utf-8") as trace:
            trace.write(name + "\n")
    if name == _NAME:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
