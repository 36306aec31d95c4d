"""Worker pools whose replicas run shell scripts, and settings that run them on this machine."""

from __future__ import annotations

from typing import Any

from cairn.domain.runs import ImageMapping, RunSettings

HOST = RunSettings(images=(ImageMapping("*", "host"),))


def container(script: str, replicas: int = 1, machine: str = "e2-micro", **said: Any) -> dict[str, Any]:
    """`said`: more of the containerSpec."""
    return {
        "replicaCount": replicas,
        "machineSpec": {"machineType": machine},
        "containerSpec": {"imageUri": "example.com/trainer:1", "command": ["sh", "-ec", script], **said},
    }
