"""Making, finding and revoking credentials: what `cairn tokens` does."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cairn.api.access import Identity, Role
from cairn.api.accounts.tokens import new_token, verifier_of
from cairn.domain.credentials import KEY, TOKEN, Credential
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords

ROLES = {role.name.lower(): role for role in Role if role is not Role.NONE}
_NAME = re.compile(r"[A-Za-z0-9][\w.@+-]{0,127}", re.ASCII)
_RESERVED = ("owner", "nobody")  # a step's has a colon, which a name has not


def create_token(
    records: CredentialRecords, name: str, roles: Mapping[str, str], *, lifetime: int = 0
) -> tuple[Credential, str]:
    """The credential and the token itself, which nobody can tell later. `lifetime` in seconds, 0: without end.
    Raises InputRefused."""
    check_name(name)
    token = new_token()
    credential = _recorded(records, secrets.token_hex(6), TOKEN, verifier_of(token), name, roles, lifetime)
    return credential, token


def create_key(
    records: CredentialRecords, identity: str, public_key: str, roles: Mapping[str, str], *, lifetime: int = 0
) -> Credential:
    """Of an account that signs with the private half of `public_key`, PEM. Its id is as long as Google's."""
    check_name(identity)
    return _recorded(records, secrets.token_hex(20), KEY, public_key, identity, roles, lifetime)


def find(records: CredentialRecords, reference: str) -> Credential:
    """By id, or by name where only one goes by it. Raises NotFound, InputRefused."""
    known = records.credentials()
    found = [one for one in known if one.id == reference] or [one for one in known if one.identity == reference]
    if not found:
        raise NotFound(f"there is no credential {reference!r}", remedy="`cairn tokens list` shows what there is")
    if len(found) > 1:
        raise InputRefused(
            f"{len(found)} credentials are of {reference!r}", remedy=f"say which: {', '.join(one.id for one in found)}"
        )
    return found[0]


def identity_of(credential: Credential) -> Identity:
    roles = {project: ROLES.get(role, Role.NONE) for project, role in credential.roles.items()}
    return Identity(credential.identity, roles)


def expired(credential: Credential) -> bool:
    return 0 < credential.expire_time <= time.time_ns() // 1000


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InputRefused(
            f"{name!r} cannot be a name", remedy="letters, digits and . @ + - _, at most 128, and not owner or nobody"
        )


def _recorded(
    records: CredentialRecords,
    id_: str,
    kind: str,
    verifier: str,
    identity: str,
    roles: Mapping[str, str],
    lifetime: int,
) -> Credential:
    for project, role in roles.items():
        if role not in ROLES:
            raise InputRefused(f"there is no role {role!r}", place=project, remedy=f"known: {', '.join(ROLES)}")
    now = time.time_ns() // 1000
    ends = now + lifetime * 1_000_000 if lifetime else 0
    credential = Credential(id_, kind, verifier, identity, dict(roles), now, ends)
    records.add_credential(credential)
    return credential
