"""Artifacts as Vertex ML Metadata names them (aiplatform.v1 `Artifact`)."""

from __future__ import annotations

from typing import Any

import msgspec


class ArtifactType(msgspec.Struct, frozen=True):
    """`ml_pipelines.ArtifactTypeSchema`: one of schema_title, schema_uri, instance_schema, with a version."""

    schema_title: str = "system.Artifact"
    schema_version: str = "0.0.1"
    schema_uri: str = ""
    instance_schema: str = ""


class Fingerprint(msgspec.Struct, frozen=True):
    """What was seen of an artifact's bytes when it was committed.

    `digest` is `xxh3:<32 hex>` over the file, or over the sorted relative names, sizes and digests of a tree; of a file
    of more than 64 MiB `xxh3-64m:<32 hex>` over the digests of its blocks (`artifacts/digests.py`).
    `size` is in bytes, the sum over a tree. `stat` is (mtime in ns, inode) of the file or of the tree's newest entry: a
    cheap check that nothing has changed since.
    """

    digest: str
    size: int
    stat: tuple[int, int] = (0, 0)
    is_directory: bool = False


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str  # unique within (project, location)
    type: ArtifactType
    uri: str
    metadata: dict[str, Any] = {}
    display_name: str = ""
    custom_path: str = ""  # where the step asked to find it, when that is not what the URI maps to
    fingerprint: Fingerprint | None = None  # None: never read by Cairn (remote URI, or written nothing)
    create_time: int = 0  # microseconds since the Unix epoch
    update_time: int = 0
    state: str = "LIVE"  # LIVE | PENDING | ""
    description: str = ""
    labels: dict[str, str] = {}
    foreign: bool = False  # recorded by a client of the API: it stays when the runs that used it are deleted
