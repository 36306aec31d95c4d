"""Metadata schemas: those that every store has, and those that clients register.

A schema here is a name for a kind of thing, with a description of its metadata that clients may read; what is written
is not held to it.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Collection
from typing import Protocol

import msgspec
import yaml

from cairn.domain.documents import Document
from cairn.errors import AlreadyExists, InputRefused
from cairn.filters.tree import And, Comparison, Filter
from cairn.filters.vertex import parse_filter
from cairn.metadata.types import StoreName

KIND = "metadata_schema"
MAX_SCHEMA = 256 << 10  # bytes
_MANY = 1000

# google-cloud-aiplatform's aiplatform/metadata/schema and kfp's dsl.types.artifact_types, with what they write.
_BUILT_IN = {
    "ARTIFACT_TYPE": (
        "system.Artifact",
        "system.Dataset",
        "system.Model",
        "system.Metrics",
        "system.ClassificationMetrics",
        "system.SlicedClassificationMetrics",
        "system.HTML",
        "system.Markdown",
        "google.VertexDataset",
        "google.VertexModel",
        "google.VertexEndpoint",
        "google.VertexBatchPredictionJob",
        "google.VertexTensorboardRun",
        "google.UnmanagedContainerModel",
        "google.ClassificationMetrics",
        "google.RegressionMetrics",
        "google.ForecastingMetrics",
        "google.ExperimentModel",
        "google.BQTable",
        "google.BQMLModel",
    ),
    "EXECUTION_TYPE": (
        "system.Run",
        "system.ContainerExecution",
        "system.ImporterExecution",
        "system.DagExecution",
        "system.CustomJobExecution",
    ),
    "CONTEXT_TYPE": ("system.Pipeline", "system.PipelineRun", "system.Experiment", "system.ExperimentRun"),
}


class Schema(msgspec.Struct, frozen=True):
    id: str
    title: str
    content: str  # YAML: an OpenAPI schema object with a title
    type: str = "METADATA_SCHEMA_TYPE_UNSPECIFIED"  # ARTIFACT_TYPE | EXECUTION_TYPE | CONTEXT_TYPE
    version: str = "0.0.1"
    description: str = ""
    create_time: int = 0


class SchemaRecords(Protocol):
    def create_document(self, document: Document) -> Document: ...

    def document(self, kind: str, id_: str, *, project: str, location: str) -> Document: ...

    def page_documents(
        self, kind: str, *, projects: Collection[str] | None, location: str, token: str, limit: int
    ) -> tuple[list[Document], str]: ...


class SchemaRegistry:
    """Threads: any."""

    def __init__(self, records: SchemaRecords) -> None:
        self._records = records

    def create(self, store: StoreName, schema: Schema) -> Schema:
        """Its title is read from its content. Raises InputRefused, AlreadyExists."""
        title = _title(schema.content)
        if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", schema.version):
            raise InputRefused("a version is three numbers: 1.0.0", place="schemaVersion")
        if schema.id and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", schema.id):
            raise InputRefused("use letters, digits, dots, underscores and dashes", place="metadataSchemaId")
        if any((one.title, one.version) == (title, schema.version) for one in self.all(store)):
            raise AlreadyExists(f"there is a schema {title!r} of version {schema.version} already")
        now = time.time_ns() // 1000
        made = msgspec.structs.replace(schema, id=schema.id or str(uuid.uuid4()), title=title, create_time=now)
        body = msgspec.to_builtins(made)
        document = Document(KIND, made.id, store.project, store.location, display_name=title, body=body)
        self._records.create_document(msgspec.structs.replace(document, create_time=now, update_time=now))
        return made

    def read(self, store: StoreName, id_: str) -> Schema:
        """Raises NotFound."""
        built_in = next((one for one in _built_in() if one.id == id_), None)
        if built_in is not None:
            return built_in
        document = self._records.document(KIND, id_, project=store.project, location=store.location)
        return msgspec.convert(document.body, Schema)

    def all(self, store: StoreName, text: str = "") -> list[Schema]:
        """Those that every store has first. Raises InputRefused for a filter by more than title, version and type."""
        found = _built_in()
        token = ""
        while True:
            page, token = self._records.page_documents(
                KIND, projects=[store.project], location=store.location, token=token, limit=_MANY
            )
            found += [msgspec.convert(one.body, Schema) for one in page]
            if not token:
                break
        where = parse_filter(text)
        return [one for one in found if where is None or _fits(where, one)]


def _fits(where: Filter, schema: Schema) -> bool:
    if isinstance(where, And):
        return all(_fits(part, schema) for part in where.parts)
    fields = {"schema_title": schema.title, "schema_version": schema.version, "schema_type": schema.type}
    if not isinstance(where, Comparison) or where.operator not in ("=", ":") or where.wildcard:
        raise InputRefused("schemas are filtered by = and AND", place="filter")
    name = ".".join(where.field)
    if name not in fields:
        raise InputRefused(f"there is no field {name[:80]!r}", place="filter", remedy=f"fields: {', '.join(fields)}")
    return fields[name] == where.value


def _built_in() -> list[Schema]:
    return [
        Schema(_id(title), title, f"title: {title}\ntype: object\n", type_)
        for type_, titles in _BUILT_IN.items()
        for title in titles
    ]


def _id(title: str) -> str:
    """`google.VertexTensorboardRun` is google-vertex-tensorboard-run-v0-0-1."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", title.replace(".", "-"))
    return re.sub(r"-+", "-", words).lower() + "-v0-0-1"


def _title(content: str) -> str:
    if len(content.encode()) > MAX_SCHEMA:
        raise InputRefused(f"it has more than {MAX_SCHEMA >> 10} KiB", place="schema")
    try:
        found = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputRefused(f"it is not YAML: {error}", place="schema") from error
    title = found.get("title") if isinstance(found, dict) else None
    if not isinstance(title, str) or not title or len(title) > 200 or "\x00" in title:
        raise InputRefused("it has no title", place="schema")
    return title
