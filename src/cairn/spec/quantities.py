"""Kubernetes quantities of CPU and memory, and counts of accelerators.

Source: Kubernetes `resource.Quantity`: a decimal number and a suffix, binary (Ki … Ei), decimal (n, u, m, k … E) or an
exponent (12e6).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

from cairn.errors import SpecError

_QUANTITY = re.compile(r"\+?([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:([eE][-+]?[0-9]{1,2})|([a-zA-Z]{1,2}))?$")
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(1000), "K": Decimal(1000)}
_DECIMAL.update({letter: Decimal(1000) ** power for power, letter in enumerate("MGTPE", 2)})
_MOST = Decimal(2) ** 63 - 1


def parse_cpu(text: str) -> int:
    """'500m', '2', '0.5' → thousandths of a core, rounded up. Raises SpecError."""
    return _whole(_quantity(text, "CPU", "'500m', '2' or '0.5'") * 1000, text, "CPU")


def parse_memory(text: str) -> int:
    """'4Gi', '1.5G', '512M', '1000000' → bytes, rounded up. Raises SpecError."""
    return _whole(_quantity(text, "memory", "'4Gi', '512M' or a number of bytes"), text, "memory")


def parse_count(text: str) -> int:
    """A number of accelerators. Raises SpecError; Kubernetes knows no part of one."""
    value = _quantity(text, "accelerators", "a whole number such as '1'")
    if value != value.to_integral_value():
        raise SpecError(f"{text!r} is no number of accelerators", remedy="a whole number such as '1' is right")
    return _whole(value, text, "accelerators")


def _quantity(text: str, what: str, right: str) -> Decimal:
    match = _QUANTITY.match(text.strip())
    suffix = match.group(3) if match else None
    if match is None or (suffix and suffix not in _BINARY and suffix not in _DECIMAL):
        raise SpecError(f"{text[:60]!r} is no amount of {what}", remedy=f"{right} are right")
    value = Decimal(match.group(1) + (match.group(2) or ""))
    return value * (_BINARY.get(suffix) or _DECIMAL[suffix]) if suffix else value


def _whole(value: Decimal, text: str, what: str) -> int:
    if value > _MOST:
        raise SpecError(f"{text[:60]!r} is too much {what}")
    return int(value.to_integral_value(ROUND_CEILING))


def accelerator_family(type_: str) -> str:
    """'nvidia', 'amd', 'tpu', or "" for a type that is not known.

    Names are Kubernetes resources (`nvidia.com/gpu`), GKE labels (`nvidia-tesla-t4`) and Vertex AI's AcceleratorType
    (`NVIDIA_TESLA_T4`, `NVIDIA_H100_80GB`, `TPU_V3`).
    """
    name = type_.strip().lower().replace("_", "-")
    if name.startswith(("nvidia-", "nvidia.com/")):
        return "nvidia"
    if name.startswith("amd.com/"):
        return "amd"
    return "tpu" if name.startswith(("tpu-", "google.com/tpu", "cloud-tpus.google.com/")) else ""
