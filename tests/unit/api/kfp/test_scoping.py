"""Which projects a namespace stands for, by who asks."""

from types import SimpleNamespace

import pytest

from cairn.api.access import Identity, Role
from cairn.api.kfp import scoping
from cairn.errors import NotFound, PermissionDenied


def call(**roles):
    """Of somebody with these roles; `all_projects` for every one."""
    return SimpleNamespace(
        identity=Identity("ann", {name.replace("all_projects", "*"): role for name, role in roles.items()})
    )


OWNER = call(all_projects=Role.ADMIN)
EDITOR = call(team=Role.EDITOR)
BOTH = call(team=Role.EDITOR, default=Role.VIEWER)


def test_what_is_seen_without_a_namespace_is_all_that_one_may():
    assert scoping.visible(OWNER, "") is None
    assert scoping.visible(EDITOR, "") == {"team"}
    assert scoping.visible(BOTH, "") == {"team", "default"}


def test_what_is_seen_of_a_namespace():
    assert scoping.visible(OWNER, "any") == {"any"}
    assert scoping.visible(EDITOR, "team") == {"team"}
    with pytest.raises(NotFound):
        scoping.visible(EDITOR, "default")


def test_where_something_is_made():
    assert scoping.writable(OWNER, "") == "default"
    assert scoping.writable(OWNER, "team") == "team"
    assert scoping.writable(EDITOR, "") == "team"
    assert scoping.writable(EDITOR, "team") == "team"
    with pytest.raises(PermissionDenied):
        scoping.writable(BOTH, "")
    with pytest.raises(NotFound):
        scoping.writable(EDITOR, "other")


def test_what_is_of_others_is_not_there():
    def theirs():
        return SimpleNamespace(project="other")

    def gone():
        raise NotFound("gone")

    words = set()
    for how in (scoping.seen, scoping.changed):
        for find in (theirs, gone):
            with pytest.raises(NotFound) as refused:
                how(EDITOR, find, "run", "x")
            words.add(str(refused.value))
    assert len(words) == 1, "both are told alike"


def test_who_may_only_look_may_not_change():
    mine = SimpleNamespace(project="default")
    assert scoping.seen(BOTH, lambda: mine, "run", "x") is mine
    with pytest.raises(PermissionDenied):
        scoping.changed(BOTH, lambda: mine, "run", "x")
