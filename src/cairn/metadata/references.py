"""Artifacts as people name them."""

from __future__ import annotations

from cairn.domain.artifacts import Artifact
from cairn.errors import InputRefused, NotFound
from cairn.metadata.service import MetadataService
from cairn.metadata.types import ArtifactQuery

_SEARCHED = 10_000


def find_artifact(metadata: MetadataService, reference: str) -> Artifact:
    """By id, the beginning of one, or URI. Raises NotFound, InputRefused when several fit."""
    if "/" in reference:
        named = metadata.artifacts(ArtifactQuery(uri=reference, limit=1))
        if named:
            return named[0]
        raise NotFound("is no artifact's URI", place=reference)
    try:
        return metadata.artifact(reference)
    except NotFound:
        listed = metadata.artifacts(ArtifactQuery(limit=_SEARCHED))
    near = [artifact for artifact in listed if len(reference) >= 4 and artifact.id.startswith(reference)]
    if len(near) > 1:
        raise InputRefused(f"{reference!r} is the beginning of several artifacts' ids", remedy="give more characters")
    if not near:
        raise NotFound(f"there is no artifact {reference!r}", remedy="`cairn artifacts list` shows what there is")
    return near[0]
