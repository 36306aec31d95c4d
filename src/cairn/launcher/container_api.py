"""A container engine's HTTP API over its socket: Docker's, and what Podman's does alike.

https://docs.docker.com/reference/api/engine/ . Paths name no version: each engine then speaks the newest it knows, and
what is used here is in all of them. HTTP/1.0: one connection for each call, ended by the engine, so that no answer has
to be cut into chunks.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import quote, urlencode

PATIENCE = 120.0  # seconds for one call; a busy engine may take its time to start a container
CHUNK = 1 << 16
FRAME = struct.Struct(">BxxxI")  # stream (1 stdout, 2 stderr), length of what follows


_podman: Dict[str, bool] = {}  # by socket


class EngineGone(Exception):
    """Nothing answers at the socket, or it stopped in the middle of an answer."""


class EngineError(Exception):
    """The engine says no: its HTTP status, and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Reply:
    """A call under way: several can be, each on a connection of its own."""

    def __init__(
        self,
        path: str,
        method: str,
        target: str,
        body: Any = None,
        *,
        upgrade: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        """Connect to the socket at `path` and send the request. Raises EngineGone."""
        self.status = 0
        self._rest = b""
        self._what = f"{method} {target}"
        text = b"" if body is None else json.dumps(body).encode()
        # Only a connection that is taken over needs HTTP/1.1.
        lines = [f"{method} {target} HTTP/1.{1 if upgrade else 0}", "Host: engine", f"Content-Length: {len(text)}"]
        lines += ["Content-Type: application/json"] if text else []
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(patience)
            self._socket.connect(path)
            self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + text)
        except OSError as error:
            self._socket.close()
            raise EngineGone(error.strerror or str(error)) from None

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> Any:
        """Wait for the whole answer: its JSON, or None for an empty one. Raises EngineError, EngineGone."""
        try:
            self._read_head()
            parts = [self._rest]
            while parts[-1] or len(parts) == 1:
                parts.append(self._receive())
        finally:
            self.close()
        return self._decoded(b"".join(parts))

    def read_head(self) -> bytes:
        """Wait for the answer's head, and no longer. Raises EngineGone."""
        try:
            return self._read_head()
        finally:
            self.close()

    def take_over(self) -> "Stream":
        """The connection, as a stream of frames, once the engine agreed. Raises EngineError, EngineGone."""
        try:
            self._read_head()
            if self.status >= 300:
                self._decoded(self._rest + self._receive())
        except BaseException:
            self.close()
            raise
        return Stream(self._socket, self._rest)

    def poll(self) -> Tuple[bool, Any]:
        """(whether the answer is complete, it): never waits. Raises EngineError, EngineGone when it never will be."""
        self._socket.setblocking(False)
        try:
            while True:
                data = self._receive()
                if not data:
                    break
                self._rest += data
        except BlockingIOError:
            return False, None
        self.close()
        self._read_head()
        answer = self._decoded(self._rest)
        if answer is None:
            raise EngineGone(f"{self._what}: the answer broke off")
        return True, answer

    def close(self) -> None:
        self._socket.close()

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._rest:
            data = self._receive() if self._socket.fileno() >= 0 else b""
            if not data:
                raise EngineGone(f"{self._what}: the answer broke off")
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        self.status = int(head.split(None, 2)[1])
        return head

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(CHUNK)
        except BlockingIOError:
            raise
        except socket.timeout:
            raise EngineGone(f"{self._what}: no answer in time") from None
        except OSError as error:
            raise EngineGone(f"{self._what}: {error.strerror}") from None

    def _decoded(self, text: bytes) -> Any:
        try:
            answer = json.loads(text.decode()) if text.strip() else None
        except ValueError:
            if self.status < 300:
                raise EngineGone(f"{self._what}: the answer broke off") from None
            answer = None
        if self.status >= 300:
            message = answer.get("message") if isinstance(answer, dict) else text.decode(errors="replace").strip()
            raise EngineError(self.status, str(message or f"{self._what}: status {self.status}"))
        return answer


class Stream:
    """Both output streams of a container, on one connection."""

    def __init__(self, connection: socket.socket, first: bytes) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._buffer = bytearray(first)
        self.at_end = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> int:
        """Take what has arrived, at most a megabyte; returns how many bytes that were."""
        total = 0
        while total < 16 * CHUNK:
            try:
                data = self._socket.recv(4 * CHUNK)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.at_end = True
                break
            self._buffer += data
            total += len(data)
        return total

    def parts(self) -> Iterator[Tuple[str, bytes]]:
        """(stream, bytes) of what was read: long frames piece by piece, as they arrive."""
        while len(self._buffer) > FRAME.size:
            kind, length = FRAME.unpack_from(self._buffer)
            end = min(FRAME.size + length, len(self._buffer))
            data = bytes(self._buffer[FRAME.size : end])
            left = length - len(data)
            del self._buffer[:end]
            if left:  # the rest of the frame gets a head of its own
                self._buffer[:0] = FRAME.pack(kind, left)
            yield "stderr" if kind == 2 else "stdout", data

    def close(self) -> None:
        self._socket.close()


class ContainerApi:
    """One engine. Every method but `begin` waits for the answer; all raise EngineGone and EngineError."""

    def __init__(self, path: str) -> None:
        self.path = path

    def begin(self, method: str, target: str, body: Any = None, **query: Any) -> Reply:
        return Reply(self.path, method, _with_query(target, query), body)

    def call(self, method: str, target: str, body: Any = None, **query: Any) -> Any:
        return self.begin(method, target, body, **query).read()

    def ping(self, patience: float) -> None:
        Reply(self.path, "GET", "/_ping", patience=patience).read_head()

    @property
    def is_podman(self) -> bool:
        if self.path not in _podman:
            _podman[self.path] = b"libpod" in Reply(self.path, "GET", "/_ping").read_head().lower()
        return _podman[self.path]

    def attach(self, container: str) -> Stream:
        """What the container writes from now on. Before its start: all that it ever writes."""
        target = _with_query(f"/containers/{container}/attach", {"stream": 1, "stdout": 1, "stderr": 1})
        return Reply(self.path, "POST", target, upgrade=True).take_over()

    def logs(self, container: str, since: float = 0.0) -> Stream:
        """All that the container has written (since that time, in seconds of the epoch) and goes on writing."""
        query = {"follow": 1, "stdout": 1, "stderr": 1, "since": f"{since:.9f}"}
        target = _with_query(f"/containers/{container}/logs", query)
        return Reply(self.path, "GET", target).take_over()

    def wait(self, container: str) -> Reply:
        """An answer that is complete when the container does not run any more."""
        return self.begin("POST", f"/containers/{container}/wait")

    def inspect(self, container: str) -> Optional[Dict[str, Any]]:
        """None where there is none of that name or id."""
        try:
            found: Dict[str, Any] = self.call("GET", f"/containers/{quote(container)}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(self, label: str) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = self.call(
            "GET", "/containers/json", all=1, filters=json.dumps({"label": [label]})
        )
        return found


def _with_query(target: str, query: Dict[str, Any]) -> str:
    return f"{target}?{urlencode(query)}" if query else target
