"""Every operation, by the name that calls go by."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cairn.spec.native_services import CUSTOM_JOB

if TYPE_CHECKING:
    from cairn.engine.ports import NativeCall
    from cairn.executors.native.operations import Operation, Operations
    from cairn.executors.native.services import NativeServices


def operations(services: NativeServices) -> Operations:
    return {CUSTOM_JOB: partial(_custom_job, services)}


def _custom_job(services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.custom_jobs import CustomJobOperation

    return CustomJobOperation(call, directory, services)
