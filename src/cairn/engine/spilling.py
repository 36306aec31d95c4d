"""Large values: in the records stands where they are, in the artifact store what they are."""

from __future__ import annotations

import msgspec

from cairn.domain.runs import TaskInputs
from cairn.domain.values import Value
from cairn.engine.ports import ArtifactStore

SPILL_BYTES = 64 * 1024


def kept(value: Value, store: ArtifactStore, run_uid: str) -> Value:
    """The value as it is recorded: itself, or `Spilled` when its JSON is larger than 64 KiB."""
    if isinstance(value, (int, float)) or value is None or (isinstance(value, str) and len(value) < SPILL_BYTES // 4):
        return value
    text = msgspec.json.encode(value)
    return store.spill(run_uid, text) if len(text) > SPILL_BYTES else value


def kept_inputs(inputs: TaskInputs, store: ArtifactStore, run_uid: str) -> TaskInputs:
    """Inputs as they are recorded; the same object when none of them is large."""
    found = {name: kept(value, store, run_uid) for name, value in inputs.parameters.items()}
    if all(found[name] is value for name, value in inputs.parameters.items()):
        return inputs
    return TaskInputs(found, inputs.artifacts)
