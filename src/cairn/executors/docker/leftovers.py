"""Containers that nobody could remove: their waiter was killed, or their engine did not answer when they ended."""

from __future__ import annotations

from cairn.executors.docker.bodies import LABEL, inode
from cairn.executors.process.recovery import is_held
from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone
from cairn.launcher.container_sweep import remove


def sweep(socket: str, home: str) -> None:
    """Remove the containers of a home whose attempts have no waiter.

    One has a waiter from before it is created until it is removed, so nothing that is wanted is met. An engine that
    does not answer is asked another time.
    """
    api = ContainerApi(socket)
    try:
        found = api.list(f"{LABEL}home={home}")
    except (EngineGone, EngineError):
        return
    here = inode(home)  # a Cairn in a container may have another home of that name, in the same engine
    ours = [one for one in found if one["Labels"].get(f"{LABEL}home.inode") == here]
    lost = [one["Id"] for one in ours if not is_held(one["Labels"].get(f"{LABEL}directory", ""))]
    remove(api, lost)
