"""Service accounts in the form of Google's key files, so that google-auth takes them as they are."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.access import EVERY_PROJECT
from cairn.api.accounts import registry
from cairn.api.accounts.signatures import TOKEN_PATH
from cairn.domain.runs import DEFAULT_PROJECT
from cairn.errors import HomeError, InputRefused

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords
    from cairn.config.home import Home
    from cairn.domain.credentials import Credential

_BITS = 2048
_DEFAULT_NAME = "cairn"


def create_account(
    records: CredentialRecords,
    name: str,
    url: str,
    roles: Mapping[str, str],
    *,
    project: str = DEFAULT_PROJECT,
    lifetime: int = 0,
) -> tuple[Credential, dict[str, Any]]:
    """The credential, and the content of the key file (https://cloud.google.com/iam/docs/keys-create-delete). The
    private key is in that content and nowhere else. About 0.1 s for the key. Raises InputRefused."""
    email = f"{name}@{project}.iam.gserviceaccount.com"
    registry.check_name(email)
    private, public = _key_pair()
    credential = registry.create_key(records, email, public, roles, lifetime=lifetime)
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": credential.id,
        "private_key": private,
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)).rjust(21, "1"),
        "auth_uri": f"{url}/accounts/auth",
        "token_uri": f"{url}{TOKEN_PATH}",
        "auth_provider_x509_cert_url": f"{url}/accounts/certificates",
        "client_x509_cert_url": f"{url}/accounts/certificates/{email}",
        "universe_domain": "googleapis.com",
    }
    return credential, account


def write_account(path: Path, account: Mapping[str, Any], *, replace: bool = False) -> None:
    """For the owner alone (0600), whole or not at all. Raises InputRefused when it is there and not to be replaced."""
    if not replace and os.path.lexists(path):
        raise InputRefused("is there already", place=str(path), remedy="name another file, or remove it")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(account), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise InputRefused(f"cannot be written: {error.strerror}", place=str(path)) from None
    finally:
        draft.unlink(missing_ok=True)


def default_account(home: Home, records: CredentialRecords, url: str, project: str = DEFAULT_PROJECT) -> Path:
    """The key file of the home's own account, which may do everything: `HOME/server/credentials.json`.

    It is made once. Later calls change it only where the server's URL or the project is another one, or where its key
    is no longer recorded (revoked, or a restored home): then it gets a new key. Raises HomeError.
    """
    path = home.server / "credentials.json"
    with _alone(home.server):
        account = _read(path)
        recorded = account and records.credential(account["private_key_id"])
        if not account or not recorded or registry.expired(recorded):
            _, account = create_account(records, _DEFAULT_NAME, url, {EVERY_PROJECT: "admin"}, project=project)
            write_account(path, account, replace=True)
        elif (account["token_uri"], account["project_id"]) != (f"{url}{TOKEN_PATH}", project):
            places = {key: f"{url}{account[key][account[key].index('/accounts/') :]}" for key in _PLACES}
            write_account(path, {**account, **places, "project_id": project}, replace=True)
    return path


_PLACES = ("auth_uri", "token_uri", "auth_provider_x509_cert_url", "client_x509_cert_url")


def _read(path: Path) -> dict[str, Any]:
    """{} when it is not there, or not what we have written."""
    try:
        account = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HomeError(f"cannot be read: {error.strerror}", place=str(path)) from None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
    whole = {"private_key_id", "project_id", *_PLACES} <= account.keys() and all(
        "/accounts/" in account[key] for key in _PLACES
    )
    return account if whole else {}


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"cannot be used: {error.strerror}", place=str(directory)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _key_pair() -> tuple[str, str]:
    """Private (PKCS 8) and public half, PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
