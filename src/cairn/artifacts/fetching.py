"""Reading a file that somebody else names by its URI: from a bucket here, or over https.

The address that is connected to is the one that was checked: a name is looked up once. Redirects are followed by hand,
each one checked as the first.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from urllib.parse import urljoin, urlsplit

from cairn.artifacts import importing
from cairn.errors import InputRefused, NotFound, TooLarge

MAX_REDIRECTS = 5
SECONDS = 30.0  # for all of it
_CHUNK = 64 * 1024


def read_file(path: str, uri: str, limit: int) -> bytes:
    """Raises NotFound, InputRefused, TooLarge."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is nothing at {uri}") from None
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}", place=uri) from None
    if len(data) > limit:
        raise TooLarge(f"is larger than {limit} bytes", place=uri)
    return data


def fetch(url: str, limit: int, *, allow_private_hosts: bool) -> bytes:
    """GET it. Raises InputRefused for an address that may not be asked or that does not answer, TooLarge."""
    until = time.monotonic() + SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        _check(url, allow_private_hosts)
        try:
            answer = _asked(url, limit, until, allow_private_hosts)
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            late = time.monotonic() >= until
            why = f"takes longer than {SECONDS:.0f} s" if late else f"cannot be fetched: {error}"
            raise InputRefused(why, place=url) from None
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise InputRefused(f"redirects more than {MAX_REDIRECTS} times", place=url)


def _check(url: str, allow_private_hosts: bool) -> None:
    """Raises InputRefused. Without encryption only where private hosts may be asked."""
    scheme = url.partition(":")[0].lower()
    if scheme != "https" and not (scheme == "http" and allow_private_hosts):
        raise InputRefused("is not https", place=url)
    importing.check(url, allow_private_hosts=allow_private_hosts)


def _asked(url: str, limit: int, until: float, allow_private_hosts: bool) -> bytes | str:
    """The content, or where it is to be looked for instead."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    connected = _connected(url, host, port, until, allow_private_hosts)
    # A time-out counts from byte to byte; this one ends an answer that drips.
    spare = connected.dup()
    watch = threading.Timer(max(0.0, until - time.monotonic()), _shut, (spare,))
    watch.start()
    connection = http.client.HTTPConnection(host, port)
    connection.sock = connected
    try:
        if parts.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"})
        response = connection.getresponse()
        if response.status in (301, 302, 303, 307, 308):
            return urljoin(url, response.headers.get("Location", ""))
        if response.status != 200:
            raise InputRefused(f"answers {response.status} {response.reason}", place=url)
        data = response.read(limit + 1)
        if len(data) > limit:
            raise TooLarge(f"is larger than {limit} bytes", place=url)
        if response.length or time.monotonic() >= until:  # without a length, being shut looks like the end
            raise OSError("the answer breaks off")
        return data
    finally:
        watch.cancel()
        connection.close()
        connected.close()
        spare.close()


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _connected(url: str, host: str, port: int, until: float, allow_private_hosts: bool) -> socket.socket:
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not allow_private_hosts and not all(_is_public(str(address[0])) for *_, address in addresses):
        raise InputRefused(f"{host} is on a private network", place=url)
    error: OSError = OSError("there is no address")
    for family, kind, protocol, _, address in addresses:
        found = socket.socket(family, kind, protocol)
        found.settimeout(max(0.1, until - time.monotonic()))
        try:
            found.connect(address)
        except OSError as failure:
            found.close()
            error = failure
        else:
            return found
    raise error


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and (inner := found.ipv4_mapped or found.sixtofour) is not None:
        return inner.is_global
    return found.is_global and not found.is_multicast
