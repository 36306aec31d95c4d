"""Namespaces as projects: which of them a call may look into, and where what it makes goes.

Namespace "" sees the runs of every project that the caller may see, and stands for one project where names must be
unique and for what is made: `default`, or the caller's only one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.domain.runs import DEFAULT_PROJECT
from cairn.errors import NotFound, PermissionDenied


class _Owned(Protocol):
    @property
    def project(self) -> str: ...


T = TypeVar("T", bound=_Owned)


def visible(call: Call, namespace: str) -> frozenset[str] | None:
    """The projects that a list of a namespace covers; None: all. Raises NotFound for a namespace of others."""
    if namespace:
        return frozenset((_known(call, namespace),))
    return call.identity.projects


def home(call: Call, namespace: str) -> str:
    """The one project that a namespace stands for. Raises NotFound."""
    if namespace:
        return _known(call, namespace)
    projects = call.identity.projects
    if projects is None or DEFAULT_PROJECT in projects or len(projects) != 1:
        return DEFAULT_PROJECT
    return next(iter(projects))


def writable(call: Call, namespace: str) -> str:
    """The project where something is made. Raises NotFound, PermissionDenied."""
    project = home(call, namespace)
    check_write(call, project)
    return project


def check_write(call: Call, project: str) -> None:
    """Raises NotFound for a project of others, PermissionDenied without the role editor."""
    if call.identity.role_in(project) < Role.EDITOR:
        _known(call, project)
        raise PermissionDenied(f"needs the role editor in project {project!r}", remedy="name a namespace of your own")


def seen(call: Call, find: Callable[[], T], noun: str, id_: str) -> T:
    """What `find` gives, if it is of a project the caller may see. Raises NotFound, the same for both cases."""
    missing = NotFound(f"there is no {noun} {id_[:80]!r}")
    try:
        found = find()
    except NotFound:
        raise missing from None
    if call.identity.role_in(found.project) < Role.VIEWER:
        raise missing
    return found


def changed(call: Call, find: Callable[[], T], noun: str, id_: str) -> T:
    """The same, for what is going to be changed. Raises NotFound, PermissionDenied."""
    found = seen(call, find, noun, id_)
    check_write(call, found.project)
    return found


def _known(call: Call, project: str) -> str:
    if call.identity.role_in(project) < Role.VIEWER:
        raise NotFound(f"there is no namespace {project[:80]!r}")
    return project
