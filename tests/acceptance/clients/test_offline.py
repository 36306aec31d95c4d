"""Nothing is sent to Google: clients run where only loopback can be reached, and what they try is watched."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def isolation(missing_service):
    """What to put before a command so that it runs in a network of its own, with loopback alone."""
    unshare = shutil.which("unshare")
    options = ["-n"] if os.geteuid() == 0 else ["-rn"]
    prefix = [unshare or "unshare", *options, sys.executable, str(HERE / "isolated.py")]
    if unshare is None or subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        missing_service("network namespaces", "run as a user that may make them")
    outside = "import socket; socket.create_connection(('198.51.100.1', 443), 2)"
    reached = subprocess.run([*prefix, sys.executable, "-c", outside], capture_output=True, text=True)
    assert "unreachable" in reached.stderr, reached.stderr
    return prefix


@pytest.fixture
def watched(tmp_path):
    """What to put before a command so that its connections are written down, and what was written."""
    strace = shutil.which("strace")
    log = tmp_path / "connections"
    prefix = [strace, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log)] if strace else []

    def elsewhere() -> list[str]:
        """Attempts that name an address other than loopback."""
        lines = log.read_text(errors="replace").splitlines() if strace else []
        named = [line for line in lines if re.search(r"sa_family=AF_INET6?\b", line)]
        assert named or not strace, "not even loopback was connected to"
        own = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(::1|::ffff:127\.[0-9.]+)"')
        return [line for line in named if not own.search(line)]

    return prefix, elsewhere


@pytest.mark.parametrize("client", ["aiplatform2", "aiplatform1", "storage"])
def test_every_kind_of_request_stays_here(new_installation, client_of, isolation, client):
    found = new_installation.run_script(client_of(client), "offline.py", before=isolation)
    assert found[0] == "urllib" and found[-1] == "children" and len(found) >= 5


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("aiplatform2", "pipeline_jobs.py"),
        ("aiplatform1", "metadata.py"),
        ("kfp", "kfp_client.py"),
        ("storage", "objects.py"),
    ],
)
def test_whole_scripts_run_without_a_network(installation, client_of, isolation, watched, client, script):
    """The second time, that is: what steps run in is installed by the first one."""
    prefix, elsewhere = watched
    assert installation.run_script(client_of(client), script)
    installation.cairn("stop")
    try:
        # the host is started first: it stays, and is none of what is watched
        started = ["sh", "-c", '"$0" -m cairn env >/dev/null && exec "$@"', sys.executable, *prefix]
        assert installation.run_script(client_of(client), script, before=[*isolation, *started])
    finally:
        installation.cairn("stop")
    assert elsewhere() == []
