"""Steps of an engine that no server hosts, as clients of the home's own server.

What a native step has made (a job, a study) is asked for by the steps behind it, as they ask Vertex AI: `cairn run` has
no server for them. The home's background host answers; it is started when the first native step is.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from cairn.api.accounts.step_tokens import StepTokens
from cairn.api.steps import ServedSteps
from cairn.engine.background import BackgroundHost, HostState
from cairn.errors import CairnError

if TYPE_CHECKING:
    from cairn.engine.ports import StepSurroundings, Surroundings
    from cairn.wiring import Cairn


def at_home(cairn: Cairn) -> Surroundings | None:
    """For `wiring.Cairn.point_steps`. Returns at once: the host starts beside."""
    return HomeSteps(cairn) if cairn.settings.server.step_clients == "here" else None


class HomeSteps:
    """Implements `engine.ports.Surroundings`. The host stays until `close`."""

    def __init__(self, cairn: Cairn) -> None:
        self._home = cairn.home.root
        self._place = BackgroundHost(cairn.home.background)
        self._tokens = StepTokens(cairn.home.server, cairn.records)
        self._held = self._place.use()
        os.set_inheritable(self._held, False)  # a step that outlives us does not hold it
        self._served: tuple[HostState, ServedSteps] | None = None
        self._failure: CairnError | None = None
        self._starting = threading.Thread(target=self._start, name="home-steps", daemon=True)
        self._starting.start()

    def of_attempt(self, attempt_uid: str, project: str, directory: str) -> StepSurroundings:
        self._starting.join()
        if self._failure is not None:
            raise self._failure
        state = self._place.state() or self._place.ensured(self._home)  # it may have been ended by hand
        if self._served is None or self._served[0] != state:
            self._served = (state, ServedSteps(state.url, self._tokens, login=state.login))
        return self._served[1].of_attempt(attempt_uid, project, directory)

    def close(self) -> None:
        self._starting.join()
        os.close(self._held)

    def _start(self) -> None:
        try:
            self._place.ensured(self._home)
        except CairnError as error:
            self._failure = error
