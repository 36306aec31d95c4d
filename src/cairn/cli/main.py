"""Entry of the command `cairn`."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 (a run failed), 2 (refused), 70 (a defect of ours), 130 (cancelled)."""
    _lighten()
    from cairn.cli.boundary import guarded

    return guarded(sys.argv[1:] if arguments is None else arguments)


def _lighten() -> None:
    """Let msgspec do without typing_extensions, which costs 20 ms to import and gives it nothing on Python 3.11."""
    if "typing_extensions" in sys.modules or "msgspec" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]
