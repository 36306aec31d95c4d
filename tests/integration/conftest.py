"""An environment that lightweight components run in, made once for all tests that need one."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

KFP = "kfp==2.17.0"


def _uv() -> str | None:
    if found := shutil.which("uv"):
        return found
    try:
        from uv import find_uv_bin
    except ImportError:
        return None
    return find_uv_bin()


@pytest.fixture(scope="session")
def kfp_python(tmp_path_factory, missing_service) -> str:
    """The interpreter of an environment with kfp as kfp's own compiled commands install it (without dependencies)."""
    uv = _uv()
    if uv is None:
        missing_service("uv", "install uv")
    name = f"cairn-{KFP}-{sys.implementation.cache_tag}"
    root = tmp_path_factory.getbasetemp().parent
    shared, building = root / name, root / f"{name}-{os.getpid()}"
    if not shared.exists():
        python = str(building / "bin" / "python")
        commands = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(building)],
            [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--compile-bytecode", KFP],
            [uv, "pip", "install", "--quiet", "--python", python, "typing-extensions"],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                missing_service(KFP, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "not installable")
        with contextlib.suppress(OSError):  # another worker was quicker
            building.rename(shared)
    return str(shared / "bin" / "python")
