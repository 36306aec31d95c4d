"""Secrets, config maps and volumes as local directories.

HOME/secrets/NAME/KEY        one file for each key, the file's bytes are the value
HOME/config-maps/NAME/KEY
HOME/volumes/NAME/           stands for a persistent volume claim
"""

from __future__ import annotations

import os
import re
import stat as kinds
from collections.abc import Callable, Mapping
from pathlib import Path

from cairn.config.home import Home
from cairn.config.settings import DirectoriesSettings
from cairn.errors import InputRefused

# Kubernetes: DNS subdomain names, and keys of letters, digits, '-', '_' and '.'.
_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$")
_KEY = re.compile(r"^[A-Za-z0-9._-]{1,253}$")


class LocalSecrets:
    """`warn(line)` is called once for each secret that others on this machine can read."""

    def __init__(
        self, home: Home, settings: DirectoriesSettings | None = None, warn: Callable[[str], None] | None = None
    ) -> None:
        chosen = settings or DirectoriesSettings()
        self._secrets = _chosen(chosen.secrets, home.secrets)
        self._config_maps = _chosen(chosen.config_maps, home.config_maps)
        self._volumes = _chosen(chosen.volumes, home.volumes)
        self._warn = warn
        self._warned: set[Path] = set()

    def secret(self, name: str) -> Mapping[str, bytes] | None:
        directory = self._directory(self._secrets, name, "secret")
        if directory is None:
            return None
        self._check_mode(directory)
        return _read(directory)

    def config_map(self, name: str) -> Mapping[str, bytes] | None:
        directory = self._directory(self._config_maps, name, "config map")
        return None if directory is None else _read(directory)

    def secret_directory(self, name: str) -> str | None:
        directory = self._directory(self._secrets, name, "secret")
        if directory is not None:
            self._check_mode(directory)
        return None if directory is None else str(directory)

    def config_map_directory(self, name: str) -> str | None:
        directory = self._directory(self._config_maps, name, "config map")
        return None if directory is None else str(directory)

    def volume_directory(self, name: str) -> str:
        directory = self._volumes / _checked(name, "volume")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(directory)

    def delete_volume(self, name: str) -> None:
        import shutil  # only pipelines that delete a claim

        directory = self._volumes / _checked(name, "volume")
        try:
            shutil.rmtree(directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InputRefused(f"cannot be removed: {error.strerror}", place=str(directory)) from None

    def _directory(self, root: Path, name: str, kind: str) -> Path | None:
        directory = root / _checked(name, kind)
        return directory if directory.is_dir() else None

    def _check_mode(self, directory: Path) -> None:
        if self._warn is None or directory in self._warned:
            return
        self._warned.add(directory)
        open_files = [path.name for path in _keys(directory) if path.stat().st_mode & (kinds.S_IRWXG | kinds.S_IRWXO)]
        # Inside a directory that only its owner may enter, the files' own modes do not matter.
        above = (directory, *directory.parents[:2])
        reachable = all(parent.stat().st_mode & (kinds.S_IXGRP | kinds.S_IXOTH) for parent in above)
        if open_files and reachable:
            self._warn(
                f"{directory}: others on this machine can read {', '.join(open_files)}; chmod -R go= {directory}"
            )


def _chosen(configured: str, default: Path) -> Path:
    return Path(os.path.expanduser(configured)) if configured else default


def _checked(name: str, kind: str) -> str:
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputRefused(
            f"{name!r} is no name of a {kind}", remedy="names are lower-case letters, digits, '-' and '.'"
        )
    return name


def _keys(directory: Path) -> list[Path]:
    return sorted(
        path for path in directory.iterdir() if _KEY.fullmatch(path.name) and path.name[:2] != ".." and path.is_file()
    )


def _read(directory: Path) -> dict[str, bytes]:
    try:
        return {path.name: path.read_bytes() for path in _keys(directory)}
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}", place=str(error.filename)) from None
