"""google-cloud-storage and gcsfs, in an environment and processes of their own."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("google-cloud-storage==3.17.1", "gcsfs==2026.10.1", "pandas")
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory, missing_service: Callable[[str, str], Any]) -> str:
    """An interpreter with the packages; CAIRN_TEST_CLIENT_STORAGE names one that is there already."""
    if given := os.environ.get("CAIRN_TEST_CLIENT_STORAGE"):
        return given
    uv = shutil.which("uv") or next(iter(Path(sys.prefix).glob("bin/uv")), None)
    if uv is None:
        missing_service("uv", "install uv")
    root = tmp_path_factory.getbasetemp().parent
    shared, building = root / "cairn-client-storage", root / f"cairn-client-storage-{os.getpid()}"
    if not shared.exists():
        python = str(building / "bin" / "python")
        for command in (
            [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(building)],
            [str(uv), "pip", "install", "--quiet", "--python", python, *PACKAGES],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                missing_service("an environment with gcsfs", (done.stderr.strip() or "not installable")[-300:])
        with contextlib.suppress(OSError):  # another worker was quicker
            building.rename(shared)
    return str(shared / "bin" / "python")


@pytest.fixture
def run_client(client_python: str, tmp_path: Path) -> Callable[..., str]:
    """`run_client("google_storage.py", url, …)`: what the script prints; a script that fails fails the test."""

    def run(script: str, url: str, *arguments: str) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CAIRN_", "PYTHON", "GOOGLE"))}
        own |= {"STORAGE_EMULATOR_HOST": url, "NO_GCE_CHECK": "true", "HOME": str(tmp_path)}
        own["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
        command = [client_python, str(HERE / "scripts" / script), *arguments]
        done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr[-4000:]
        return done.stdout

    return run
