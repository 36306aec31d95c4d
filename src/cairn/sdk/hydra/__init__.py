"""Hydra programs as components, and Hydra jobs as steps.

>>> import cairn.hydra
>>> train = cairn.hydra.component("train/main.py", name="train", image="acme/train:1", inputs=["train.lr"])
"""

from __future__ import annotations

from cairn.sdk.hydra.components import component
from cairn.sdk.hydra.keys import Key

__all__ = ["Key", "component"]
