"""Durations as people write them: the same on the command line and in configurations."""

from __future__ import annotations

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MOST = 1e10
RIGHT = "write a number with s, m, h, d or w: 30d"


def seconds_of(text: str) -> float:
    """Seconds of "90", "0.5s", "15m", "12h", "30d". Raises ValueError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    seconds = float(number) * _SECONDS[unit]
    if not 0 <= seconds < _MOST:
        raise ValueError(text)
    return seconds
