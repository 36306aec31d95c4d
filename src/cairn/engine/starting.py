"""An admitted attempt handed to its executor, with the devices and ports that it was given."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.leaves import Attempt
from cairn.engine.ports import AttemptExit
from cairn.engine.requests import Requests
from cairn.engine.services import Services
from cairn.errors import CairnError

if TYPE_CHECKING:
    from cairn.engine.addresses import Addresses


class Starter:
    """One engine's. `unstarted`: exits of attempts that could not be started; the engine's next turn takes them in, so
    that what follows of them is committed."""

    def __init__(self, services: Services) -> None:
        self.unstarted: deque[AttemptExit] = deque()
        self._services = services
        self._addresses: Addresses | None = None  # made when the first custom job needs some

    def start(self, attempt: Attempt, requests: Requests, devices: Sequence[int]) -> None:
        assert attempt.request is not None
        uid = attempt.request.uid
        try:
            ports = self._ports(uid, attempt.gang.ports) if attempt.gang is not None else []
        except (CairnError, OSError) as error:
            self._not_started(uid, str(error))
            return
        attempt.request = request = requests.settled(attempt, devices, ports)
        try:
            os.makedirs(request.directory, exist_ok=True)
        except OSError as error:
            self._not_started(uid, f"its directory cannot be made: {error}")
            return
        try:
            self._services.executor.start(request)
        except CairnError as error:  # there is no such executor any more
            self._not_started(uid, str(error))

    def ended(self, uid: str) -> None:
        """An attempt's ports are free again."""
        if self._addresses is not None:
            self._addresses.release(uid)

    def close(self) -> None:
        if self._addresses is not None:
            self._addresses.close()

    def _ports(self, uid: str, count: int) -> list[int]:
        if self._addresses is None:
            from cairn.engine.addresses import Addresses  # sockets and files that only custom jobs need

            self._addresses = Addresses()
        return self._addresses.take(uid, count)

    def _not_started(self, uid: str, message: str) -> None:
        self.unstarted.append(AttemptExit(uid, Exit(ExitReason.NOT_STARTED, message=message)))
