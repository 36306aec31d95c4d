"""A step's own view of the file system: `/gcs/bucket`, secrets and volumes where the step expects them.

A private mount namespace, so that nothing of it shows on the host, and nothing is left behind. Where a path does not
exist, the nearest directory above it that does is rebuilt on a tmpfs, each entry bound in; usually that is `/`.
"""

from __future__ import annotations

import os
from typing import Dict, Sequence, Set

from cairn.launcher import linux


def enter(links: Sequence[Sequence[str]], directory: str) -> None:
    """Show each (path, real path) of `links` to this process and its descendants.

    `directory` is the attempt's own: an empty directory in it serves as the place to build on. Raises OSError where the
    machine grants no namespaces.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        linux.unshare(linux.CLONE_NEWNS)
    except PermissionError:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
        _keep_identity(uid, gid)
    linux.mount("", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    wanted = sorted(((_checked(seen), real) for seen, real in links), key=lambda link: link[0].count("/"))
    missing = [seen for seen, _ in wanted if not os.path.exists(seen)]
    base = ""
    if missing:
        base = os.path.join(directory, "view")
        os.makedirs(base, exist_ok=True)
        linux.mount("tmpfs", base, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755")
        _mirror("/", base, _directories_to_rebuild(missing))
    for seen, real in wanted:
        _make_point(base + seen, is_directory=os.path.isdir(real))
        linux.mount(real, base + seen, "", linux.MS_BIND | linux.MS_REC)
    if base:
        linux.enter_root(base)


def _checked(seen: str) -> str:
    """Where a path leads on this machine; what does not exist yet stays as it is."""
    if not os.path.isabs(seen) or os.path.normpath(seen) == "/" or ".." in seen.split("/"):
        raise OSError(22, f"cannot show anything as {seen!r}: not a plain path below /")
    return os.path.realpath(seen)


def possible() -> bool:
    """Whether this process could enter a namespace. Changes it: for a child made for the question only."""
    uid, gid = os.getuid(), os.getgid()
    try:
        try:
            linux.unshare(linux.CLONE_NEWNS)
        except PermissionError:
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
            _keep_identity(uid, gid)
        linux.mount("", "/", "", linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("tmpfs", "/tmp", "tmpfs")
    except OSError:
        return False
    return True


def _keep_identity(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def _directories_to_rebuild(missing: Sequence[str]) -> Set[str]:
    """The nearest existing directory above each missing path, and all above that."""
    rebuilt: Set[str] = {"/"}
    for path in missing:
        above = os.path.dirname(path)
        while above != "/":
            if os.path.isdir(above):
                rebuilt.add(above)
            above = os.path.dirname(above)
    return rebuilt


def _mirror(source: str, target: str, rebuilt: Set[str]) -> None:
    with os.scandir(source) as entries:
        listing: Dict[str, os.DirEntry[str]] = {entry.name: entry for entry in entries}
    for name, entry in listing.items():
        destination = os.path.join(target, name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), destination)
        elif entry.is_dir():
            os.mkdir(destination)
            if entry.path in rebuilt:
                _mirror(entry.path, destination, rebuilt)
            else:
                linux.mount(entry.path, destination, "", linux.MS_BIND | linux.MS_REC)
        else:
            os.close(os.open(destination, os.O_CREAT | os.O_WRONLY, 0o600))
            linux.mount(entry.path, destination, "", linux.MS_BIND)
    found = os.stat(source)
    os.chmod(target, found.st_mode & 0o7777)


def _make_point(seen: str, *, is_directory: bool) -> None:
    if os.path.exists(seen):
        return
    if is_directory:
        os.makedirs(seen, exist_ok=True)
        return
    os.makedirs(os.path.dirname(seen), exist_ok=True)
    os.close(os.open(seen, os.O_CREAT | os.O_WRONLY, 0o600))
