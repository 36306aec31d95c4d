"""Artifacts, executions and contexts as messages, and back."""

import msgspec
import pytest

from cairn.api.vertex import codec
from cairn.api.vertex.metadata_view import (
    artifact_view,
    changed_artifact,
    changed_context,
    changed_execution,
    context_view,
    event_of,
    execution_view,
)
from cairn.api.vertex.names import Place
from cairn.domain.artifacts import Artifact, ArtifactType, Fingerprint
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.domain.values import Spilled
from cairn.errors import InputRefused

PLACE = Place("demo", "here")
METADATA = {"n": 1.5, "text": "x", "deep": {"list": [1.0, None, True]}}
ARTIFACT = Artifact(
    "a", ArtifactType("system.Model", "0.0.2", "uri://schema", "instance"), "gs://b/a", METADATA, "A", "/custom",
    Fingerprint("xxh3:1", 3), 1_000_000, 2_000_001, "PENDING", "d", {"k": "v"},
)  # fmt: skip
EXECUTION = Execution(
    "e", "system.Run", ExecutionState.CACHED, "E", METADATA, 1_000_000, 2_000_001, "0.0.3", "d", {"k": "v"}
)
CONTEXT = Context("c", "system.Experiment", "C", METADATA, ("p",), 1_000_000, 2_000_001, "0.0.4", "d", {"k": "v"})


@pytest.mark.parametrize(
    ("thing", "view", "changed", "message"),
    [
        (ARTIFACT, artifact_view, changed_artifact, "Artifact"),
        (EXECUTION, execution_view, changed_execution, "Execution"),
        (CONTEXT, context_view, changed_context, "Context"),
    ],
)
def test_what_is_shown_says_what_is_recorded(thing, view, changed, message):
    shown = view(PLACE, thing)
    name = f"google.cloud.aiplatform.v1.{message}"
    assert codec.parse(name, msgspec.json.decode(codec.encode(shown))) == shown
    assert codec.from_message(name, codec.to_message(name, shown)) == shown
    assert changed(thing, shown) == thing
    assert shown["etag"] == "2000001" and shown["updateTime"] == "1970-01-01T00:00:02.000001Z"


def test_what_a_message_leaves_out_is_emptied_and_what_only_cairn_knows_stays():
    emptied = changed_artifact(ARTIFACT, {"uri": "gs://b/a"})
    assert (emptied.metadata, emptied.labels, emptied.state, emptied.display_name) == ({}, {}, "", "")
    assert (emptied.custom_path, emptied.fingerprint) == ("/custom", ARTIFACT.fingerprint)
    assert emptied.type == ArtifactType("", "0.0.1", "uri://schema", "instance")


def test_a_spilled_parameter_is_shown_by_its_uri():
    spilled = msgspec.structs.replace(EXECUTION, metadata={"input:big": Spilled("/spill/1", "d", 1)})
    assert execution_view(PLACE, spilled)["metadata"] == {"input:big": "/spill/1"}


def test_events_are_inputs_or_outputs():
    message = {"type": "INPUT", "labels": {"b": "1", "a": "2"}}
    assert event_of(message, "a", "e", "events[0]") == Event("a", "e", EventType.INPUT, labels=(("a", "2"), ("b", "1")))
    for wrong in ({}, {"type": "TYPE_UNSPECIFIED"}):
        with pytest.raises(InputRefused) as refused:
            event_of(wrong, "a", "e", "events[3]")
        assert refused.value.place == "events[3].type"
