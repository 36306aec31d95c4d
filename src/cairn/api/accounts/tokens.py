"""API tokens: `cairn_` and 49 letters and digits, of which the last six are a checksum over the rest.

Only the SHA-256 is kept. 256 random bits need no slow hash: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "cairn_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY, _CHECK = 43, 6  # 62**43 > 2**256, 62**6 > 2**32
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _CHECK}}}")


def new_token() -> str:
    body = _written(secrets.randbits(256), _BODY)
    return f"{PREFIX}{body}{_checksum(body)}"


def is_token(text: str) -> bool:
    """Whether it can be one: form and checksum. What was cut off or mistyped is found without asking the records."""
    if not _FORM.fullmatch(text):
        return False
    body = text[len(PREFIX) : len(PREFIX) + _BODY]
    return text.endswith(_checksum(body))


def verifier_of(token: str) -> str:
    """What is recorded of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _written(zlib.crc32(body.encode()), _CHECK)


def _written(number: int, width: int) -> str:
    letters = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(reversed(letters))
