"""Keeping a home in order: deleting runs, collecting what nothing refers to, backup and restore."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from cairn.config.home import Home
from cairn.domain.runs import Run
from cairn.engine.log_files import LOGS, log_files
from cairn.engine.ports import ArtifactStore
from cairn.errors import HomeError, InputRefused, NotFound

RECORDS_FILE = "records.jsonl.gz"
MANIFEST_FILE = "backup.json"
_TREES = ("store", "buckets")  # of a home, copied as they are
_MOVED = ("store", "runs", "buckets", "sweeps")  # of a home: what records name by absolute path
_LOG_SUFFIXES = (".log", ".json")


class UpkeepRecords(Protocol):
    def delete_run(self, run_uid: str) -> Any:
        """What is left without a reference: `uris`, `directories`."""

    def referenced(self, trees: Collection[str] = ()) -> set[str]: ...

    def open_runs(self) -> list[Run]: ...

    def run(self, run_uid: str) -> Run:
        """Raises NotFound."""

    def backup(self, path: str) -> int: ...


class StoreUpkeep(Protocol):
    """`cairn.artifacts.upkeep`."""

    def unreferenced(self, root: Path, referenced: Collection[str], *, older_than: float) -> Sequence[Any]: ...

    def copy_store(self, source: Path, target: Path, *, link: bool = False) -> Any: ...

    def copy_buckets(self, source: Path, target: Path) -> Any: ...


class EnvironmentUpkeep(Protocol):
    """`cairn.environments.collection`."""

    def list_environments(self, catalogue: Any) -> Sequence[Any]: ...

    def collect(self, catalogue: Any, *, older_than: float, keep: Collection[str]) -> Any: ...


class Collected(msgspec.Struct, frozen=True):
    """What `collect` removed, or would remove. Paths, keys, and bytes."""

    artifacts: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    bytes_freed: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """`backup.json`: written last, so a backup without it is not whole."""

    cairn_backup: int
    version: str
    home: str
    time: int
    rows: int


@dataclass(slots=True)
class Upkeep:
    home: Home
    records: UpkeepRecords
    store: ArtifactStore
    stored: StoreUpkeep
    environments: EnvironmentUpkeep
    catalogue: Any
    # What else a deleted run had (a tuning job: its trials' jobs and its study); gives the bytes freed.
    delete_parts: Callable[[Run], int] | None = None

    def delete(self, run: Run) -> int:
        """Delete a run and what only it refers to; the bytes freed. Raises InputRefused while an engine runs it, and
        HomeError for files that cannot be removed, once all else is."""
        # First: who is killed here finds the run, and deletes it again.
        more = self.delete_parts(run) if self.delete_parts is not None else 0
        freed = self.records.delete_run(run.uid)
        paths = self._paths(freed.uris)
        # A bucket is the user's, also where it is a directory here.
        root = self.home.store if "://" in run.pipeline_root else run.pipeline_root or self.home.store
        own = f"{root}/{run.pipeline_name}/{run.uid}"
        near = {own, *map(self._tree_of, paths)}  # not all that is recorded: that may be very much
        referenced = _Kept(self._paths(self.records.referenced(near)))
        gone: list[str] = [path for path in paths if not referenced.touch(path)]
        trees = {own, *filter(None, map(self._tree_of_deleted, gone))}
        gone += [tree for tree in trees if not referenced.touch(tree)]
        gone += [*freed.directories, f"{self.home.runs}/{run.uid}"]
        return more + self._remove_all(gone, "the run and all else of it is deleted")

    def collect(self, *, older_than: float, environments_older_than: float, dry_run: bool = False) -> Collected:
        """Remove what nothing refers to or has not been used for so many seconds. Buckets are the user's: never.

        Raises HomeError for files that cannot be removed, once all else is.
        """
        open_runs = self.records.open_runs()
        kept = self._paths(self.records.referenced())
        kept |= {f"{self.home.store}/{run.pipeline_name}/{run.uid}" for run in open_runs}
        loose = self.stored.unreferenced(self.home.store, kept, older_than=older_than)
        directories = list(self._abandoned(older_than))
        freed = sum(entry.size for entry in loose) + sum(size_of(path) for path in directories)
        snapshots = self.catalogue.snapshots
        pinned = {str(snapshots / pin) for run in open_runs for pin in run.settings.pins.values()}
        keys, freed_here = self._environments(environments_older_than, keep=pinned, dry_run=dry_run)
        if not dry_run:
            freed = self._remove_all([*(entry.path for entry in loose), *directories], "all else is removed")
        return Collected(tuple(entry.path for entry in loose), tuple(directories), keys, freed + freed_here)

    def backup(self, target: Path, version: str) -> Manifest:
        """Records first: then the trees hold all that they name. Secrets and environments stay behind.

        Raises HomeError when the target holds something or cannot be written.
        """
        if target.exists() and any(target.iterdir()):
            raise HomeError("is not empty", place=str(target), remedy="name a new directory")
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            rows = self.records.backup(str(target / RECORDS_FILE))
            self.stored.copy_store(self.home.store, target / "store")
            self.stored.copy_buckets(self.home.buckets, target / "buckets")
            _copy_logs(self.home.runs, target / "runs")
            if self.home.sweeps.is_dir():  # what sweepers have written
                self.stored.copy_store(self.home.sweeps, target / "sweeps")
            if self.home.configuration.exists():
                shutil.copy2(self.home.configuration, target / self.home.configuration.name)
            manifest = Manifest(1, version, str(self.home.root), time.time_ns() // 1000, rows)
            (target / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
        except OSError as error:
            raise HomeError(f"cannot be written: {error.strerror}", place=str(error.filename or target)) from None
        return manifest

    # --- parts -------------------------------------------------------------------------------------------------------

    def _paths(self, uris: Collection[str]) -> set[str]:
        """Of those that lie in the home's store: the only ones that are ours to remove."""
        found, inside = set[str](), f"{self.home.store}/"
        for uri in uris:
            if uri.startswith("/") or uri[:5].lower() == "file:":
                with suppress(InputRefused):  # clients record whatever they like: it is nowhere
                    found.add(self.store.path_of(uri) or "")
        return {path for path in found if path.startswith(inside)}

    def _tree_of(self, path: str) -> str:
        """The directory in the store of the run that has made it."""
        parts = path.removeprefix(f"{self.home.store}/").split("/")
        return "/".join((str(self.home.store), *parts[:2]))

    def _tree_of_deleted(self, path: str) -> str:
        """The directory in the store of a run that was deleted before, but whose artifact another run still used."""
        pipeline, _, below = path.removeprefix(f"{self.home.store}/").partition("/")
        uid = below.partition("/")[0]
        return "" if not uid or self._is_recorded(uid) else f"{self.home.store}/{pipeline}/{uid}"

    def _remove_all(self, paths: Collection[str], told: str) -> int:
        """The bytes freed. Raises HomeError, ended with `told`, when some could not be removed."""
        freed = 0
        failed: list[HomeError] = []
        for path in paths:
            try:
                freed += self._remove(path)
            except HomeError as error:
                failed.append(error)
        if failed:
            first = failed[0]
            more = f", nor can {len(failed) - 1} more" if failed[1:] else ""
            raise HomeError(f"{first.message}{more}; {told}", place=first.place, remedy=first.remedy)
        return freed

    def _remove(self, path: str) -> int:
        if not path.startswith(f"{self.home.root}/"):
            return 0
        size = size_of(path)
        self.store.discard(path)
        return size

    def _abandoned(self, older_than: float) -> Iterator[str]:
        """Directories of runs that are not recorded any more, what debugging left, and old traces of defects."""
        before = time.time() - older_than
        for directory in (self.home.runs, self.home.root / "debug", self.home.root / "defects"):
            try:
                entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime > before:
                    continue
                if directory != self.home.runs or not self._is_recorded(entry.name):
                    yield entry.path

    def _is_recorded(self, run_uid: str) -> bool:
        try:
            self.records.run(run_uid)
        except NotFound:
            return False
        return True

    def _environments(self, older_than: float, *, keep: Collection[str], dry_run: bool) -> tuple[tuple[str, ...], int]:
        if not dry_run:
            collected = self.environments.collect(self.catalogue, older_than=older_than, keep=keep)
            return (*collected.environments, *collected.snapshots), collected.bytes_freed
        before = time.time() - older_than
        unused = [
            info
            for info in self.environments.list_environments(self.catalogue)
            if info.last_use <= before and not info.in_use
        ]
        return tuple(info.key for info in unused), sum(info.own_size for info in unused)


def read_manifest(source: Path) -> Manifest:
    """Raises InputRefused when there is no whole backup in `source`."""
    try:
        return msgspec.json.decode((source / MANIFEST_FILE).read_bytes(), type=Manifest)
    except OSError:
        raise InputRefused("holds no backup, or one that was not finished", place=str(source)) from None
    except msgspec.MsgspecError as error:
        raise InputRefused(f"is damaged: {error}", place=str(source / MANIFEST_FILE)) from None


def moved_records(source: Path, manifest: Manifest, home: Home, scratch: Path) -> Path:
    """The backup's records with the old home's paths in terms of `home`; as they are when it is the same."""
    records = source / RECORDS_FILE
    if manifest.home == str(home.root):
        return records
    pairs = [(f"{manifest.home}/{tree}/".encode(), f"{home.root}/{tree}/".encode()) for tree in _MOVED]
    with gzip.open(records, "rb") as old, gzip.open(scratch, "wb", compresslevel=1) as new:
        for line in old:
            for before, after in pairs:
                line = line.replace(before, after)
            new.write(line)
    return scratch


def trees_of(source: Path) -> list[str]:
    return [tree for tree in (*_TREES, "runs", "sweeps") if (source / tree).is_dir()]


def size_of(path: str) -> int:
    """Bytes on disk of a file or tree that nothing else links to."""
    try:
        seen = os.lstat(path)
    except OSError:
        return 0
    total = seen.st_blocks * 512 if seen.st_nlink == 1 and not os.path.isdir(path) else 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                seen = os.lstat(os.path.join(directory, name))
            except OSError:
                continue
            total += seen.st_blocks * 512 if seen.st_nlink == 1 else 0
    return total


class _Kept:
    """Paths that stay."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = frozenset(paths)
        self._above = {above for path in paths for above in _parents(path)}

    def touch(self, path: str) -> bool:
        """Whether something that stays is `path`, lies below it, or holds it."""
        return path in self._paths or path in self._above or any(above in self._paths for above in _parents(path))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _copy_logs(source: Path, target: Path) -> None:
    """What attempts have said and how they ended; not what they worked with."""
    target.mkdir(mode=0o700, exist_ok=True)
    for directory, below, names in os.walk(source):
        below[:] = [name for name in below if name not in ("work", "tmp", "component", "volumes")]
        wanted = [os.path.join(directory, name) for name in names if name.endswith(_LOG_SUFFIXES)]
        if os.path.basename(directory).startswith("attempt-"):
            below[:] = [name for name in below if name != LOGS]
            wanted += log_files(directory)
        for path in dict.fromkeys(wanted):
            copy = os.path.join(target, os.path.relpath(path, source))
            os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
            shutil.copy2(path, copy)
