"""The engine's `ArtifactStore` port on local directories."""

from __future__ import annotations

import os
import shutil
import stat as kinds
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import xxhash

from cairn.artifacts import digests, importing, locations
from cairn.artifacts.real_buckets import real_buckets, refuse_real
from cairn.config.home import Home
from cairn.config.settings import ArtifactsSettings
from cairn.domain.artifacts import Fingerprint
from cairn.domain.values import Spilled
from cairn.errors import HomeError, InputRefused, StorageFull

_SPILLED = ".parameters"
# Above this many entries a tree is left writable: sealing must not cost more than publishing did.
_SEALED_ENTRIES = 10_000


class LocalStore:
    """Threads: every method from any thread; nothing is kept between calls but the roots.

    `buckets` maps `gs://name` to `local` (the default: a tree in the home) or to a real store, whose
    URIs have no path here.
    """

    def __init__(
        self, home: Home, settings: ArtifactsSettings | None = None, buckets: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.root = home.store
        self.buckets = home.buckets
        self.settings = settings or ArtifactsSettings()
        self._real = real_buckets(buckets) if buckets else {}
        # Steps see the buckets of their project alone; set by a server that asks for logins. Without, all are one
        # person's, who need not say whose they are.
        self.projects_apart = False

    def check(self, uri: str, place: str) -> None:
        refuse_real(uri, self._real, place=place)

    def path_of(self, uri: str) -> str | None:
        scheme = locations.scheme_of(uri)
        if scheme in {"", "file"}:
            return locations.file_path(uri)
        if scheme in locations.MOUNTS:
            scheme, bucket, key = locations.split_bucket(uri)
            if scheme == "gs" and bucket in self._real:
                return None
            base = f"{self.buckets}/{scheme}/{bucket}"
            return f"{base}/{key}" if key else base
        return None

    def step_path_of(self, uri: str) -> str:
        scheme = locations.scheme_of(uri)
        if scheme in locations.MOUNTS:
            locations.split_bucket(uri)
            return f"{locations.MOUNTS[scheme]}/{uri[len(scheme) + 3 :]}"
        return locations.file_path(uri) if scheme in {"", "file"} else uri

    def fingerprint(self, path: str) -> Fingerprint | None:
        return digests.fingerprint(path)

    def unchanged(self, uri: str, fingerprint: Fingerprint, *, full: bool) -> bool:
        path = self.path_of(uri)
        if path is None:
            return not full  # nothing of it was ever read
        if full:
            found = digests.fingerprint(path)
            return found is not None and found.digest == fingerprint.digest
        seen = digests.quick_look(path)
        if seen is None or (seen[0], seen[2]) != (fingerprint.size, fingerprint.is_directory):
            return False
        # Touched, or restored from a backup: the bytes decide.
        return seen[1] == tuple(fingerprint.stat) or self.unchanged(uri, fingerprint, full=True)

    def seal(self, path: str) -> None:
        if not self.settings.seal:
            return
        try:
            mode = os.lstat(path).st_mode
            if kinds.S_ISREG(mode):
                os.chmod(path, mode & ~0o222)
            elif kinds.S_ISDIR(mode):
                _seal_tree(path)
        except OSError:
            pass  # a file system without modes, or a file that is not ours: a protection, not a promise

    def discard(self, path: str) -> None:
        remove(path)

    def spill(self, run_uid: str, text: bytes) -> Spilled:  # noqa: ARG002 - equal values share a file
        """One file for equal values, whichever run they come from. Raises StorageFull."""
        digest = xxhash.xxh3_128_hexdigest(text)
        path = self.root / _SPILLED / f"{digest}.json"
        try:
            os.utime(path)  # young again: a collection that is looking right now leaves it
        except FileNotFoundError:
            _write_durably(path, text)
        return Spilled(uri=str(path), digest=f"xxh3:{digest}", size=len(text))

    def unspill(self, spilled: Spilled) -> bytes:
        path = self.path_of(spilled.uri)
        if path is None or not locations.within(path, self.root / _SPILLED):
            raise InputRefused("is no spilled parameter of this home", place=spilled.uri)
        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise InputRefused(f"a parameter's value cannot be read: {error.strerror}", place=spilled.uri) from None
        if f"xxh3:{xxhash.xxh3_128_hexdigest(text)}" != spilled.digest:
            raise InputRefused("a parameter's value is not what was written", place=spilled.uri)
        return text

    def import_uri(self, uri: str) -> Fingerprint | None:
        importing.check(uri, allow_private_hosts=self.settings.allow_private_hosts)
        refuse_real(uri, self._real)
        path = self.path_of(uri)
        if path is None:
            return None
        scheme = locations.scheme_of(uri)
        if scheme in locations.MOUNTS and not self._in_its_bucket(path, uri):
            raise InputRefused("leads out of its bucket through a link", place=uri)
        if scheme in {"", "file"}:
            importing.check_readable(path, uri)
        return digests.fingerprint(path)

    def read(self, uri: str, limit: int) -> bytes:
        """What is at a URI that a stranger names: in a bucket, or at an https address; never a path of this machine.
        Raises InputRefused, NotFound, and TooLarge above `limit` bytes."""
        from cairn.artifacts import fetching  # HTTP, which no run needs

        scheme = locations.scheme_of(uri)
        if scheme in locations.MOUNTS:
            refuse_real(uri, self._real)
            path = self.path_of(uri) or ""
            if not self._in_its_bucket(path, uri):
                raise InputRefused("leads out of its bucket through a link", place=uri)
            return fetching.read_file(path, uri, limit)
        if scheme in ("http", "https"):
            return fetching.fetch(uri, limit, allow_private_hosts=self.settings.allow_private_hosts)
        raise InputRefused("is neither in a bucket nor at an https address", place=uri)

    def _in_its_bucket(self, path: str, uri: str) -> bool:
        scheme, bucket, _ = locations.split_bucket(uri)
        return locations.within(path, self.buckets / scheme / bucket)

    def mounts(self, uris: Sequence[str], project: str) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for scheme, mount in locations.MOUNTS.items():
            named = [uri for uri in uris if locations.scheme_of(uri) == scheme]
            if not named:
                continue
            real = self.buckets / scheme
            for uri in named:
                refuse_real(uri, self._real)
                _, bucket, _ = locations.split_bucket(uri)
                if not os.path.isdir(real / bucket):
                    from cairn.artifacts.buckets import LocalBuckets  # a new bucket pays for it, not each step

                    LocalBuckets(self.home, scheme).claim(bucket, project)
            pairs += self._shown(scheme, mount, project)
        return pairs

    def buckets_of(self, project: str) -> list[tuple[str, str]]:
        mount = locations.MOUNTS["gs"]
        return self._shown("gs", mount, project) if os.path.isdir(self.buckets / "gs") else []

    def shows(self, uri: str, project: str) -> bool:
        scheme = locations.scheme_of(uri)
        if not self.projects_apart or scheme not in locations.MOUNTS:
            return True  # what lies in no bucket is no project's
        _, bucket, _ = locations.split_bucket(uri)
        if not os.path.isdir(self.buckets / scheme / bucket):
            return True
        from cairn.artifacts.buckets import LocalBuckets

        return LocalBuckets(self.home, scheme).find(bucket).project == project

    def holds(self, path: str) -> bool:
        real = os.path.realpath(path)
        places = [(root, os.path.relpath(path, root)) for root in (self.root, self.buckets)]
        return any(
            below.split("/")[0] not in ("..", ".") and real == os.path.join(os.path.realpath(root), below)
            for root, below in places
        )

    def _shown(self, scheme: str, mount: str, project: str) -> list[tuple[str, str]]:
        real = self.buckets / scheme
        if not self.projects_apart:
            return [(mount, str(real))]
        from cairn.artifacts.buckets import LocalBuckets

        own = [bucket.name for bucket in LocalBuckets(self.home, scheme).list() if bucket.project == project]
        return [(f"{mount}/{name}", str(real / name)) for name in own]


def remove(path: str) -> int:
    """Remove a file, link or tree, read-only ones too; gives the bytes freed. Missing is no error.

    Raises HomeError for what another user has made there, once all else of it is removed.
    """
    try:
        mode = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    if not kinds.S_ISDIR(mode.st_mode):
        try:
            os.unlink(path)
        except OSError as error:
            raise _not_removed(path, error) from None
        return mode.st_blocks * 512 if mode.st_nlink == 1 else 0
    freed = 0
    _open(path, mode.st_mode)
    for directory, _, files in _writable_walk(path):
        for name in files:
            seen = os.lstat(os.path.join(directory, name))
            freed += seen.st_blocks * 512 if seen.st_nlink == 1 else 0
    failed: list[tuple[str, OSError]] = []
    shutil.rmtree(path, onerror=lambda _, place, told: failed.append((place, told[1])))  # type: ignore[arg-type]
    if failed:
        raise _not_removed(*failed[0])
    return freed


def _open(directory: str, mode: int) -> None:
    with suppress(PermissionError):  # another user's: what they let us remove goes
        os.chmod(directory, mode | 0o700)


def _not_removed(path: str, error: OSError) -> HomeError:
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        owner = os.geteuid()
    if owner == os.geteuid() or not isinstance(error, PermissionError):
        return HomeError(f"cannot be removed: {error.strerror}", place=path)
    return HomeError(
        f"cannot be removed: it belongs to user {owner}, whom a step ran as",
        place=path,
        remedy="remove it as that user (`sudo rm -r`, then `cairn gc`); steps that run as you leave nothing like it: "
        '[docker] user = "auto"',
    )


def _writable_walk(root: str) -> list[tuple[str, list[str], list[str]]]:
    found = []
    for directory, names, files in os.walk(root):
        for name in names:
            below = os.path.join(directory, name)
            if not os.path.islink(below):
                _open(below, 0)
        found.append((directory, names, files))
    return found


def _seal_tree(root: str) -> None:
    """Files first, then the directories above them; a tree with very many entries is left as it is."""
    directories: list[tuple[str, int]] = [(root, os.lstat(root).st_mode)]
    files: list[tuple[str, int]] = []
    for directory, names, plain in os.walk(root):
        for name in (*names, *plain):
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if kinds.S_ISREG(mode):
                files.append((path, mode))
            elif kinds.S_ISDIR(mode):
                directories.append((path, mode))
        if len(files) + len(directories) > _SEALED_ENTRIES:
            return
    for path, mode in (*files, *reversed(directories)):
        os.chmod(path, mode & ~0o222)


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageFull(f"a parameter's value cannot be written: {error.strerror}", place=str(path)) from None
