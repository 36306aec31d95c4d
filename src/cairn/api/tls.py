"""TLS: the operator's certificate, or one of the home's own authority, made when the first client asks for TLS.

`HOME/tls` holds `ca.pem` (what clients are told to trust), `ca-key.pem`, `server.pem` with `server-key.pem`, and
`bundle.pem`: the machine's own authorities and ours, for clients whose only knob replaces what they trust
(REQUESTS_CA_BUNDLE, SSL_CERT_FILE, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH).
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.errors import ConfigurationError, InputRefused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397  # what the strictest clients take from a server
RENEWAL_DAYS = 30  # before its end a certificate is replaced
LOOK_SECONDS = 60.0  # how often a running server looks whether its certificate was replaced or has to be
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Tls:
    """What a server's handshakes use. `context` may be asked at every connection: it renews and reloads by itself.

    Threads: any.
    """

    def __init__(self, certificate: Path, key: Path, authority: Authority | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authority = authority
        self._context: ssl.SSLContext | None = None
        self._looked = 0.0
        self._loaded: tuple[float, float] = (0.0, 0.0)
        self._lock = threading.Lock()

    @classmethod
    def local(cls, directory: Path, names: Sequence[str] = ()) -> Tls:
        """By the authority in `directory`, for loopback and `names`. Nothing is made before it is needed."""
        authority = Authority(directory, names)
        return cls(authority.certificate, authority.key, authority)

    @classmethod
    def files(cls, certificate: Path, key: Path) -> Tls:
        """The operator's own, PEM, read now. Raises ConfigurationError when they are not usable."""
        tls = cls(certificate, key)
        tls.context()
        return tls

    def context(self) -> ssl.SSLContext:
        """Raises ConfigurationError when there is none to use; a bad replacement leaves the one in use."""
        ready = self.ready
        return ready if ready is not None else self._renewed()

    @property
    def ready(self) -> ssl.SSLContext | None:
        """What can be used without a look at the files; None when it is time for one."""
        return self._context if time.monotonic() - self._looked < LOOK_SECONDS else None

    def _renewed(self) -> ssl.SSLContext:
        with self._lock:
            if self.ready is None:
                try:
                    self._look()
                except ConfigurationError:
                    if self._context is None:
                        raise
                self._looked = time.monotonic()
            assert self._context is not None
            return self._context

    def _look(self) -> None:
        if self._authority is not None:
            self._authority.ensure()
        try:
            stamp = (self._certificate.stat().st_mtime, self._key.stat().st_mtime)
            if self._context is None or stamp != self._loaded:
                self._context = _server_context(self._certificate, self._key)
                self._loaded = stamp
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            raise ConfigurationError(
                f"cannot be used for TLS: {reason}",
                place=f"{self._certificate} with {self._key}",
                remedy="both are PEM files; the certificate comes first in its file, then its chain",
            ) from None


def _server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # of TLS 1.2; those that HTTP/2 allows
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


class Authority:
    """The home's own certificate authority. Processes: any number at a time; a lock in the directory is held while
    something is made."""

    def __init__(self, directory: Path, names: Sequence[str] = ()) -> None:
        self.directory = directory
        self.names = tuple(dict.fromkeys((*LOOPBACK_NAMES, *names)))
        self.ca = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server-key.pem"
        self.bundle = directory / "bundle.pem"
        self._ca_key = directory / "ca-key.pem"

    def ensure(self) -> None:
        """Make what is missing, ends soon, or does not name all of `names`. Raises ConfigurationError."""
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            with self._locked():
                self._ensure()
        except OSError as error:
            raise ConfigurationError(
                f"the local authority cannot be kept: {error.strerror}", place=str(self.directory)
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.directory / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _ensure(self) -> None:
        authority = _certificate(self.ca)
        if authority is None or _ends_soon(authority) or _key(self._ca_key) is None:
            key, authority = _new_authority()
            _write(self._ca_key, _key_pem(key), 0o600)
            _write(self.ca, _pem(authority), 0o644)
            self.certificate.unlink(missing_ok=True)
            self.bundle.unlink(missing_ok=True)
        if not self.bundle.exists():
            _write(self.bundle, _system_roots() + _pem(authority), 0o644)
        server = _certificate(self.certificate)
        if server is None or _ends_soon(server) or not self._names_all(server) or _key(self.key) is None:
            signing = _key(self._ca_key)
            assert signing is not None
            kept = _names_of(server) if server is not None else []  # of another server of this home
            own, server = _new_server(authority, signing, list(dict.fromkeys((*self.names, *kept)))[:100])
            _write(self.key, _key_pem(own), 0o600)
            _write(self.certificate, _pem(server) + _pem(authority), 0o644)

    def _names_all(self, server: x509.Certificate) -> bool:
        return set(self.names) <= set(_names_of(server))


def bundle_with(authority: Path, directory: Path) -> Path:
    """A file in `directory` with the machine's own authorities and one more, for clients whose only knob replaces what
    they trust. Raises InputRefused when `authority` is no PEM file of certificates."""
    try:
        content = authority.read_bytes()
        ssl.create_default_context(cadata=content.decode("ascii"))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        bundle = directory / f"trusted-{hashlib.sha256(content).hexdigest()[:16]}.pem"
        _write(bundle, _system_roots() + content, 0o644)
    except OSError as error:  # of ssl, too
        raise InputRefused(f"cannot be used: {error.strerror or error}", place=str(authority)) from None
    except ValueError:
        raise InputRefused("is no PEM file", place=str(authority)) from None
    return bundle


def names_of_this_machine(host: str) -> list[str]:
    """What clients may call a server that is bound to `host`."""
    if host in LOOPBACK_NAMES:
        return []
    names = [socket.gethostname(), socket.getfqdn()]
    if host in {"", "0.0.0.0", "::"}:
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
            names += [str(one[4][0]) for one in found if "%" not in str(one[4][0])]
    else:
        names.append(host)
    return [name for name in dict.fromkeys(names) if name]


def _new_authority() -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"Cairn local authority ({socket.gethostname()})"[:64])
    builder = (
        _builder(subject, subject, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, _signed(builder, key)


def _new_server(
    authority: x509.Certificate, signing: EllipticCurvePrivateKey, names: Sequence[str]
) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name("Cairn"), authority.subject, key, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    return key, _signed(builder, signing)


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _names_of(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in names]


def _ends_soon(certificate: x509.Certificate) -> bool:
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left < datetime.timedelta(days=RENEWAL_DAYS)


def _certificate(path: Path) -> x509.Certificate | None:
    """None for one that is not there or not readable as one."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _key(path: Path) -> EllipticCurvePrivateKey | None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, EllipticCurvePrivateKey) else None


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _system_roots() -> bytes:
    """The machine's own authorities, b"" where it keeps none in one file."""
    paths = ssl.get_default_verify_paths()
    for path in (os.environ.get(paths.openssl_cafile_env), paths.cafile, *_SYSTEM_BUNDLES):
        if path:
            with contextlib.suppress(OSError):
                return Path(path).read_bytes().rstrip() + b"\n"
    return b""


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by more than `mode` says."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
