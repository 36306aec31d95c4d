"""PipelineService: uploaded pipelines and their versions."""

from __future__ import annotations

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.ids import random_uid
from cairn.errors import AlreadyExists, Conflict, InputRefused, NotFound
from cairn.filters.listing import Listing
from cairn.filters.tree import Comparison
from cairn.pipelines.types import (
    MAX_NAME,
    MAX_TAG,
    MAX_TAGS,
    MAX_TEXT,
    DocumentRecords,
    PipelineVersion,
    UploadedPipeline,
)

PIPELINE = "kfp.pipeline"
VERSION = "kfp.pipeline_version"


class PipelineService:
    """Threads: any. A pipeline of a project that the caller may not see is the caller's to hide."""

    def __init__(self, records: DocumentRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def create(self, pipeline: UploadedPipeline) -> UploadedPipeline:
        """`id` and times are made here. Raises AlreadyExists when the project has one of this name."""
        _check_texts("pipeline", pipeline.name, pipeline.display_name, pipeline.description, pipeline.tags)
        now = self._clock.now()
        made = msgspec.structs.replace(
            pipeline,
            id=random_uid(),
            display_name=pipeline.display_name or pipeline.name,
            create_time=now,
            update_time=now,
        )
        kept = self._records.create_document(_pipeline_document(made))
        if kept.id != made.id:
            raise AlreadyExists(f"there is a pipeline {made.name!r} already", remedy="upload a version of it")
        return made

    def add_version(self, version: PipelineVersion) -> PipelineVersion:
        """`id`, project and times are made here. Raises NotFound, AlreadyExists."""
        pipeline = self.pipeline(version.pipeline_id)
        _check_texts("version", version.name, version.display_name, version.description, version.tags)
        if len(version.code_source_url) > MAX_TEXT or len(version.package_url) > MAX_TEXT:
            raise InputRefused(f"a URL has more than {MAX_TEXT} characters")
        now = self._clock.now()
        made = msgspec.structs.replace(
            version,
            id=random_uid(),
            display_name=version.display_name or version.name,
            project=pipeline.project,
            location=pipeline.location,
            create_time=now,
            update_time=now,
        )
        kept = self._records.create_document(_version_document(made))
        if kept.id != made.id:
            raise AlreadyExists(f"pipeline {pipeline.name!r} has a version {made.name!r} already")
        return made

    def upload(self, pipeline: UploadedPipeline, version: PipelineVersion) -> tuple[UploadedPipeline, PipelineVersion]:
        """A new pipeline with its first version. Raises AlreadyExists."""
        _check_texts("version", version.name, version.display_name, version.description, version.tags)
        made = self.create(pipeline)
        try:
            return made, self.add_version(msgspec.structs.replace(version, pipeline_id=made.id))
        except Exception:
            self._records.delete_document(PIPELINE, made.id, project=made.project, location=made.location)
            raise

    def pipeline(self, id_: str) -> UploadedPipeline:
        """Raises NotFound."""
        return _pipeline(self._records.find_document(PIPELINE, id_))

    def pipeline_named(self, name: str, project: str) -> UploadedPipeline:
        """Raises NotFound."""
        named = Comparison(("name",), "=", name)
        found, _ = self._records.page_documents(PIPELINE, projects=(project,), where=named, limit=1)
        if not found:
            raise NotFound(f"there is no pipeline {name!r}")
        return _pipeline(found[0])

    def pipelines(self, listing: Listing) -> tuple[list[UploadedPipeline], str, int]:
        """A page, the token of the next one, and how many there are in all."""
        found, token = self._records.page_documents(
            PIPELINE,
            projects=listing.projects,
            where=listing.where,
            orders=listing.orders,
            query=listing.query,
            token=listing.token,
            limit=listing.limit,
        )
        count = self._records.count_documents(PIPELINE, projects=listing.projects, where=listing.where)
        return [_pipeline(one) for one in found], token, count

    def update(self, pipeline: UploadedPipeline) -> UploadedPipeline:
        """Display name, description and tags; the rest stays. Raises NotFound."""
        before = self._records.find_document(PIPELINE, pipeline.id)
        _check_texts("pipeline", pipeline.name, pipeline.display_name, pipeline.description, pipeline.tags)
        changed = msgspec.structs.replace(
            _pipeline(before),
            display_name=pipeline.display_name,
            description=pipeline.description,
            tags=pipeline.tags,
            update_time=self._clock.now(),
        )
        return _pipeline(self._records.replace_document(_pipeline_document(changed), etag=before.etag))

    def delete(self, id_: str, *, cascade: bool) -> None:
        """Raises NotFound, and Conflict when it has versions and they are not to go with it."""
        pipeline = self.pipeline(id_)
        while versions := self._records.page_documents(VERSION, parent=id_)[0]:
            if not cascade:
                raise Conflict(
                    f"pipeline {pipeline.name!r} has versions", remedy="delete them first, or ask for cascade"
                )
            for version in versions:
                self._records.delete_document(
                    VERSION, version.id, project=version.project, location=version.location, parent=id_
                )
        self._records.delete_document(PIPELINE, id_, project=pipeline.project, location=pipeline.location)

    def version(self, pipeline_id: str, id_: str) -> PipelineVersion:
        """`pipeline_id`: "" where only the version's is known. Raises NotFound."""
        document = self._records.find_document(VERSION, id_)
        if pipeline_id and document.parent != pipeline_id:
            raise NotFound(f"there is no pipeline version {id_!r} of pipeline {pipeline_id!r}")
        return _version(document)

    def latest(self, pipeline_id: str) -> PipelineVersion:
        """The one that was added last. Raises NotFound."""
        pipeline = self.pipeline(pipeline_id)
        found, _ = self._records.page_documents(VERSION, parent=pipeline_id, limit=1)
        if not found:
            raise NotFound(f"pipeline {pipeline.name!r} has no version", remedy="upload one")
        return _version(found[0])

    def versions(self, pipeline_id: str, listing: Listing) -> tuple[list[PipelineVersion], str, int]:
        """A page, the token of the next one, and how many there are in all. Raises NotFound."""
        self.pipeline(pipeline_id)
        found, token = self._records.page_documents(
            VERSION,
            parent=pipeline_id,
            where=listing.where,
            orders=listing.orders,
            query=listing.query,
            token=listing.token,
            limit=listing.limit,
        )
        count = self._records.count_documents(VERSION, parent=pipeline_id, where=listing.where)
        return [_version(one) for one in found], token, count

    def update_version(self, version: PipelineVersion) -> PipelineVersion:
        """Display name, description and tags; the rest stays. Raises NotFound."""
        before = self._records.find_document(VERSION, version.id)
        _check_texts("version", version.name, version.display_name, version.description, version.tags)
        changed = msgspec.structs.replace(
            _version(before),
            display_name=version.display_name,
            description=version.description,
            tags=version.tags,
            update_time=self._clock.now(),
        )
        return _version(self._records.replace_document(_version_document(changed), etag=before.etag))

    def delete_version(self, pipeline_id: str, id_: str) -> None:
        """Runs of it keep the text they were made from. Raises NotFound."""
        version = self.version(pipeline_id, id_)
        self._records.delete_document(
            VERSION, id_, project=version.project, location=version.location, parent=version.pipeline_id
        )


def _check_texts(noun: str, name: str, display_name: str, description: str, tags: dict[str, str]) -> None:
    if not name.strip():
        raise InputRefused(f"a {noun} needs a name")
    for what, text in (("name", name), ("display name", display_name)):
        if len(text) > MAX_NAME or not text.isprintable():
            raise InputRefused(f"a {noun}'s {what} has at most {MAX_NAME} printable characters")
    if len(description) > MAX_TEXT:
        raise InputRefused(f"a {noun}'s description has at most {MAX_TEXT} characters")
    if len(tags) > MAX_TAGS or any(len(text) > MAX_TAG or "\x00" in text for pair in tags.items() for text in pair):
        raise InputRefused(f"a {noun} has at most {MAX_TAGS} tags of at most {MAX_TAG} characters, none of them NUL")


def _pipeline_document(pipeline: UploadedPipeline) -> Document:
    """The request id is what makes the name unique: there is one document with it in a project."""
    return Document(
        PIPELINE,
        pipeline.id,
        pipeline.project,
        pipeline.location,
        display_name=pipeline.display_name,
        labels=pipeline.tags,
        owner=pipeline.owner,
        request_id=pipeline.name,
        create_time=pipeline.create_time,
        update_time=pipeline.update_time,
        body={"description": pipeline.description},
    )


def _pipeline(document: Document) -> UploadedPipeline:
    return UploadedPipeline(
        id=document.id,
        name=document.request_id,
        display_name=document.display_name,
        description=document.body["description"],
        project=document.project,
        location=document.location,
        tags=document.labels,
        owner=document.owner,
        create_time=document.create_time,
        update_time=document.update_time,
    )


def _version_document(version: PipelineVersion) -> Document:
    return Document(
        VERSION,
        version.id,
        version.project,
        version.location,
        parent=version.pipeline_id,
        display_name=version.display_name,
        labels=version.tags,
        owner=version.owner,
        request_id=f"{version.pipeline_id}/{version.name}",
        create_time=version.create_time,
        update_time=version.update_time,
        body={
            "text": version.text,
            "description": version.description,
            "package_url": version.package_url,
            "code_source_url": version.code_source_url,
        },
    )


def _version(document: Document) -> PipelineVersion:
    return PipelineVersion(
        id=document.id,
        pipeline_id=document.parent,
        name=document.request_id.removeprefix(f"{document.parent}/"),
        display_name=document.display_name,
        project=document.project,
        location=document.location,
        tags=document.labels,
        owner=document.owner,
        create_time=document.create_time,
        update_time=document.update_time,
        **document.body,
    )
