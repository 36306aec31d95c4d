"""Telling a step which of the machine's accelerators are its own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cairn.engine.ports import ProcessSpec, StartAttempt
from cairn.spec.quantities import accelerator_family

# The variables that each family's runtime reads. An accelerator of no known type is taken for NVIDIA's.
_VARIABLES = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    "tpu": ("TPU_VISIBLE_CHIPS",),
}


def with_devices(request: StartAttempt, indices: Sequence[int]) -> StartAttempt:
    """The request with the variables that name the devices it was given, unless the step sets them itself.

    Where the shell that started Cairn sees a part of the machine only (CUDA_VISIBLE_DEVICES=2,3), indices count in it.
    """
    names = _VARIABLES[accelerator_family(request.resources.accelerator_type) or "nvidia"]
    shares = shared_out(indices, [_wanted(process, indices) for process in request.processes])
    processes = tuple(
        _with_variables(process, names, share) for process, share in zip(request.processes, shares, strict=True)
    )
    return msgspec.structs.replace(request, processes=processes)


def shared_out(indices: Sequence[int], wanted: Sequence[int]) -> list[list[int]]:
    """Which of the devices each replica has: its own, one after another; where there are fewer than are asked for, they
    are begun anew. One that asks for none has none."""
    shares: list[list[int]] = []
    at = 0
    for count in wanted:
        shares.append([indices[(at + step) % len(indices)] for step in range(min(count, len(indices)))])
        at += count
    return shares


def _wanted(process: ProcessSpec, indices: Sequence[int]) -> int:
    return process.resources.accelerators if process.resources is not None else len(indices)


def _with_variables(process: ProcessSpec, names: Sequence[str], indices: Sequence[int]) -> ProcessSpec:
    variables = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if "CUDA_VISIBLE_DEVICES" in names else {}
    for name in names:
        shell = [device.strip() for device in process.environment.variables.get(name, "").split(",") if device.strip()]
        seen = [shell[index] if index < len(shell) else str(index) for index in indices]
        variables[name] = ",".join(seen)
    return msgspec.structs.replace(process, variables={**variables, **process.variables})
