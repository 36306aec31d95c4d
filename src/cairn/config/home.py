"""The directory that holds all an installation stores."""

from __future__ import annotations

import os
from pathlib import Path

from cairn.errors import HomeError


class Home:
    """Paths under `CAIRN_HOME`. Only `open` creates, and only the home itself, for its owner alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.configuration = root / "config.toml"
        self.database = root / "cairn.db"
        self.store = root / "store"
        self.runs = root / "runs"
        self.environments = root / "environments"
        self.cache = root / "cache"
        self.buckets = root / "buckets"
        self.secrets = root / "secrets"
        self.config_maps = root / "config-maps"
        self.volumes = root / "volumes"
        self.background = root / "background"
        self.sweeps = root / "sweeps"
        self.tls = root / "tls"
        self.tensorboards = root / "tensorboards"  # who fills them, and the processes that show them
        self.server = root / "server"  # keys and accounts: for the owner alone

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"

    @classmethod
    def locate(cls, path: str | os.PathLike[str] | None = None) -> Home:
        """`path`, else `CAIRN_HOME`, else `~/.cairn`; absolute, not created."""
        chosen = os.fspath(path) if path else os.environ.get("CAIRN_HOME", "") or "~/.cairn"
        return cls(Path(os.path.abspath(os.path.expanduser(chosen))))

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Home:
        """Locate and create. Raises HomeError when it cannot be written to."""
        home = cls.locate(path)
        try:
            home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(
                f"cannot be created: {error.strerror}",
                place=str(home.root),
                remedy="set CAIRN_HOME to a directory you own",
            ) from None
        if not os.access(home.root, os.R_OK | os.W_OK | os.X_OK):
            raise HomeError(
                "is not readable and writable by you",
                place=str(home.root),
                remedy="set CAIRN_HOME to a directory you own",
            )
        return home
