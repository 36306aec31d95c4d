"""From the bytes of a package to the text of a pipeline: YAML, JSON, or one of them in a .zip or .tar.gz.

What it is is told by the bytes, not by the name. Nothing is unpacked to disk; links and devices are refused, and so is
what grows beyond its limits while it is read.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from typing import IO

from cairn.errors import SpecError, TooLarge
from cairn.spec.documents import MAX_BYTES

MAX_MEMBERS = 100
MAX_RATIO = 200  # of a member's size to what it takes in the package
MAX_UNPACKED = 2 * MAX_BYTES  # of a .tar.gz as a whole
_SLACK = 64 * 1024  # bytes that may be reached at any ratio
_ENDINGS = (".yaml", ".yml", ".json")
_PREFERRED = "pipeline.yaml"


def read_package(content: bytes, *, origin: str) -> str:
    """The pipeline's text. `origin` is what errors name. Raises SpecError, TooLarge."""
    if content[:4] == b"PK\x03\x04":
        data = _from_zip(content, origin)
    elif content[:2] == b"\x1f\x8b":
        data = _from_tar(content, origin)
    else:
        data = content
    if len(data) > MAX_BYTES:
        raise _too_large(origin)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not text in UTF-8 (byte {error.start})", place=origin) from None


def _from_zip(content: bytes, origin: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_count(len(members), origin)
            for member in members:
                if (member.external_attr >> 28) not in (0x0, 0x4, 0x8):  # the file type of a Unix mode
                    raise SpecError(f"{member.filename!r} is a link or a device", place=origin)
            name = _chosen([member.filename for member in members if not member.is_dir()], origin)
            chosen = archive.getinfo(name)
            if chosen.flag_bits & 0x1:
                raise SpecError(f"{name!r} is encrypted", place=origin)
            with archive.open(chosen) as file:
                return _bounded(file, chosen.compress_size, f"{origin}/{name}")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, OSError) as error:
        raise SpecError(f"is no zip archive that can be read: {error}", place=origin) from None


def _from_tar(content: bytes, origin: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            # First of all: a header alone may say that it is gigabytes long.
            plain = _bounded(packed, len(content), origin, MAX_UNPACKED)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            names = []
            for count, member in enumerate(archive, 1):
                _check_count(count, origin)
                if not (member.isfile() or member.isdir()):
                    raise SpecError(f"{member.name!r} is a link or a device", place=origin)
                names += [member.name] if member.isfile() else []
            name = _chosen(names, origin)
            file = archive.extractfile(name)
            return _bounded(file, len(plain), f"{origin}/{name}") if file is not None else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise SpecError(f"is no tar.gz archive that can be read: {error}", place=origin) from None


def _bounded(file: IO[bytes] | gzip.GzipFile, packed: int, origin: str, limit: int = MAX_BYTES) -> bytes:
    most = min(limit, max(_SLACK, packed * MAX_RATIO))
    data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(origin)
    return data


def _chosen(names: list[str], origin: str) -> str:
    """`pipeline.yaml`, or the only one that may be a pipeline; as kfp.Client chooses."""
    candidates = [name for name in names if name.endswith(_ENDINGS)]
    if _PREFERRED in candidates:
        return _PREFERRED
    if len(candidates) == 1:
        return candidates[0]
    what = "holds no .yaml or .json file" if not candidates else "holds several .yaml or .json files"
    raise SpecError(what, place=origin, remedy=f"name the pipeline's file {_PREFERRED}")


def _check_count(count: int, origin: str) -> None:
    if count > MAX_MEMBERS:
        raise TooLarge(f"holds more than {MAX_MEMBERS} files", place=origin)


def _too_large(origin: str) -> TooLarge:
    return TooLarge(f"is larger than {MAX_BYTES // 1024 // 1024} MiB, or grows too much when unpacked", place=origin)
