"""A registry of images for one test: Debian's docker-registry, in a directory of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAM = "docker-registry"
_SETTINGS = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: "{directory}"}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def lacking() -> str:
    """Why there can be none; "" when there can."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed (Debian: docker-registry)"


@contextlib.contextmanager
def registry_in(directory: Path) -> Iterator[str]:
    """Its address, which engines of this machine trust without TLS."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = directory / "registry.yml"
    settings.write_text(_SETTINGS.format(directory=directory / "registry", port=port))
    around = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([PROGRAM, "serve", str(settings)], **quiet, env=around)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
