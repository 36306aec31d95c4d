"""The sockets that a server listens on, and plain words where it cannot have them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from pathlib import Path

from cairn.errors import InputRefused

BACKLOG = 2048  # the kernel cuts it to net.core.somaxconn
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def bind(host: str, port: int) -> socket.socket:
    """Listening. Raises InputRefused saying why not, and what to do."""
    place = f"{_bracketed(host)}:{port}"
    if not 0 <= port < 65536:
        raise InputRefused("is no port", place=place)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except socket.gaierror as error:
        raise InputRefused(f"cannot be listened on: {error.strerror}", place=place) from None
    except OSError as error:
        raise _refused(error, place, port) from None


def address_of(sock: socket.socket) -> str:
    """HOST:PORT by which a client on this machine reaches it."""
    host, port = sock.getsockname()[:2]
    return f"{_bracketed(_EVERYWHERE.get(host, host))}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _refused(error: OSError, place: str, port: int) -> InputRefused:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        return InputRefused(
            f"is in use{f' by {holder}' if holder else ''}", place=place, remedy="end that, or choose another --port"
        )
    if error.errno == errno.EACCES:
        return InputRefused("is not for you to listen on", place=place, remedy="choose a --port above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return InputRefused("is not an address of this machine", place=place, remedy="choose another --host")
    return InputRefused(f"cannot be listened on: {error.strerror}", place=place)


def holder_of(port: int) -> str:
    """`python (process 4711)`; "" where that cannot be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return ""
    for process in filter(re.compile(r"\d+$").match, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for handle in os.scandir(f"/proc/{process}/fd"):
                if os.readlink(handle.path) in inodes:
                    name = Path(f"/proc/{process}/comm").read_text().strip()
                    return f"{name} (process {process})"
    return "a process of another user"
