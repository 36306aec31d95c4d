"""What this home has issued itself and knows again without a record: JSON web tokens with an HMAC of the home's key.

The key for each purpose is derived from the one in `HOME/server/key`, so that nothing sealed for one purpose opens for
another. Several servers on one home share it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import HomeError, Unauthenticated

STEP = "cairn-step"
ACCESS = "cairn-access"
IDENTITY = "cairn-id"


class Seal:
    """Of one purpose. Threads: any."""

    def __init__(self, key: bytes, purpose: str) -> None:
        self.purpose = purpose
        self._key = hmac.digest(key, purpose.encode(), "sha256")
        self._head = encode_part({"alg": "HS256", "kid": purpose, "typ": "JWT"}) + "."

    def recognises(self, text: str) -> bool:
        """Whether it claims to be one of these."""
        return text.startswith(self._head)

    def issue(self, claims: dict[str, Any]) -> str:
        """`claims` hold `exp`, in seconds since the epoch."""
        signed = self._head + encode_part(claims)
        return f"{signed}.{self._mac(signed).decode()}"

    def open(self, text: str) -> dict[str, Any]:
        """Its claims. Raises Unauthenticated for what this home has not sealed, and what has expired."""
        signed, _, mac = text.rpartition(".")
        if not self.recognises(text) or not hmac.compare_digest(self._mac(signed), mac.encode()):
            raise Unauthenticated("the token is not from this server")
        claims: dict[str, Any] = decode_part(signed[len(self._head) :])
        if claims["exp"] <= time.time():
            raise Unauthenticated("the token has expired")
        return claims

    def _mac(self, signed: str) -> bytes:
        return encode_bytes(hmac.digest(self._key, signed.encode(), hashlib.sha256)).encode()


def home_key(directory: Path) -> bytes:
    """The 32 bytes in `directory/key`, made when it is first asked for. Raises HomeError."""
    path = directory / "key"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            _create(path, secrets.token_bytes(32))
        key = path.read_bytes()
    except OSError as error:
        raise HomeError(f"cannot be used: {error.strerror}", place=str(path)) from None
    if len(key) < 32:
        raise HomeError("is no key", place=str(path), remedy="remove it; a new one is made, steps that run are cut off")
    return key


def _create(path: Path, content: bytes) -> None:
    """Whole or not at all, by one process, readable for its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # somebody else was quicker: theirs is it
    finally:
        draft.unlink(missing_ok=True)


def encode_part(value: Any) -> str:
    return encode_bytes(msgspec.json.encode(value))


def encode_bytes(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_part(text: str) -> dict[str, Any]:
    """Raises Unauthenticated."""
    try:
        return msgspec.json.decode(decode_bytes(text), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise Unauthenticated("the token cannot be read") from None


def decode_bytes(text: str) -> bytes:
    """Raises Unauthenticated."""
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("the token cannot be read") from None
