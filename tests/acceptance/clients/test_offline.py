"""Nothing is sent to Google: clients run where only loopback can be reached, and what they try is watched.

All scripts of test_clients.py that go through the shim run in such a network; here it is shown to be one.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

SCRIPTS = Path(__file__).parent / "scripts"


def test_the_scripts_run_where_only_loopback_can_be_reached(installation, loopback_only, missing_service):
    if loopback_only is None:
        missing_service("network namespaces", "run as root, or where users may make namespaces, with util-linux")
    assert installation.within == loopback_only
    outside = "import socket; socket.create_connection(('198.51.100.1', 443), 2)"
    reached = subprocess.run([*loopback_only, sys.executable, "-c", outside], capture_output=True, text=True)
    assert "unreachable" in reached.stderr, reached.stderr
    listed = subprocess.run([*loopback_only, "cat", "/proc/net/dev"], capture_output=True, text=True).stdout
    assert re.findall(r"^\s*(\S+):", listed, re.M) == ["lo"]


@pytest.mark.parametrize("client", ["aiplatform2", "aiplatform1", "kfp", "storage"])
def test_every_kind_of_request_stays_here(installation, client_of, client):
    found = installation.run_script(client_of(client), "offline.py")
    assert found[0] == "urllib" and found[-2:] == ["google-auth", "children"] and len(found) >= 5


@pytest.mark.parametrize(("client", "script"), [("aiplatform2", "experiments.py"), ("storage", "objects.py")])
def test_no_connection_is_tried_but_to_loopback(tmp_path, new_installation, client_of, missing_service, client, script):
    """Where there is a network: what a client tries is the same as on any day, names that it looks up included."""
    strace = shutil.which("strace")
    log = tmp_path / "connections"
    tracing = [strace or "", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    if strace is None or subprocess.run([*tracing, "true"], capture_output=True).returncode != 0:
        missing_service("strace", "install it, and let users trace their processes")
    assert new_installation.cairn("env").returncode == 0  # starts the host, which is none of what is watched
    python = client_of(client)
    found = new_installation.cairn("exec", "--", *tracing, python, str(SCRIPTS / script))
    assert found.returncode == 0, found.stderr[-4000:]
    named = [line for line in log.read_text(errors="replace").splitlines() if re.search(r"sa_family=AF_INET6?\b", line)]
    assert named, "not even loopback was connected to"
    own = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(::1|::ffff:127\.[0-9.]+)"')
    assert [line for line in named if not own.search(line)] == []
