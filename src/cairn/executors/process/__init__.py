"""Attempts as processes of this machine, each under a waiter that outlives the engine."""

from cairn.executors.process.executor import ProcessExecutor

__all__ = ["ProcessExecutor"]
