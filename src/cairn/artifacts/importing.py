"""What an importer may name."""

from __future__ import annotations

import os
import re

from cairn.artifacts import locations
from cairn.errors import InputRefused

ALLOWED = ("", "file", *locations.MOUNTS, *sorted(locations.REMOTE))

_NUMERIC_HOST = re.compile(r"^(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}$", re.IGNORECASE)


def check(uri: str, *, allow_private_hosts: bool) -> None:
    """Raises InputRefused for a scheme we do not know, an escape from a bucket, or a private host."""
    if "\0" in uri or "\n" in uri or "\r" in uri:
        raise InputRefused("holds a control character", place=repr(uri))
    scheme = locations.scheme_of(uri)
    if scheme not in ALLOWED:
        raise InputRefused(
            f"scheme {scheme!r} cannot be imported",
            place=uri,
            remedy=f"use a path, {', '.join(each for each in ALLOWED if each)}",
        )
    if scheme in locations.MOUNTS:
        locations.split_bucket(uri)
    elif scheme in locations.REMOTE:
        _check_remote(uri, scheme, allow_private_hosts=allow_private_hosts)
    else:
        locations.file_path(uri)


def check_readable(path: str, uri: str) -> None:
    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise InputRefused("cannot be read by you", place=uri)


def _check_remote(uri: str, scheme: str, *, allow_private_hosts: bool) -> None:
    from urllib.parse import urlsplit  # only importers of web addresses pay for it

    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputRefused(f"is no URL: {error}", place=uri) from None
    if not host:
        raise InputRefused("names no host", place=uri)
    locations.check_key(parts.path.lstrip("/"), uri)
    if scheme == "oci":
        return  # recorded, never fetched by us
    if parts.username or parts.password:
        raise InputRefused(
            "holds credentials", place=f"{scheme}://{host}{parts.path}", remedy="leave them out of the URI"
        )
    if not allow_private_hosts and _is_private(host):
        raise InputRefused(
            f"{host} is on a private network",
            place=uri,
            remedy="set [artifacts] allow_private_hosts = true in config.toml when that is intended",
        )


def _is_private(host: str) -> bool:
    """By the name alone: nothing is looked up, and whoever fetches checks the address it connects to."""
    lowered = host.lower().rstrip(".")
    if lowered == "localhost" or lowered.endswith((".localhost", ".local", ".internal", ".home.arpa")):
        return True
    import ipaddress

    try:
        return not ipaddress.ip_address(lowered.partition("%")[0]).is_global
    except ValueError:
        pass
    if _NUMERIC_HOST.match(lowered):  # 127.1, 0x7f000001, 2130706433: forms that resolvers take for an address
        return True
    return "." not in lowered and ":" not in lowered
