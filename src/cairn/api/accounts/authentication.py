"""From a bearer token to an identity."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.api.access import Identity
from cairn.api.accounts import registry, signatures, tokens
from cairn.api.accounts.sealing import ACCESS, IDENTITY, Seal, home_key
from cairn.api.accounts.step_tokens import StepTokens
from cairn.errors import CairnError, Unauthenticated

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords
    from cairn.domain.credentials import Credential

RECHECK = 4.0  # seconds for which a token is taken without another look at the records: a revoked one ends by then
LIFETIME = 3600  # seconds of an access token
_TABLE = 4096
_USE_NOTED = 3600 * 1_000_000  # microseconds: not more often is a credential's use written down
_log = logging.getLogger("cairn.accounts")


class Authentication:
    """`identity` asks the records for a token that has not come for four seconds, which takes some ten microseconds
    of SQLite. Threads: any. `ours`: whether a host is this server."""

    def __init__(self, directory: Path, records: CredentialRecords, ours: Callable[[str], bool]) -> None:
        key = home_key(directory)
        self.steps = StepTokens(directory, records)
        self._access = Seal(key, ACCESS)
        self._identity = Seal(key, IDENTITY)
        self._records = records
        self._ours = ours
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()  # digest of a token → who, until
        self._lock = threading.Lock()
        self._noting = ThreadPoolExecutor(1, thread_name_prefix="accounts")

    def known(self, token: str) -> Identity | None:
        """Whose it is, if it was looked up a moment ago."""
        with self._lock:
            identity, until = self._known.get(_digest(token), (None, 0.0))
        return identity if time.monotonic() < until else None

    def identity(self, token: str) -> Identity:
        """Raises Unauthenticated."""
        if self.steps.recognises(token):
            return self.steps.identity(token)
        found = self.known(token)
        if found is not None:
            return found
        credential, ends = self._credential(token)
        if credential is None or registry.expired(credential):
            raise Unauthenticated("the credentials are not known, or have expired")
        if credential.expire_time:
            ends = min(ends, credential.expire_time / 1e6)
        identity = registry.identity_of(credential)
        self._remember(token, identity, min(RECHECK, ends - time.time()))
        self._note_use(credential)
        return identity

    def exchange(self, assertion: str) -> dict[str, Any]:
        """What the token endpoint answers to a signed assertion (RFC 7523, RFC 6749 5.1). Raises Unauthenticated."""
        credential, claims = signatures.signer_of(assertion, self._records.credential)
        signatures.check_assertion(claims, self._ours)
        if registry.expired(credential):
            raise Unauthenticated("the account's key has expired")
        self._note_use(credential)
        now = int(time.time())
        common = {"iss": "cairn", "sub": credential.id, "iat": now, "exp": now + LIFETIME}
        target = claims.get("target_audience")
        if isinstance(target, str) and target:
            return {"id_token": self._identity.issue({**common, "aud": target, "email": credential.identity})}
        token = self._access.issue(common)
        return {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}

    def close(self) -> None:
        self._noting.shutdown(wait=True, cancel_futures=True)

    def _credential(self, token: str) -> tuple[Credential | None, float]:
        """And when the token itself ends, in seconds since the epoch."""
        if tokens.is_token(token):
            verifier = tokens.verifier_of(token)
            credential = self._records.credential_by_verifier(verifier)
            if credential is None or not hmac.compare_digest(credential.verifier, verifier):
                return None, 0.0
            return credential, float("inf")
        for seal in (self._access, self._identity):
            if seal.recognises(token):
                claims = seal.open(token)
                if seal is self._identity and not self._ours(_host(claims["aud"])):
                    raise Unauthenticated("the token is for another service")
                return self._records.credential(claims["sub"]), float(claims["exp"])
        credential, claims = signatures.signer_of(token, self._records.credential)
        signatures.check_request(claims, self._ours)
        return credential, float(claims["exp"])

    def _remember(self, token: str, identity: Identity, seconds: float) -> None:
        with self._lock:
            self._known[_digest(token)] = (identity, time.monotonic() + seconds)
            self._known.move_to_end(_digest(token))
            while len(self._known) > _TABLE:
                self._known.popitem(last=False)

    def _note_use(self, credential: Credential) -> None:
        now = time.time_ns() // 1000
        if now - credential.use_time > _USE_NOTED:
            self._noting.submit(self._write_use, credential.id, now)

    def _write_use(self, id_: str, now: int) -> None:
        try:
            self._records.note_use(id_, now)
        except CairnError as error:
            _log.warning("the use of credential %s could not be noted: %s", id_, error)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _host(audience: str) -> str:
    return audience.partition("://")[2].partition("/")[0] or audience
