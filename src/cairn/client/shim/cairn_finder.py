"""Waits for the modules that send requests, and has `cairn_shim` patch them once they are loaded.

All that a program pays which sends none: this small file, and a look-up in a set for each import.
Standard library only, Python 3.8 or newer; imports nothing of ours.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself would cost more than all of this
if TYPE_CHECKING:
    from typing import Any

# As the keys of cairn_shim.PATCHES.
PATCHED = frozenset(
    (
        "socket",
        "requests.adapters",
        "urllib3.poolmanager",
        "urllib.request",
        "httplib2",
        "httpx",
        "aiohttp.client",
        "grpc",
        "grpc.aio",
    )
)


class Finder:
    """Finds nothing itself: lets the others find a module of PATCHED, and has it patched once it is loaded."""

    def __init__(self) -> None:
        self._looking: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in PATCHED or name in self._looking:
            return None
        self._looking.add(name)
        try:
            for finder in list(sys.meta_path):
                if finder is self or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _patch_when_loaded(name, spec)
                    return spec
        finally:
            self._looking.discard(name)
        return None


def _patch_when_loaded(name: str, spec: Any) -> None:
    loader = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def exec_module(module: Any) -> None:
        try:
            del loader.exec_module
        except AttributeError:
            pass
        execute(module)
        _patch(name, module)

    try:
        loader.exec_module = exec_module  # of this one loader; its class stays as it is
    except AttributeError:
        pass


def _patch(name: str, module: Any) -> None:
    import cairn_shim  # type: ignore[import-not-found]  # found on PYTHONPATH

    cairn_shim.patch(name, module)


def install() -> None:
    """Once per interpreter."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder())
    for name in PATCHED:
        module = sys.modules.get(name)
        if module is not None:
            _patch(name, module)
