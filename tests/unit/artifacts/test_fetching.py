"""Files that strangers name: fetched from a real server on this machine, and refused where they must be."""

import http.server
import threading
import time

import pytest

from cairn.artifacts import fetching
from cairn.errors import InputRefused, NotFound, TooLarge


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", f"/to/{int(rest) - 1}" if int(rest) else "/bytes/5")
            self.end_headers()
        elif kind == "away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif kind == "bytes":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * int(rest))
        elif kind == "short":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"x")
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def got(url, limit=100):
    return fetching.fetch(url, limit, allow_private_hosts=True)


def test_what_is_there_is_fetched(site):
    assert got(f"{site}/bytes/5") == b"xxxxx"
    assert got(f"{site}/bytes/100") == b"x" * 100


def test_redirects_are_followed_up_to_a_bound(site):
    assert got(f"{site}/to/{fetching.MAX_REDIRECTS - 1}") == b"xxxxx"
    with pytest.raises(InputRefused, match="redirects"):
        got(f"{site}/to/{fetching.MAX_REDIRECTS}")


def test_a_redirect_is_held_to_the_same_rules(site):
    with pytest.raises(InputRefused, match="not https"):
        got(f"{site}/away/")


def test_what_is_too_large_is_refused(site):
    with pytest.raises(TooLarge):
        got(f"{site}/bytes/101")


def test_an_answer_that_breaks_off_is_none(site):
    with pytest.raises(InputRefused, match="breaks off"):
        got(f"{site}/short/")


def test_an_answer_that_drips_is_ended(site, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(InputRefused, match="longer"):
        got(f"{site}/drip/")
    assert time.monotonic() - began < 3


def test_what_is_not_there_is_said(site):
    with pytest.raises(InputRefused, match="404"):
        got(f"{site}/nothing")
    with pytest.raises(InputRefused, match="cannot be fetched"):
        got("http://127.0.0.1:1/x")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://169.254.169.254/x",
        "https://0x7f000001/x",
        "https://user:word@example.com/x",
        "http://example.com/x",
        "file:///etc/passwd",
        "/etc/passwd",
        "https:///x",
    ],
)
def test_what_may_not_be_asked_is_not(url):
    with pytest.raises(InputRefused):
        fetching.fetch(url, 100, allow_private_hosts=False)


def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch):
    def looked_up(host, port, **_):
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", looked_up)
    with pytest.raises(InputRefused, match="private network"):
        fetching.fetch("https://example.com/x", 100, allow_private_hosts=False)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_which_addresses_are_public(address, public):
    assert fetching._is_public(address) is public


def test_files_are_read_up_to_a_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert fetching.read_file(str(path), "gs://b/file", 5) == b"12345"
    with pytest.raises(TooLarge):
        fetching.read_file(str(path), "gs://b/file", 4)
    with pytest.raises(NotFound):
        fetching.read_file(str(tmp_path / "none"), "gs://b/none", 4)
    with pytest.raises(InputRefused):
        fetching.read_file(str(tmp_path), "gs://b/", 4)
