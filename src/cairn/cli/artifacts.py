"""`cairn artifacts`: what steps have put out, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table

if TYPE_CHECKING:
    from cairn.domain.artifacts import Artifact
    from cairn.wiring import Cairn

_HERE = "cairn.cli.artifacts"


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_artifacts", "List artifacts, newest first."),
        "show": (f"{_HERE}:show", "Show one artifact: where it is, what it came from, what came of it."),
    },
)
def artifacts() -> None:
    """Artifacts, executions and the events between them, as ML Metadata records them."""


@click.command(name="list")
@click.option("--run", "reference", metavar="RUN", help="Only artifacts that this run used or made.")
@click.option("--type", "schema_title", default="", metavar="TITLE", help="Only of this type: system.Model, …")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@options.as_json
def list_artifacts(*, reference: str | None, schema_title: str, limit: int, as_json: bool) -> None:
    """List artifacts, newest first."""
    from cairn.metadata.types import ArtifactQuery

    with opened() as cairn:
        run_uid = options.find_run(cairn, reference).uid if reference else ""
        found = cairn.metadata.artifacts(ArtifactQuery(schema_title=schema_title, run_uid=run_uid, limit=limit))
        if as_json:
            output.print_json([msgspec.to_builtins(artifact) for artifact in found])
            return
        rows = [
            (
                artifact.id[:12],
                artifact.type.schema_title,
                artifact.display_name,
                words.size(artifact.fingerprint.size) if artifact.fingerprint else "",
                words.ago(artifact.create_time),
                artifact.uri,
            )
            for artifact in found
        ]
        table(("artifact", "type", "name", "size", "created", "uri"), rows, empty="no artifacts")


@click.command()
@click.argument("reference", metavar="ARTIFACT")
@options.as_json
def show(reference: str, *, as_json: bool) -> None:
    """Show an artifact by its id, the beginning of it, or its URI: its metadata and lineage."""
    with opened() as cairn:
        artifact = find_artifact(cairn, reference)
        lineage = cairn.metadata.artifact_lineage(artifact.id)
        if as_json:
            found = msgspec.to_builtins(artifact)
            found["path"] = cairn.store.path_of(artifact.uri)
            found["lineage"] = msgspec.to_builtins(lineage)
            output.print_json(found)
            return
        producer = cairn.metadata.producer(artifact.id)
        print_of = artifact.fingerprint
        facts(
            [
                ("artifact", artifact.id),
                ("name", artifact.display_name),
                ("type", artifact.type.schema_title or artifact.type.schema_uri),
                ("uri", artifact.uri),
                ("path", artifact.custom_path or cairn.store.path_of(artifact.uri) or ""),
                ("size", words.size(print_of.size) if print_of else ""),
                ("digest", print_of.digest if print_of else ""),
                ("created", f"{words.moment(artifact.create_time)} ({words.ago(artifact.create_time)})"),
                ("made by run", producer[:8]),
                ("metadata", "\n".join(f"{name}: {words.value(value)}" for name, value in artifact.metadata.items())),
            ]
        )
        _tell_lineage(artifact, lineage)


def find_artifact(cairn: Cairn, reference: str) -> Artifact:
    """Raises NotFound, InputRefused when several fit."""
    from cairn.metadata import references

    return references.find_artifact(cairn.metadata, reference)


def _tell_lineage(artifact: Artifact, lineage: Any) -> None:
    names = {one.id: f"{one.type.schema_title} {one.display_name}" for one in lineage.artifacts}
    steps = {one.id: one.display_name for one in lineage.executions}
    rows = []
    for event in lineage.events:
        direction = "→" if event.type == "INPUT" else "←"
        mark = "*" if event.artifact_id == artifact.id else ""
        told = names.get(event.artifact_id, "")
        rows.append((f"{event.artifact_id[:12]}{mark}", told, direction, steps.get(event.execution_id, ""), event.key))
    if rows:
        output.say("lineage")
        table(("artifact", "", "", "step", "as"), rows)
