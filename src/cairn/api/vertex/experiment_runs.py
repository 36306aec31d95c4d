"""The experiment run that a job's code logs to: what `CustomJob.run(experiment=…)` of the client asks for.

The code finds it by AIP_EXPERIMENT_NAME and AIP_EXPERIMENT_RUN_NAME (google.cloud.aiplatform.metadata.constants), which
say what the job's spec says. A job with an experiment alone is given a run of its own, as on Vertex AI.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.vertex.names import Place, context_name
from cairn.domain.lineage import Context, ExecutionState
from cairn.errors import AlreadyExists, InputRefused, NotFound
from cairn.metadata.types import StoreName

if TYPE_CHECKING:
    from cairn.wiring import Cairn

_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/metadataStores/default/contexts/([^/]+)")
_MAX_ID = 128  # characters, of experiment and run together
_VERSION = "0.0.1"  # of the schemas, as the client writes it


class ExperimentRun(msgspec.Struct, frozen=True):
    place: Place
    experiment: str  # ids of contexts
    run: str
    new: bool

    @property
    def name(self) -> str:
        return context_name(self.place, self.run)

    def record(self, cairn: Cairn) -> None:
        """Make its context, if it is a new one."""
        if not self.new:
            return
        store, now = StoreName(*self.place), time.time_ns() // 1000
        made = Context(
            self.run,
            "system.ExperimentRun",
            self.run.removeprefix(f"{self.experiment}-"),
            {"_params": {}, "_metrics": {}, "_state": str(ExecutionState.RUNNING)},
            create_time=now,
            update_time=now,
            schema_version=_VERSION,
        )
        try:
            cairn.metadata_editor.create_context(store, made)
        except AlreadyExists:
            pass
        cairn.metadata_editor.add_children(store, self.experiment, [self.run])


def experiment_run(cairn: Cairn, place: Place, spec: Mapping[str, Any], field: str) -> ExperimentRun | None:
    """Of a CustomJobSpec; None where it names no experiment. Raises NotFound, InputRefused."""
    experiment, run = spec.get("experiment", ""), spec.get("experimentRun", "")
    if not experiment:
        if run:
            raise InputRefused("is given without an experiment", place=f"{field}.experimentRun")
        return None
    id_ = _context(cairn, place, experiment, f"{field}.experiment")
    if run:
        return ExperimentRun(place, id_, _context(cairn, place, run, f"{field}.experimentRun"), new=False)
    made = f"{id_}-job-{secrets.token_hex(4)}"
    if len(made) > _MAX_ID:
        raise InputRefused(
            f"{id_!r} is too long for a run of it to be named after it",
            place=f"{field}.experiment",
            remedy="give an experimentRun",
        )
    return ExperimentRun(place, id_, made, new=True)


def _context(cairn: Cairn, place: Place, name: str, field: str) -> str:
    """The id of a context that there is."""
    found = _NAME.fullmatch(name)
    if found is None or not name.startswith(f"{place}/"):
        raise InputRefused(f"{name[:200]!r} is no context of {place}", place=field, remedy=context_name(place, "ID"))
    try:
        return cairn.metadata.context(found[1], StoreName(*place)).id
    except NotFound as error:
        raise NotFound(error.message, place=field) from None
