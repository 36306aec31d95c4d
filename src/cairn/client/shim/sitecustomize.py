"""Python imports this at its start, because `cairn exec` puts its directory first on PYTHONPATH.

It starts the shim and then stands in for nobody: the `sitecustomize` that would have been found without us is run in
our place. Standard library only, Python 3.8 or newer.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself would cost more than all of this
if TYPE_CHECKING:
    from typing import Any


def _next_one(here: Any) -> None:
    """The sitecustomize behind this one, loaded in our stead; nothing when there is none."""
    import _frozen_importlib
    import _frozen_importlib_external

    behind = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = _frozen_importlib_external.PathFinder.find_spec("sitecustomize", behind)
    if spec is None or spec.loader is None:
        return
    module = _frozen_importlib.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if os.environ.get("CAIRN_URL") and os.environ.get("CAIRN_SHIM", "").lower() not in ("off", "0", "false", "no"):
    import cairn_finder  # type: ignore[import-not-found]

    cairn_finder.install()

_next_one(os.path.dirname(os.path.abspath(__file__)))
