"""The one gate in front of every route, REST and gRPC: deny by default.

Where no logins are asked for (on loopback, unless configured otherwise) everybody is the owner, whatever credentials
they send: unmodified clients send Google's, or ones that were made up. Only a step's token counts there too: code that
uses it is held to its project.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cairn.api.access import EVERY_PROJECT, Access, Identity, Role, Scope, require
from cairn.api.accounts.authentication import Authentication
from cairn.api.accounts.limits import RateLimit
from cairn.api.accounts.policy import is_loopback
from cairn.errors import PermissionDenied, Unauthenticated

if TYPE_CHECKING:
    from cairn.api.accounts.policy import Policy
    from cairn.api.context import Context

NOBODY = Identity("nobody", {})
OWNER = Identity("owner", {EVERY_PROJECT: Role.ADMIN})

_FAILURES = (2.0, 20)  # failed logins of one peer: a second, at once
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_log = logging.getLogger("cairn.accounts")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a request before it is let in. `headers`: names in lower case (gRPC metadata likewise)."""

    headers: Mapping[str, str]
    peer: str = ""  # address of the other end, "" when not known
    secure: bool = False


class Gate:
    """`admit` says who it is, `authorise` whether they may. Threads: any; neither blocks, but for a look into the
    records at a token that has not come for some seconds."""

    def __init__(self, context: Context, policy: Policy) -> None:
        """`policy`: what `check_bind` says of the address that is listened on."""
        cairn = context.cairn
        self.policy = policy
        self.authentication = Authentication(cairn.home.server, cairn.records, self.policy.names)
        self._requests = RateLimit(self.policy.rate, self.policy.burst)
        self._failures = RateLimit(*_FAILURES)
        context.shared["accounts"] = self

    def admit(self, arrival: Arrival) -> Identity:
        """Check host and origin, authenticate, count against the rate. NOBODY when no credentials came and some are
        needed. Raises Unauthenticated for wrong ones, PermissionDenied for a wrong host or origin, TooManyRequests."""
        if self.policy.only_secure and not (arrival.secure or is_loopback(arrival.peer)):
            raise PermissionDenied("this server is for TLS only beyond loopback", remedy="say https://")
        self._check_host(arrival)
        self._check_origin(arrival)
        peer = self._peer(arrival)
        identity = self._identity(arrival.headers.get("authorization", ""), peer)
        # Nobody is many: each address has a bucket of its own.
        self._requests.take(f"nobody@{peer}" if identity is NOBODY else identity.name)
        return identity

    def authorise(self, identity: Identity, access: Access, project: str = "") -> None:
        """Raises Unauthenticated, PermissionDenied, and NotFound for a project that is not the identity's."""
        if access.scope is Scope.PUBLIC:
            return
        if identity is NOBODY:
            raise Unauthenticated("credentials are missing", remedy="send Authorization: Bearer TOKEN")
        if access.scope is Scope.PROJECT:
            require(identity, project, access.role)
            return
        if access.scope is Scope.SERVER:
            role = identity.role_in(EVERY_PROJECT)
        else:
            role = max(identity.roles.values(), default=Role.NONE)
        if role < access.role:
            raise PermissionDenied(f"needs the role {access.role.name.lower()}")

    def sharing(self, arrival: Arrival) -> dict[str, str]:
        """Headers by which a browser lets a page of an allowed origin read the answer; none for our own pages."""
        origin = arrival.headers.get("origin", "")
        if origin.lower() not in self.policy.origins:
            return {}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "content-range, etag, location, retry-after, x-goog-hash",
            "vary": "origin",
        }

    def preflight(self, arrival: Arrival, method: str) -> dict[str, str] | None:
        """What a browser's question before a request of another origin is answered with; None when it is none.
        `admit` has refused by then those that are not allowed."""
        if method != "OPTIONS" or "access-control-request-method" not in arrival.headers:
            return None
        return {
            **self.sharing(arrival),
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": arrival.headers.get("access-control-request-headers", ""),
            "access-control-max-age": "600",
        }

    def close(self) -> None:
        self.authentication.close()

    def _check_host(self, arrival: Arrival) -> None:
        # A page of elsewhere whose name was made to lead here (DNS rebinding) sends that name.
        host = arrival.headers.get("host", "") or arrival.headers.get(":authority", "")
        if not self.policy.names(host):
            raise PermissionDenied(
                f"{host[:100]!r} is no name of this server", remedy="add it to allowed_hosts in [server]"
            )

    def _check_origin(self, arrival: Arrival) -> None:
        headers = arrival.headers
        origin = headers.get("origin")
        if origin is not None:
            if not self.policy.takes_origin(origin, headers.get("host", ""), secure=arrival.secure):
                remedy = "add it to allowed_origins in [server]"
                raise PermissionDenied(f"pages of {origin[:100]!r} may not call this server", remedy=remedy)
            return
        # Browsers send no Origin with some requests for what a page embeds; somebody following a link is fine.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            raise PermissionDenied("pages of other sites may not call this server")

    def _identity(self, authorization: str, peer: str) -> Identity:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        bearer = scheme.lower() == "bearer" and bool(token)
        if not self.policy.login:
            counts = bearer and self.authentication.steps.recognises(token)
            return self._verified(token, peer) if counts else OWNER
        if not authorization:
            return NOBODY
        if not bearer:
            raise Unauthenticated("these credentials are not understood", remedy="send Authorization: Bearer TOKEN")
        return self.authentication.known(token) or self._verified(token, peer)

    def _verified(self, token: str, peer: str) -> Identity:
        self._failures.check(peer)
        try:
            return self.authentication.identity(token)
        except Unauthenticated as error:
            self._failures.take(peer)
            _log.warning("a login from %s failed: %s", peer or "an unknown address", error.message)
            raise

    def _peer(self, arrival: Arrival) -> str:
        if self.policy.behind_proxy:  # what the proxy itself has added stands last
            return arrival.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or arrival.peer
        return arrival.peer
