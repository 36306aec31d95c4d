"""Every operation, by the name that calls go by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cairn.spec.native_services import CUSTOM_JOB, TUNE, TUNING_JOB, TUNING_JOB_WITH_METRICS, WAIT

if TYPE_CHECKING:
    from cairn.engine.ports import NativeCall
    from cairn.executors.native.operations import Operation, Operations
    from cairn.executors.native.services import NativeServices

    _Maker: TypeAlias = Callable[[NativeServices, NativeCall, str], Operation]


def operations(services: NativeServices) -> Operations:
    makers: dict[str, _Maker] = {
        CUSTOM_JOB: _custom_job,
        TUNING_JOB: _tuning_job,
        TUNING_JOB_WITH_METRICS: _tuning_job,
        TUNE: _tune,
        WAIT: _wait,
    }
    return {kind: partial(_fenced, maker, services) for kind, maker in makers.items()}


def _fenced(maker: _Maker, services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.fencing import Fenced

    ourselves = services.runs().services.owner
    return Fenced(lambda: maker(services, call, directory), lambda: services.records.claimed(call.run_uid), ourselves)


# Each is imported when the first one is wanted: a run without tuning jobs knows nothing of studies.


def _custom_job(services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.custom_jobs import CustomJobOperation

    return CustomJobOperation(call, directory, services)


def _tuning_job(services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.tuning_jobs import TuningJobOperation
    from cairn.tuning.sampling import import_ahead

    import_ahead()
    return TuningJobOperation(call, directory, services)


def _tune(services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.awaiting import Awaiting
    from cairn.executors.native.tuning import TuneOperation
    from cairn.tuning.sampling import import_ahead

    return Awaiting(import_ahead(), lambda: TuneOperation(call, directory, services))


def _wait(services: NativeServices, call: NativeCall, directory: str) -> Operation:
    from cairn.executors.native.waiting import WaitOperation

    return WaitOperation(call, directory, services)
