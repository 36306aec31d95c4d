"""What a server asks of those who call it, made once from `[server]`; and where it refuses to listen."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from cairn.errors import ConfigurationError

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords
    from cairn.config.settings import Settings

DEFAULT_RATE = 200.0  # requests per second of one identity that has logged in
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


class Policy(msgspec.Struct, frozen=True):
    host: str  # the address that is listened on
    login: bool  # without credentials nobody gets beyond what is public; else whoever comes is the owner
    hosts: frozenset[str]  # names that a Host header may say, in lower case, without a port
    any_address: bool = False  # … and every literal address: no page of elsewhere can have one of ours for its name
    origins: frozenset[str] = frozenset()  # of other sites, whose pages may call
    behind_proxy: bool = False
    only_secure: bool = False  # clear text is refused, but from this machine: a port may speak both
    rate: float = 0.0  # requests per second of one identity; 0: no limit
    burst: int = 1000
    body_limit: int = 32 * 1024 * 1024  # bytes of a JSON body

    def names(self, host: str) -> bool:
        """Whether a Host header (`name`, `name:port`, `[::1]:port`) means this server."""
        name = host_name(host)
        if name in self.hosts:
            return True
        address = _address(name)
        return address is not None and (self.any_address or is_loopback(name))

    def takes_origin(self, origin: str, host: str, *, secure: bool) -> bool:
        """Whether a page of `origin` may call: one of this server's own, or one that is allowed."""
        origin = origin.lower()
        if origin in self.origins:
            return True
        schemes = ("http", "https") if self.behind_proxy else ("https" if secure else "http",)
        return any(origin == f"{scheme}://{host.lower()}" for scheme in schemes)


def policy_of(settings: Settings, host: str = "") -> Policy:
    """`host`: where the server listens; "": where the settings say. Raises ConfigurationError."""
    from cairn.spec.quantities import parse_memory

    server = settings.server
    host = host or server.host
    local = is_loopback(host)
    login = server.authentication == "required" or (
        server.authentication == "auto" and not (local and not server.behind_proxy)
    )
    names = {*_LOOPBACK_NAMES, host_name(host), *(host_name(name) for name in server.allowed_hosts)}
    if not local:
        names.add(socket.gethostname().lower())
    limit = server.body_limit
    if server.requests_per_second < 0 or server.burst < 1:
        raise ConfigurationError("requests_per_second must not be negative, and burst at least 1", place="[server]")
    return Policy(
        host,
        login,
        frozenset(names - {""}),
        any_address=not local,
        origins=frozenset(origin.lower().rstrip("/") for origin in server.allowed_origins),
        behind_proxy=server.behind_proxy,
        only_secure=not local and not server.behind_proxy,
        rate=server.requests_per_second or (DEFAULT_RATE if login else 0.0),
        burst=server.burst,
        body_limit=parse_memory(limit) if isinstance(limit, str) else limit,
    )


def check_bind(settings: Settings, host: str = "", records: CredentialRecords | None = None) -> Policy:
    """The policy for a server on `host` ("": as the settings say). Raises ConfigurationError with the remedy where it
    would be open: beyond loopback, logins and TLS (or a proxy's) are not for choice.

    `records`: where credentials are looked for; without them, that somebody can log in is not checked.
    """
    server = settings.server
    policy = policy_of(settings, host)
    exposed = not is_loopback(policy.host) or server.behind_proxy
    if exposed and not policy.login:
        raise ConfigurationError(
            f"listening on {policy.host} without authentication would let everybody in who can reach it",
            place='[server] authentication = "off"',
            remedy='leave it at "auto", or listen on 127.0.0.1',
        )
    if server.tls == "files" and not (server.certificate and server.key):
        raise ConfigurationError("needs certificate and key", place='[server] tls = "files"', remedy="name both files")
    if not is_loopback(policy.host) and server.tls == "off" and not server.behind_proxy:
        raise ConfigurationError(
            f"listening on {policy.host} without TLS would show tokens to the network",
            place='[server] tls = "off"',
            remedy='set tls = "local" or "files", or behind_proxy = true where a proxy terminates TLS',
        )
    if not is_loopback(policy.host) and records is not None and not records.has_credentials(time.time_ns() // 1000):
        raise ConfigurationError(
            f"nobody could log in to a server on {policy.host}: no credential is recorded",
            place="[server]",
            remedy="`cairn tokens create NAME --all-projects --role admin` makes one",
        )
    return policy


def is_loopback(host: str) -> bool:
    """Of an address or `localhost`; any other name may lead anywhere."""
    name = host_name(host)
    address = _address(name)
    return name in _LOOPBACK_NAMES if address is None else address.is_loopback


def host_name(host: str) -> str:
    """`Name:8080`, `[::1]:8080`, `::1` → the name in lower case, without port, brackets and the root's dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.removesuffix(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
