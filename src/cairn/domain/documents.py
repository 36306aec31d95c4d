"""Things of the API that are kept as a whole: schedules, uploaded pipelines, experiments, operations, later models and
endpoints. A service turns its own type into a document and back; the records know nothing of what is in `body`."""

from __future__ import annotations

from typing import Any

import msgspec

from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT


class Document(msgspec.Struct, frozen=True):
    """`id` is unique in (kind, project, location, parent). Times are microseconds since the Unix epoch."""

    kind: str  # e.g. "schedule", "kfp.pipeline": the noun it belongs to
    id: str
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    parent: str = ""  # id of the document it lies under
    display_name: str = ""
    state: str = ""
    labels: dict[str, str] = {}
    owner: str = ""
    request_id: str = ""
    due: int = 0  # when it wants to be looked at; 0: never
    create_time: int = 0
    update_time: int = 0  # strictly grows with each change, so that it serves as the etag
    body: dict[str, Any] = {}

    @property
    def etag(self) -> str:
        return str(self.update_time)
