"""`cairn.hydra`: Hydra programs as ordinary KFP components. See `cairn.sdk.hydra`."""

from __future__ import annotations

from cairn.sdk.hydra import Key, component

__all__ = ["Key", "component"]
