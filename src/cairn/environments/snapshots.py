"""A user's directory as it was: its tracked and unignored files, copied once for each digest."""

from __future__ import annotations

import os
import shutil
import stat as kinds
import subprocess
from pathlib import Path

import xxhash

from cairn.environments.hydra_outputs import without_outputs
from cairn.errors import InputRefused

_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "__pycache__", ".mypy_cache", ".ruff_cache",
     ".pytest_cache", ".ipynb_checkpoints", "node_modules", ".DS_Store"}
)  # fmt: skip
_MOST_FILES = 100_000


def files_of(directory: Path) -> list[str]:
    """Relative names, sorted: what git tracks or does not ignore; outside git, all but caches and environments. Neither
    holds what Hydra wrote.

    Raises InputRefused when there are more than 100,000.
    """
    names = _git_files(directory)
    if names is None:
        names = _all_files(directory)
    if len(names) > _MOST_FILES:
        raise InputRefused(
            f"holds {len(names)} files",
            place=str(directory),
            remedy="name a smaller directory, or let .gitignore leave data out",
        )
    return sorted(names)


def _git_files(directory: Path) -> list[str] | None:
    try:
        listed = subprocess.run(
            ["git", "-C", str(directory), "ls-files", "-cot", "--exclude-standard", "-z", "--", "."],
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if listed.returncode:
        return None
    tagged = [os.fsdecode(line).partition(" ") for line in listed.stdout.split(b"\0") if line]
    tracked = {name for tag, _, name in tagged if tag != "?"}
    # Left out though nobody ignores them: they change by running, or belong to this machine.
    there = {name for _, _, name in tagged if not _by_running(name)}
    names = without_outputs(directory, list(there), tracked)
    # A file that is tracked and deleted is listed; a submodule or nested repository is listed as a directory.
    files: list[str] = []
    for name in names:
        try:
            mode = os.lstat(os.path.join(directory, name)).st_mode
        except OSError:
            continue
        if kinds.S_ISDIR(mode):
            files += [f"{name.rstrip('/')}/{below}" for below in files_of(directory / name)]
        else:
            files.append(name)
    return files


def _by_running(name: str) -> bool:
    return name.endswith(".pyc") or not {"__pycache__", ".venv"}.isdisjoint(name.split("/"))


def _all_files(directory: Path) -> list[str]:
    found: list[str] = []
    for parent, names, files in os.walk(directory):
        kept = [name for name in names if name not in _LEFT_OUT and not name.endswith(".egg-info")]
        links = [name for name in kept if (Path(parent) / name).is_symlink()]
        names[:] = [name for name in kept if name not in links]
        below = os.path.relpath(parent, directory)
        prefix = "" if below == "." else f"{below}/"
        found += [f"{prefix}{name}" for name in (*files, *links) if name not in _LEFT_OUT and not name.endswith(".pyc")]
        if len(found) > _MOST_FILES:
            return found
    return without_outputs(directory, found)


def digest_of(directory: Path, names: list[str]) -> str:
    """Over names, contents, links and the executable bit. Raises InputRefused for what cannot be read."""
    whole = xxhash.xxh3_128()
    for name in names:
        path = directory / name
        try:
            mode = path.lstat().st_mode
            if kinds.S_ISLNK(mode):
                what = f"l{os.readlink(path)}"
            elif kinds.S_ISREG(mode):
                what = f"{'x' if mode & 0o100 else 'f'}{xxhash.xxh3_128_hexdigest(path.read_bytes())}"
            else:
                continue
        except OSError as error:
            raise InputRefused(f"cannot be read: {error.strerror}", place=str(path)) from None
        whole.update(f"{name}\0{what}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()


def take(directory: Path, snapshots: Path) -> tuple[Path, str]:
    """(snapshot, digest): the directory's files, copied unless a snapshot of the same digest stands.

    A copy, never a link: an edit in place by the user must not reach a run. Read-only, so that steps do not write to it
    through their own links. Two processes may take it at once.
    """
    names = files_of(directory)
    digest = digest_of(directory, names)
    target = snapshots / digest
    if target.is_dir():
        os.utime(target)
        return target, digest
    temporary = snapshots / f".{digest}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        _copy(directory, names, temporary)
        copied = digest_of(temporary, names)
        target = snapshots / copied  # edited while it was read: the snapshot says what it holds
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        return target, copied
    except OSError as error:
        raise InputRefused(f"cannot be copied: {error.strerror}", place=str(error.filename or directory)) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(directory: Path, names: list[str], target: Path) -> None:
    target.mkdir(mode=0o700, parents=True)
    for name in names:
        source, copy = directory / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        mode = source.lstat().st_mode
        if kinds.S_ISLNK(mode):
            copy.symlink_to(os.readlink(source))
        elif kinds.S_ISREG(mode):
            shutil.copyfile(source, copy)
            copy.chmod(0o555 if mode & 0o100 else 0o444)
