"""The environments of a home on disk.

environments/locks/SPEC.txt     what a spec was resolved to: pins with hashes; kept by every collection
environments/specs/SPEC.json    which environment the lock gives with which interpreter
environments/built/KEY/         a virtual environment; `.cairn-ready` in it is written last, its mtime is the last use
environments/held/KEY.build     locked while one builds or removes
environments/held/KEY.lock      locked shared while a process uses it, exclusively while one removes it
environments/snapshots/DIGEST/  a project directory as it was
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

READY = ".cairn-ready"
OF_IMAGE = ".cairn-image"  # in one whose interpreter is in a container image


class BuiltRecord(msgspec.Struct, frozen=True):
    """Content of `specs/SPEC.json`: enough to hand out the environment without running anything."""

    spec_key: str
    environment_key: str
    python_version: str  # "3.11.9"
    description: str  # what was asked for, credentials removed: for `cairn environments list`
    warnings: tuple[str, ...] = ()


class Catalogue:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.locks = root / "locks"
        self.specs = root / "specs"
        self.built = root / "built"
        self.held = root / "held"
        self.snapshots = root / "snapshots"

    def lock_file(self, spec_key: str) -> Path:
        return self.locks / f"{spec_key}.txt"

    def stale_lock_file(self, spec_key: str) -> Path:
        """Where a lock lies that is to be resolved anew."""
        return self.locks / f"{spec_key}.stale"

    def directory(self, environment_key: str) -> Path:
        return self.built / environment_key

    def held_lock(self, environment_key: str) -> Path:
        return self.held / f"{environment_key}.lock"

    def build_lock(self, environment_key: str) -> Path:
        return self.held / f"{environment_key}.build"

    def spec_lock(self, spec_key: str) -> Path:
        return self.held / f"spec-{spec_key}.lock"

    def is_ready(self, environment_key: str) -> bool:
        directory = f"{self.built}/{environment_key}"
        # Asked for every task. The interpreter is a link to one of the machine's, which may have been removed.
        return os.path.exists(f"{directory}/{READY}") and (
            os.path.exists(f"{directory}/bin/python") or os.path.exists(f"{directory}/{OF_IMAGE}")
        )

    def record(self, spec_key: str) -> BuiltRecord | None:
        try:
            with open(f"{self.specs}/{spec_key}.json", "rb") as file:
                return msgspec.json.decode(file.read(), type=BuiltRecord)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write_record(self, record: BuiltRecord) -> None:
        replace_file(self.specs / f"{record.spec_key}.json", msgspec.json.encode(record))

    def records(self) -> list[BuiltRecord]:
        try:
            keys = [path.stem for path in self.specs.glob("*.json")]
        except OSError:
            return []
        return [record for key in keys if (record := self.record(key)) is not None]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, finds the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
