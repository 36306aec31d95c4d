"""JSON web tokens that an account has signed with its own private key, as google-auth makes them.

Two kinds come (https://google.aip.dev/auth/4111, RFC 7523): one sent with each request in place of an access token, and
the assertion that is exchanged for one at the token endpoint.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cairn.api.accounts.sealing import decode_bytes, decode_part
from cairn.domain.credentials import KEY, Credential
from cairn.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

# Where google-auth's assertions say they go, whatever `token_uri` is: google/oauth2/service_account.py.
TOKEN_ENDPOINTS = ("https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token")
TOKEN_PATH = "/accounts/token"
LONGEST = 16 * 1024  # characters
_LIFETIME = 3600  # seconds between iat and exp that are taken, at most: google-auth's own
_LEEWAY = 300  # seconds that clocks may differ


def signer_of(token: str, find: Callable[[str], Credential | None]) -> tuple[Credential, dict[str, Any]]:
    """The account that signed it, and its claims; whom they are for is left to `check_request`, `check_assertion`.

    The algorithm is that of the recorded key, never what the token says. Raises Unauthenticated.
    """
    if len(token) > LONGEST or token.count(".") != 2:
        raise Unauthenticated("the token cannot be read")
    head, payload, signature = token.split(".")
    header = decode_part(head)
    kid = header.get("kid")
    credential = find(kid) if isinstance(kid, str) and kid else None
    if credential is None or credential.kind != KEY:
        raise Unauthenticated("the token is signed with a key that is not known")
    if not _signed(credential.verifier, header.get("alg"), f"{head}.{payload}".encode(), decode_bytes(signature)):
        raise Unauthenticated("the token's signature is wrong")
    claims = decode_part(payload)
    _check_times(claims)
    if claims.get("iss") != credential.identity or claims.get("sub", credential.identity) != credential.identity:
        raise Unauthenticated("the token speaks for somebody else than who signed it")
    return credential, claims


def check_request(claims: dict[str, Any], ours: Callable[[str], bool]) -> None:
    """One that comes with a request: for a Google API or for this server; with a scope it need not say for whom."""
    audiences = _audiences(claims)
    if not audiences and isinstance(claims.get("scope"), str):
        return
    for audience in audiences:
        address = urlsplit(audience)
        host = (address.hostname or "").lower()
        if audience in TOKEN_ENDPOINTS or address.path == TOKEN_PATH or "target_audience" in claims:
            continue  # an assertion: to be exchanged, not to be shown around
        if address.scheme == "https" and host.endswith(".googleapis.com"):
            return
        if address.scheme in ("http", "https") and ours(address.netloc):
            return
    raise Unauthenticated("the token is for another service")


def check_assertion(claims: dict[str, Any], ours: Callable[[str], bool]) -> None:
    """One that comes to the token endpoint."""
    for audience in _audiences(claims):
        address = urlsplit(audience)
        if audience in TOKEN_ENDPOINTS or (address.path == TOKEN_PATH and ours(address.netloc)):
            return
    raise Unauthenticated("the assertion is for another token endpoint")


def _audiences(claims: dict[str, Any]) -> list[str]:
    found = claims.get("aud")
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str) and one]


def _check_times(claims: dict[str, Any]) -> None:
    issued, ends = _moment(claims, "iat"), _moment(claims, "exp")
    now = time.time()
    if ends <= now:
        raise Unauthenticated("the token has expired")
    if issued > now + _LEEWAY or ends - issued > _LIFETIME + _LEEWAY:
        raise Unauthenticated("the token is valid for longer than an hour, or not yet")


def _moment(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unauthenticated("the token does not say from when to when it is valid")
    return float(value)


def _signed(public_key: str, algorithm: object, content: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public_key.encode())
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm == "RS256":
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "ES256" and len(signature) == 64:
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            key.verify(utils.encode_dss_signature(r, s), content, ec.ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        pass
    return False
