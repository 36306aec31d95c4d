"""What a step asks of the machine, and what the machine has."""

from __future__ import annotations

import msgspec


class Resources(msgspec.Struct, frozen=True):
    """Requests are admission; limits are ceilings (0: none).

    CPU in thousandths of a core, memory in bytes, accelerators in whole devices of one type.
    """

    cpu_millis: int = 1000
    memory_bytes: int = 0
    accelerators: int = 0
    accelerator_type: str = ""
    cpu_limit_millis: int = 0
    memory_limit_bytes: int = 0


class Capacity(msgspec.Struct, frozen=True):
    """What one machine offers to all runs of a home together."""

    cpu_millis: int
    memory_bytes: int
    accelerators: int = 0
