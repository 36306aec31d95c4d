"""Cairn runs machine-learning pipelines written for Vertex AI Pipelines and Kubeflow Pipelines on your own machines."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cairn.sdk import Run, run

__all__ = ["Run", "__version__", "run"]


def __getattr__(name: str) -> Any:
    # The command line must not pay for the SDK, nor a notebook for the command line.
    if name in ("run", "Run"):
        from cairn import sdk

        return getattr(sdk, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
