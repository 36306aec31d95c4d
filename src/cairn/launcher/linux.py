"""System calls that the standard library lacks; each does nothing, or says no, where the platform lacks them too."""

from __future__ import annotations

import os
import sys
from typing import Any

ctypes: Any
try:
    import ctypes
except ImportError:  # a Python built without libffi
    ctypes = None

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "s390x": 217, "riscv64": 41}


def _load() -> Any:
    if sys.platform != "linux":
        return None
    if ctypes is None:
        return None
    return ctypes.CDLL(None, use_errno=True)


_libc = _load()
available = _libc is not None


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def become_subreaper() -> None:
    """Orphaned descendants of this process become its children instead of init's."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this process `signal_number` when its parent dies. Undone by fork, kept by execve."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def unshare(flags: int) -> None:
    if _libc is None:
        raise OSError(38, "namespaces: not available on this platform")
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    _check(
        _libc.mount(
            os.fsencode(source) or None,
            os.fsencode(target),
            os.fsencode(kind) or None,
            flags,
            os.fsencode(data) or None,
        ),
        f"mount {target}",
    )


def enter_root(new_root: str) -> None:
    """Make `new_root` (a mount point) this namespace's root; nothing of the old one stays reachable."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    os.chdir(new_root)
    if number is None:
        os.chroot(".")
    else:
        _check(_libc.syscall(number, b".", b"."), "pivot_root")
        _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")
