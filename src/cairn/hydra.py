"""`cairn.hydra`: Hydra programs as ordinary KFP components. See `cairn.sdk.hydra`."""

from __future__ import annotations
