"""What somebody proves with who they are. The secret itself is never kept: only what verifies it."""

from __future__ import annotations

import msgspec

TOKEN = "token"  # `verifier` is the SHA-256 of the token, in hexadecimal
KEY = "key"  # … the public key of an account, PEM


class Credential(msgspec.Struct, frozen=True):
    """`roles`: project, or `*` for all of them → viewer, editor or admin. Times: microseconds since the epoch."""

    id: str  # of a key: the `kid` of what is signed with it
    kind: str
    verifier: str
    identity: str  # the name of whom it stands for; of a key: the account's e-mail address
    roles: dict[str, str]
    create_time: int = 0
    expire_time: int = 0  # 0: never
    use_time: int = 0  # about when it was last used; 0: never
