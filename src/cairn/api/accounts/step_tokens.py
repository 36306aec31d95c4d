"""A step's own token: good for its attempt, in its run's project, as long as the attempt runs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.api.access import Identity, Role
from cairn.api.accounts.sealing import STEP, Seal, home_key
from cairn.errors import Unauthenticated

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords

LIFETIME = 30 * 86400  # seconds, at most: what counts is whether the attempt runs
_RECHECK = 2.0  # seconds
_TABLE = 4096


class StepTokens:
    """Threads: any. `directory` is the home's `server/`."""

    def __init__(self, directory: Path, records: CredentialRecords) -> None:
        self._seal = Seal(home_key(directory), STEP)
        self._records = records
        self._running: OrderedDict[str, tuple[str | None, float]] = OrderedDict()  # attempt → (its project, until)
        self._lock = threading.Lock()

    def issue(self, attempt_uid: str, project: str, *, lifetime: int = LIFETIME) -> str:
        """To be given to the attempt's process and to nobody else; it is good once the start is recorded."""
        return self._seal.issue({"sub": attempt_uid, "project": project, "exp": int(time.time()) + lifetime})

    def recognises(self, token: str) -> bool:
        return self._seal.recognises(token)

    def identity(self, token: str) -> Identity:
        """Raises Unauthenticated, also when the attempt has ended."""
        claims = self._seal.open(token)
        attempt, project = claims["sub"], claims["project"]
        if self._project(attempt) != project:
            raise Unauthenticated("the attempt that this token was for has ended")
        return Identity(f"step:{attempt}", {project: Role.EDITOR}, attempt)

    def _project(self, attempt: str) -> str | None:
        now = time.monotonic()
        with self._lock:
            known, until = self._running.get(attempt, (None, 0.0))
        if now < until:
            return known
        project = self._records.project_of_running(attempt)
        with self._lock:
            # One that does not run may be about to be recorded: only what runs is remembered.
            if project is not None:
                self._running[attempt] = (project, now + _RECHECK)
                self._running.move_to_end(attempt)
            else:
                self._running.pop(attempt, None)
            while len(self._running) > _TABLE:
                self._running.popitem(last=False)
        return project
