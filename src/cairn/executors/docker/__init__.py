"""Attempts as containers of the machine's engine, each under a waiter that outlives Cairn's."""

from cairn.executors.docker.executor import DockerExecutor

__all__ = ["DockerExecutor"]
