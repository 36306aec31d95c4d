"""Environments that lightweight components run in, made once for all tests that need them."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def _interpreter(version: str) -> str:
    """An interpreter of a version; pyenv's own are not on PATH, and its shims fail for versions that are not chosen."""
    if os.sep in version:
        return version
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        return str(path)
    path = shutil.which(f"python{version}")
    if path is None or "shims" in path:
        pytest.skip(f"Python {version} is not on this machine")
    return path


@pytest.fixture(scope="session")
def make_kfp_python(tmp_path_factory, missing_service):
    """`make_kfp_python("3.12")` is the interpreter of an environment with kfp as kfp's own compiled commands install it
    (without dependencies); the test is skipped where the machine lacks that Python."""
    root = tmp_path_factory.getbasetemp().parent

    def make(version: str) -> str:
        uv = _uv()
        if uv is None:
            missing_service("uv", "install uv")
        interpreter = _interpreter(version)
        name = f"cairn-{KFP}-python-{version.replace(os.sep, '-')}"
        shared, building = root / name, root / f"{name}-{os.getpid()}"
        if not shared.exists():
            python = str(building / "bin" / "python")
            commands = [
                [uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", interpreter, str(building)],
                [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--compile-bytecode", KFP],
                [uv, "pip", "install", "--quiet", "--python", python, "typing-extensions"],
            ]
            for command in commands:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
                if done.returncode != 0:
                    missing_service(f"{KFP} on Python {version}", (done.stderr.strip() or "not installable")[-300:])
            with contextlib.suppress(OSError):  # another worker was quicker
                building.rename(shared)
        return str(shared / "bin" / "python")

    return make


@pytest.fixture(scope="session")
def kfp_python(make_kfp_python) -> str:
    """An interpreter of the tests' own version with kfp."""
    return make_kfp_python(sys.executable)
