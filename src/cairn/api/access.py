"""Who asks, and what a route asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

import msgspec

from cairn.errors import NotFound, PermissionDenied

EVERY_PROJECT = "*"


class Role(IntEnum):
    """Each includes the ones before it."""

    NONE = 0
    VIEWER = 1
    EDITOR = 2
    ADMIN = 3


class Identity(msgspec.Struct, frozen=True):
    """Who was authenticated. `roles` is by project; `*` counts for every project.

    `attempt` is set for a step: the token is good for that attempt, in that one project, as long as it runs.
    """

    name: str
    roles: Mapping[str, Role]
    attempt: str = ""

    def role_in(self, project: str) -> Role:
        return max(self.roles.get(project, Role.NONE), self.roles.get(EVERY_PROJECT, Role.NONE))

    @property
    def projects(self) -> frozenset[str] | None:
        """The projects it may look into; None: all of them."""
        if self.roles.get(EVERY_PROJECT, Role.NONE) >= Role.VIEWER:
            return None
        return frozenset(name for name, role in self.roles.items() if role >= Role.VIEWER)


class Scope(StrEnum):
    PUBLIC = "public"  # anybody, without authentication: probes and the token endpoint
    PROJECT = "project"  # `role` in the project that the request names; another project answers as if it had nothing
    ANY = "any"  # any identity with `role` in at least one project; the handler keeps to `call.identity.projects`
    SERVER = "server"  # `role` in every project: what concerns the installation as a whole


class Access(msgspec.Struct, frozen=True):
    scope: Scope
    role: Role = Role.VIEWER


PUBLIC = Access(Scope.PUBLIC, Role.NONE)
READ = Access(Scope.PROJECT, Role.VIEWER)
WRITE = Access(Scope.PROJECT, Role.EDITOR)
READ_ANY = Access(Scope.ANY, Role.VIEWER)
WRITE_ANY = Access(Scope.ANY, Role.EDITOR)
ADMINISTER = Access(Scope.SERVER, Role.ADMIN)


def visible(identity: Identity, project: str) -> bool:
    """Whether it may see what is in `project`: for handlers of routes with scope ANY, which filter by it."""
    return identity.role_in(project) >= Role.VIEWER


def require(identity: Identity, project: str, role: Role = Role.VIEWER) -> None:
    """Raises NotFound for a project of others, which is as if it were not there, and PermissionDenied for too low a
    role. For a project that a request names elsewhere than in its path, and for routes with scope ANY."""
    held = identity.role_in(project)
    if held is Role.NONE:
        raise NotFound(f"there is no project {project!r}")
    if held < role:
        raise PermissionDenied(f"needs the role {role.name.lower()} in project {project!r}")
