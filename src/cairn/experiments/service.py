"""ExperimentService: experiments by id and by name."""

from __future__ import annotations

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.ids import random_uid
from cairn.errors import InputRefused, NotFound
from cairn.experiments.types import (
    DEFAULT_EXPERIMENT,
    MAX_DESCRIPTION,
    MAX_NAME,
    Experiment,
    ExperimentRecords,
    ExperimentSchedules,
)
from cairn.filters.listing import Listing

EXPERIMENT = "kfp.experiment"
AVAILABLE, ARCHIVED = "AVAILABLE", "ARCHIVED"


class ExperimentService:
    """Threads: any. An experiment of a project that the caller may not see is the caller's to hide."""

    def __init__(self, records: ExperimentRecords, clock: Clock, pause: ExperimentSchedules) -> None:
        """`pause` stops what makes runs of an experiment at its times."""
        self._records = records
        self._clock = clock
        self._pause = pause

    def create(self, experiment: Experiment) -> Experiment:
        """The project's experiment of this name, made if there is none: clients look by name first, and two that do
        so at once mean the same one. `id` and times are made here."""
        if not experiment.name.strip() or len(experiment.name) > MAX_NAME or not experiment.name.isprintable():
            raise InputRefused(f"an experiment's name has 1 to {MAX_NAME} printable characters", place="display_name")
        if len(experiment.description) > MAX_DESCRIPTION:
            raise InputRefused(f"it has more than {MAX_DESCRIPTION} characters", place="description")
        now = self._clock.now()
        made = msgspec.structs.replace(experiment, id=random_uid(), create_time=now, update_time=now)
        return _experiment(self._records.create_document(_document(made)))

    def default(self, project: str, owner: str) -> Experiment:
        """The project's experiment for runs that name none."""
        return self.create(Experiment("", DEFAULT_EXPERIMENT, project=project, owner=owner))

    def experiment(self, id_: str) -> Experiment:
        """Raises NotFound."""
        try:
            return _experiment(self._records.find_document(EXPERIMENT, id_))
        except NotFound:
            raise NotFound(f"there is no experiment {id_!r}") from None

    def experiments(self, listing: Listing) -> tuple[list[Experiment], str, int]:
        """A page, the token of the next one, and how many there are in all."""
        found, token = self._records.page_documents(
            EXPERIMENT,
            projects=listing.projects,
            where=listing.where,
            orders=listing.orders,
            query=listing.query,
            token=listing.token,
            limit=listing.limit,
        )
        count = self._records.count_documents(EXPERIMENT, projects=listing.projects, where=listing.where)
        return [_experiment(one) for one in found], token, count

    def last_runs(self, experiments: list[Experiment]) -> dict[str, int]:
        """By id: when the newest run of each was created. Those without a run are left out."""
        return self._records.last_run_times([one.id for one in experiments])

    def archive(self, id_: str) -> None:
        """With its runs; its recurring ones are paused. Raises NotFound."""
        found = self.experiment(id_)
        self._set_state(id_, ARCHIVED)
        self._pause(id_, found.project)
        self._records.archive_runs(id_)

    def unarchive(self, id_: str) -> None:
        """Its runs stay archived, its recurring ones paused. Raises NotFound."""
        self._set_state(id_, AVAILABLE)

    def delete(self, id_: str) -> None:
        """Its runs stay. Raises NotFound."""
        found = self.experiment(id_)
        self._records.delete_document(EXPERIMENT, id_, project=found.project, location=found.location)

    def _set_state(self, id_: str, state: str) -> None:
        found = self._records.find_document(EXPERIMENT, id_)
        changed = msgspec.structs.replace(found, state=state, update_time=self._clock.now())
        self._records.replace_document(changed, etag=found.etag)


def _document(experiment: Experiment) -> Document:
    """The request id is what makes the name unique: there is one document with it in a project."""
    return Document(
        EXPERIMENT,
        experiment.id,
        experiment.project,
        experiment.location,
        display_name=experiment.name,
        state=ARCHIVED if experiment.archived else AVAILABLE,
        owner=experiment.owner,
        request_id=experiment.name,
        create_time=experiment.create_time,
        update_time=experiment.update_time,
        body={"description": experiment.description},
    )


def _experiment(document: Document) -> Experiment:
    return Experiment(
        id=document.id,
        name=document.display_name,
        description=document.body["description"],
        project=document.project,
        location=document.location,
        archived=document.state == ARCHIVED,
        owner=document.owner,
        create_time=document.create_time,
        update_time=document.update_time,
    )
