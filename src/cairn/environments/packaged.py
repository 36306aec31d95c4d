"""Python packages of a training job, as archives of this machine: found in their buckets, kept by content under the
name that they were made with, and installed with uv or unpacked beside an interpreter that is there already.

A client puts them into a bucket under a name of its own (`aiplatform-2026-01-02-03:04:05.678-trainer-0.1.tar.gz`),
which no installer but pip takes for an archive's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec
import xxhash

from cairn.environments.catalogue import READY
from cairn.environments.specification import BesideSpec
from cairn.errors import InputRefused, UnsupportedFeature

_SEEN = "/gcs/"
_SCHEME = "gs://"
_REMEDY = "give a source archive (.tar.gz, .zip) or a wheel"
_PREBUILT = (  # compiled when the first image is looked at
    r"(?:docker\.pkg\.dev/vertex-ai|gcr\.io/cloud-aiplatform)/training/([a-z-]+?)-(?:cpu|gpu|tpu)\b(.*)"
)
_FRAMEWORKS = {
    "tf": "TensorFlow",
    "pytorch": "PyTorch",
    "scikit-learn": "scikit-learn",
    "sklearn": "scikit-learn",
    "xgboost": "XGBoost",
    "jax": "JAX",
}


# $0 is a directory of packages: before what the step itself names.
WITH_DIRECTORY = 'export PYTHONPATH="$0${PYTHONPATH:+:$PYTHONPATH}"; exec "$@"'


class Archives(msgspec.Struct, frozen=True):
    """`requirements` are what an installer is given: `NAME @ file:///…`, or what was no archive, as it stands."""

    requirements: tuple[str, ...]
    digest: str  # over the contents


def staged(packages: Sequence[str], buckets: Path, kept: Path, place: str) -> Archives:
    """`packages`: paths as a step sees them, URIs, or requirements. Archives go to a directory in `kept` that is named
    by their content. Raises InputRefused for what is not there, or no package."""
    digest = xxhash.xxh3_128()
    requirements = []
    for package in packages:
        path = _path_of(package, buckets, place)
        if path is None:
            digest.update(package.encode())
            requirements.append(package)
            continue
        content = _digest(path)
        digest.update(content.encode())
        name, file = _names(path, package, place)
        target = kept / content / file
        _keep(path, target)
        requirements.append(f"{name} @ file://{quote(os.fspath(target))}")
    return Archives(tuple(requirements), digest.hexdigest())


def archives_of(requirements: Sequence[str]) -> list[Path]:
    """The files that requirements name."""
    named = [requirement.partition(" @ file://")[2] for requirement in requirements]
    return [Path(unquote(path)) for path in dict.fromkeys(named) if path]


def is_beside(spec: BesideSpec) -> bool:
    """Whether the packages are there; from now on they are young."""
    try:
        os.utime(spec.directory)
    except FileNotFoundError:
        return False
    return os.path.exists(f"{spec.directory}/{READY}")


def missing_words(image: str) -> str:
    """That a step runs without its image, for which its packages are all that there is."""
    said = f"runs with its packages and what they require, not in image {image}"
    found = re.search(_PREBUILT, image)
    if found is None:
        return f"{said}; what else that image holds is missing"
    version = re.match(r"\.(\d+-\d+)", found[2])
    name = _FRAMEWORKS.get(found[1], found[1]) + (f" {version[1].replace('-', '.')}" if version else "")
    return f"{said}; {name}, which that image holds, is missing unless the packages require it"


def _path_of(package: str, buckets: Path, place: str) -> Path | None:
    """None for what is no file of this machine."""
    if "{{" in package:
        raise UnsupportedFeature(
            f"its package {package!r} is known only when it runs", place=place, remedy="write its URI as a constant"
        )
    inside = package.removeprefix(_SCHEME).removeprefix(_SEEN) if package.startswith((_SCHEME, _SEEN)) else ""
    if inside:
        path = Path(os.path.normpath(buckets / "gs" / inside))
        bucket = buckets / "gs" / inside.partition("/")[0]
        if ".." in inside.split("/") or not path.resolve().is_relative_to(bucket.resolve()):
            raise InputRefused("leads out of its bucket", place=f"{place}: {package}")
    elif os.path.isabs(package):
        path = Path(package)
    else:
        return None
    if not path.is_file():
        raise InputRefused(
            "there is no such package", place=f"{place}: {package}", remedy="upload it to the bucket before the job"
        )
    return path


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _names(path: Path, package: str, place: str) -> tuple[str, str]:
    """(the distribution's name, what its archive was called)."""
    import tarfile  # few jobs have packages, and every run would pay
    import zipfile

    bad = InputRefused("is no Python package", place=f"{place}: {package}", remedy=_REMEDY)
    try:
        if path.name.endswith(".whl"):
            return _wheel_names(path)
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                top, ending = archive.namelist()[0].partition("/")[0], ".zip"
        else:
            with tarfile.open(path) as tar:
                first = tar.next()
                top, ending = (first.name if first else "").removeprefix("./").partition("/")[0], ".tar.gz"
    except (OSError, EOFError, LookupError, ValueError, tarfile.TarError, zipfile.BadZipFile):
        raise bad from None
    name, dash, version = top.rpartition("-")
    if not dash or not name or not version[:1].isdigit():
        raise bad
    return name, top + ending


def _wheel_names(path: Path) -> tuple[str, str]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        folder = next(name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    stem = folder.removesuffix(".dist-info")
    at = path.name.index(f"{stem}-")
    return stem.partition("-")[0], path.name[at:]


def _keep(path: Path, target: Path) -> None:
    """A copy: the object may change. What is there already is younger from now on, for whoever collects."""
    if target.exists():
        os.utime(target.parent)
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.copyfile(path, temporary)
    temporary.replace(target)
