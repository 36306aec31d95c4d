"""Cairn runs machine-learning pipelines written for Vertex AI Pipelines and Kubeflow Pipelines on your own machines."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cairn.client.reporting import report
    from cairn.sdk import Run, Sweep, run, sweep

__all__ = ["Run", "Sweep", "__version__", "report", "run", "sweep"]


def __getattr__(name: str) -> Any:
    # The command line must not pay for the SDK, nor a notebook for the command line.
    if name == "report":
        from cairn.client.reporting import report

        return report
    if name in ("run", "Run", "sweep", "Sweep"):
        from cairn import sdk

        return getattr(sdk, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
