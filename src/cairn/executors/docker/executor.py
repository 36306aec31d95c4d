"""`engine.ports.Executor` for containers."""

from __future__ import annotations

import threading

from cairn.config.container_engine import user_of
from cairn.config.settings import DockerSettings
from cairn.engine.ports import Environment, StartAttempt
from cairn.executors.docker import leftovers
from cairn.executors.docker.bodies import Maker
from cairn.executors.process.executor import GRACE_SECONDS, ProcessExecutor
from cairn.executors.process.request import HOST_KEY, encode_start

_HOST = Environment(HOST_KEY)
GONE_SECONDS = 300.0
SWEEP_PATIENCE = 2.0
SWEEP_SECONDS = 60.0


class DockerExecutor(ProcessExecutor):
    """Runs each process of an attempt as a container, under the same waiters: `cairn.launcher.containers`.

    Waiters run on this machine, in Cairn's own interpreter; the engine is asked by them alone. No process of a
    container outlives its attempt's exit, and no container does while its engine answers.
    """

    name = "docker"

    def __init__(
        self,
        socket: str,
        settings: DockerSettings,
        *,
        home: str = "",
        grace_seconds: float = GRACE_SECONDS,
        gone_seconds: float = GONE_SECONDS,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        """`socket` is the path of the engine's; `home` labels the containers, and those that nobody could remove are
        looked for, at once and every `sweep_seconds`. `gone_seconds`: how long an engine that
        went away is waited for by the attempts that it runs."""
        super().__init__(grace_seconds=grace_seconds)
        self._socket = socket
        self._gone_seconds = gone_seconds
        self._maker = Maker(settings, user_of(settings, socket), home)
        self._sweeping: threading.Thread | None = None
        self._closed = threading.Event()
        if home:
            self._sweeping = threading.Thread(
                target=self._sweep, args=(home, sweep_seconds), name="cairn-sweep", daemon=True
            )
            self._sweeping.start()

    def _sweep(self, home: str, seconds: float) -> None:
        """A server lives long, and the container engine may be away when a step ends."""
        while True:
            leftovers.sweep(self._socket, home)
            if self._closed.wait(seconds):
                return

    def close(self) -> None:
        self._closed.set()
        if self._sweeping is not None:
            self._sweeping.join(SWEEP_PATIENCE)
        super().close()

    def can_mount(self, executor: str = "docker") -> bool:  # noqa: ARG002 - a container can always be shown things
        return True

    def _waiters_environment(self, environment: Environment) -> Environment:  # noqa: ARG002
        return _HOST

    def _frame(self, request: StartAttempt) -> bytes:
        maker = self._maker
        containers = {
            "socket": self._socket,
            "patience": self._gone_seconds,
            "limits": maker.limits(request),
            "open": maker.is_stranger,
        }
        told = {
            "containers": containers,
            "create_directories": [*request.create_directories, *maker.directories(request)],
        }
        # All that a process of this machine would be told of its surroundings is in the container's description.
        parts = [
            {"container": maker.container(request, number), "variables": {}, "links": [], "template": ""}
            for number in range(len(request.processes))
        ]
        return encode_start(request, grace_seconds=self._grace, besides=told, of_processes=parts)
