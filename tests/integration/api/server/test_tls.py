"""TLS on the port of plain HTTP, with the home's own authority and with an operator's files."""

import datetime
import http.client
import os
import shutil
import socket
import ssl
import stat
import time
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cairn.api import tls
from cairn.errors import ConfigurationError

LOCAL = '[server]\ntls = "local"\n'


def trusting(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / "ca.pem"))


def ask(port: int, context: ssl.SSLContext, name: str = "localhost") -> int:
    client = http.client.HTTPSConnection(name, port, context=context, timeout=10)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status
    finally:
        client.close()


@pytest.fixture
def authority(tmp_path) -> tls.Authority:
    made = tls.Authority(tmp_path / "tls")
    made.ensure()
    return made


def test_one_port_takes_https_http_and_both_over_http_2(host):
    running = host(config=LOCAL)
    home = running.server.cairn.home
    assert running.get("/healthz")[0] == 200
    assert not home.tls.exists()  # nothing was made that nobody asked for
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(running.port, ssl.create_default_context())
    for name in ("localhost", "127.0.0.1"):
        assert ask(running.port, trusting(home.tls), name) == 200
    with httpx.Client(http2=True, verify=trusting(home.tls)) as client:
        answer = client.get(f"https://localhost:{running.port}/healthz")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert running.server.tls_url == f"https://127.0.0.1:{running.port}"
    for bundle in ("ca.pem", "bundle.pem"):
        credentials = grpc.ssl_channel_credentials((home.tls / bundle).read_bytes())
        with grpc.secure_channel(f"localhost:{running.port}", credentials) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
    with grpc.insecure_channel(f"localhost:{running.port}") as channel:
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the versions themselves
def test_old_versions_of_tls_are_refused(host):
    running = host(config=LOCAL)
    context = ssl._create_unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        ask(running.port, context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask(running.port, context) == 200


def test_a_handshake_that_does_not_end_holds_nothing(host):
    from cairn.api.connections import Limits

    running = host(config=LOCAL, limits=Limits(handshake=0.5))
    with running.connect() as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00")
        began = time.monotonic()
        assert sock.recv(100) == b""
        assert time.monotonic() - began < 5


def test_without_tls_a_client_of_tls_is_told_by_the_end_of_the_connection(host):
    running = host()
    with pytest.raises(OSError):
        ask(running.port, ssl._create_unverified_context())
    assert running.get("/healthz")[0] == 200
    assert running.server.tls_url == ""


def test_plain_http_is_for_loopback_where_tls_is_on():
    from cairn.api.connections import _from_here

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as sock:
        assert _from_here(sock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # connecting one of these sends nothing
        sock.connect(("192.0.2.1", 9))
        assert not _from_here(sock)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("::ffff:127.0.0.1", 9))
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert _from_here(sock)


def test_an_operators_files(host, tmp_path, authority):
    files = f'[server]\ntls = "files"\ncertificate = "{authority.certificate}"\nkey = "{authority.key}"\n'
    running = host(config=files)
    assert ask(running.port, trusting(authority.directory)) == 200
    assert not running.server.cairn.home.tls.exists()


def test_files_that_are_none_are_refused_with_their_place(host, tmp_path, authority):
    with pytest.raises(ConfigurationError, match="No such file") as refused:
        host(config=f'[server]\ntls = "files"\ncertificate = "{tmp_path}/no.pem"\nkey = "{authority.key}"\n')
    assert str(tmp_path / "no.pem") in str(refused.value)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot be used for TLS"):
        tls.Tls.files(nonsense, authority.key)
    with pytest.raises(ConfigurationError, match="cannot be used for TLS"):
        tls.Tls.files(authority.certificate, authority.ca)


def test_a_replaced_certificate_is_taken_up(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.0)
    used = tls.Tls.files(authority.certificate, authority.key)
    first = used.context()
    assert used.context() is first
    authority.certificate.unlink()
    assert used.context() is first  # a bad moment does not end the server
    authority.ensure()
    os.utime(authority.certificate, (1, 1))
    assert used.context() is not first


def test_keys_are_for_their_owner_and_made_once(authority):
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.directory.iterdir()}
    assert names["ca-key.pem"] == names["server-key.pem"] == 0o600
    assert stat.S_IMODE(authority.directory.stat().st_mode) == 0o700
    before = {path.name: path.read_bytes() for path in authority.directory.iterdir()}
    tls.Authority(authority.directory).ensure()
    assert {path.name: path.read_bytes() for path in authority.directory.iterdir()} == before


def test_a_certificate_is_renewed_before_its_end_and_for_new_names(authority, monkeypatch):
    ca, first = authority.ca.read_bytes(), authority.certificate.read_bytes()
    wider = tls.Authority(authority.directory, ["build.example", "192.0.2.7"])
    wider.ensure()
    second = authority.certificate.read_bytes()
    names = tls._names_of(x509.load_pem_x509_certificate(second))
    assert {"localhost", "127.0.0.1", "::1", "build.example", "192.0.2.7"} == set(names)
    assert (authority.ca.read_bytes(), second == first) == (ca, False)
    authority.ensure()  # another server of this home, with fewer names, does not take them away
    assert authority.certificate.read_bytes() == second
    monkeypatch.setattr(tls, "RENEWAL_DAYS", tls.SERVER_DAYS + 1)
    authority.ensure()
    assert authority.certificate.read_bytes() != second
    assert authority.ca.read_bytes() == ca


def test_an_authority_that_ends_is_replaced_with_all_that_it_signed(authority, monkeypatch):
    ca, bundle = authority.ca.read_bytes(), authority.bundle.read_bytes()
    monkeypatch.setattr(tls, "RENEWAL_DAYS", tls.AUTHORITY_DAYS + 1)
    authority.ensure()
    assert authority.ca.read_bytes() != ca
    assert authority.bundle.read_bytes() != bundle
    assert authority.bundle.read_bytes().endswith(authority.ca.read_bytes())


def test_a_key_that_was_lost_is_made_again(authority):
    ca = authority.ca.read_bytes()
    (authority.directory / "server-key.pem").unlink()
    authority.ensure()
    assert authority.ca.read_bytes() == ca
    tls._server_context(authority.certificate, authority.key)
    (authority.directory / "ca-key.pem").write_bytes(b"")
    authority.ensure()
    assert authority.ca.read_bytes() != ca
    tls._server_context(authority.certificate, authority.key)


def test_certificates_are_what_strict_clients_take(authority):
    server = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    server.verify_directly_issued_by(ca)
    assert server.not_valid_after_utc - server.not_valid_before_utc <= datetime.timedelta(days=398)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    if openssl := shutil.which("openssl"):
        import subprocess

        command = [openssl, "verify", "-x509_strict", "-CAfile", str(authority.ca), str(authority.certificate)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
