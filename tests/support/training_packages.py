"""A Python package for training jobs, as archives, and the worker pool that runs it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

TASK = """
import os, sys
from trainer import VERSION
try:
    import six
except ImportError:
    six = None
print(VERSION, sys.argv[1:], six is not None and six.__version__, os.environ.get("RANK"), flush=True)
"""
SETUP = "from setuptools import setup; setup(name='trainer', version='0.1', packages=['trainer'], install_requires={})"
OBJECT = "aiplatform-2026-01-02-03:04:05.678-trainer-0.1.tar.gz"
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/scikit-learn-cpu.1-0.py310:latest"


def sdist(path: Path, *, version: str = "one", requires: str = "[]") -> None:
    files = {
        "setup.py": SETUP.format(requires),
        "trainer/__init__.py": f"VERSION = {version!r}\n",
        "trainer/task.py": TASK,
        "PKG-INFO": "Metadata-Version: 2.1\nName: trainer\nVersion: 0.1\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"trainer-0.1/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("trainer/__init__.py", "VERSION = 'wheel'\n")
        archive.writestr("trainer/task.py", TASK)
        info = "trainer-0.1.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: trainer\nVersion: 0.1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def package(uri: str = f"gs://stage/{OBJECT}", replicas: int = 1, image: str = PREBUILT) -> dict[str, Any]:
    spec = {"executorImageUri": image, "packageUris": [uri], "pythonModule": "trainer.task", "args": ["--a", "b c"]}
    return {"replicaCount": replicas, "machineSpec": {"machineType": "e2-micro"}, "pythonPackageSpec": spec}
