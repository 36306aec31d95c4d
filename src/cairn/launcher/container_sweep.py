"""Removing containers, also those of a waiter that was killed: they are found by the mark that it made before them."""

from __future__ import annotations

import json
import os
import time
from typing import List, Optional, Sequence, Tuple

from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone, Reply
from cairn.launcher.waiting import CONTAINER_NAME

END_PATIENCE = 10.0
CREATE_SECONDS = 2.0  # how long a creation that a killed waiter has asked for may still take
RETRY_SECONDS = 0.05


def write_mark(directory: str, engine_socket: str, names: Sequence[str], *, created: bool = False) -> None:
    """Before anything is created, so that it will be found; and again once it was. No secrets."""
    path = os.path.join(directory, CONTAINER_NAME)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump({"socket": engine_socket, "containers": list(names), "created": created}, file)
    os.rename(path + ".tmp", path)


def sweep(directory: str) -> None:
    """Remove the containers of an attempt whose waiter is gone. An engine that does not answer keeps them."""
    try:
        with open(os.path.join(directory, CONTAINER_NAME), encoding="utf-8") as file:
            mark = json.load(file)
    except (OSError, ValueError):
        return
    api = ContainerApi(mark["socket"])
    left = mark["containers"]
    deadline = time.monotonic() + (END_PATIENCE if mark["created"] else CREATE_SECONDS)
    while left:
        removed, kept = remove(api, left)
        # What the waiter has asked for just before it was killed may still come.
        left = kept if mark["created"] else [name for name in left if name not in removed]
        if not left or time.monotonic() > deadline or len(kept) == len(mark["containers"]):
            return
        time.sleep(RETRY_SECONDS)


def remove(api: ContainerApi, names: Sequence[str]) -> Tuple[List[str], List[str]]:
    """End and remove containers with their anonymous volumes, at the same time: (which were there, which still are)."""
    there, kept = [], []
    replies: List[Tuple[str, Optional[Reply]]] = []
    for name in names:
        try:
            replies.append((name, api.begin("DELETE", f"/containers/{name}", force=1, v=1)))
        except EngineGone:
            replies.append((name, None))
    for name, reply in replies:
        try:
            if reply is None:
                raise EngineGone("")
            reply.read()
            there.append(name)
        except EngineGone:
            kept.append(name)
        except EngineError as error:
            if error.status != 404:  # 409: somebody is removing it just now
                kept.append(name)
    return there, kept
