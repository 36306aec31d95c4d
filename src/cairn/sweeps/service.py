"""SweepService: sweeps made, looked up, changed, deleted. What drives one is `running`."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.runs import Run
from cairn.errors import Conflict, InputRefused, NotFound, WrongState
from cairn.filters.tree import Comparison
from cairn.sweeps.types import DEFINITION, KIND, LABEL, Definition, Sweep, SweepRecords, SweepState

_PAGE = 500
_TRIES = 20
_LOCK = "sweep.lock"
_LEFT_SECONDS = 86_400


class SweepService:
    """Threads: any. `directory` is where each sweep has a directory of its own: its lock, and what sweepers write."""

    def __init__(self, records: SweepRecords, clock: Clock, directory: Path) -> None:
        self.records = records
        self.clock = clock
        self._directory = directory

    def directory(self, id_: str) -> Path:
        return self._directory / id_

    def create(self, sweep: Sweep, definition: Definition) -> Sweep:
        """Record it; times are made here."""
        now = self.clock.now()
        sweep = msgspec.structs.replace(sweep, create_time=now, update_time=now)
        text = Document(
            DEFINITION, sweep.id, sweep.project, sweep.location, create_time=now, update_time=now,
            body=msgspec.to_builtins(definition),
        )  # fmt: skip
        self.records.create_document(text)
        return _sweep(self.records.create_document(_document(sweep)))

    def get(self, id_: str) -> Sweep:
        """Raises NotFound."""
        return _sweep(self.records.find_document(KIND, id_))

    def find(self, reference: str) -> Sweep:
        """By its id, the first characters of it, its name, or `latest`. Raises NotFound, InputRefused for several."""
        try:
            return self.get(reference)
        except NotFound:
            known = self.page(limit=_PAGE)
        if reference == "latest" and known:
            return known[0]
        near = [one for one in known if len(reference) >= 4 and one.id.startswith(reference)]
        near = near or [one for one in known if one.name == reference]
        if not near:
            raise NotFound(f"there is no sweep {reference!r}", remedy="`cairn sweeps list` shows what there is")
        if len(near) > 1:
            names = ", ".join(f"{one.id} ({one.name})" for one in near[:8])
            raise InputRefused(f"{reference!r} fits several sweeps: {names}", remedy="give the id")
        return near[0]

    def definition(self, sweep: Sweep) -> Definition:
        return msgspec.convert(self.records.find_document(DEFINITION, sweep.id).body, Definition)

    def page(self, *, limit: int = 100) -> list[Sweep]:
        """The newest first."""
        return [_sweep(document) for document in self.records.page_documents(KIND, limit=limit)[0]]

    def change(self, sweep: Sweep, **fields: object) -> Sweep:
        """As it is recorded now, with these fields. Raises NotFound, Conflict."""
        for _ in range(_TRIES):
            found = self.records.find_document(KIND, sweep.id)
            changed = msgspec.structs.replace(_sweep(found), update_time=self.clock.now(), **fields)
            try:
                return _sweep(self.records.replace_document(_document(changed), etag=found.etag))
            except Conflict:
                continue
        raise Conflict(f"sweep {sweep.id} is changed by others all the time", remedy="try again")

    def runs(self, sweep: Sweep) -> list[Run]:
        """Every run that it has made, by the jobs' numbers; of two with one number, the older first. A clone of one,
        which has its label, is none of them."""
        found: list[tuple[int, Run]] = []
        token = ""
        where = Comparison(("labels", LABEL), "=", sweep.id)
        while True:
            page, token = self.records.page_runs(projects=(sweep.project,), where=where, token=token, limit=_PAGE)
            own = [run for run in page if run.configuration is not None and run.configuration.sweep == sweep.id]
            found += [(run.configuration.job, run) for run in own if run.configuration is not None]
            if not token:
                break
        return [run for _, run in sorted(found, key=lambda one: (one[0], one[1].create_time))]

    def delete(self, sweep: Sweep) -> None:
        """Its runs stay. Raises WrongState while a process drives it."""
        with self.held(sweep.id):
            place = {"project": sweep.project, "location": sweep.location}
            self.records.delete_document(KIND, sweep.id, **place)
            self.records.delete_document(DEFINITION, sweep.id, **place)
        shutil.rmtree(self.directory(sweep.id), ignore_errors=True)

    @contextmanager
    def held(self, id_: str) -> Iterator[None]:
        """The right to drive a sweep: a file lock, free again when its process is gone. Raises WrongState."""
        directory = self.directory(id_)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WrongState(
                    f"sweep {id_[:8]} is being driven by another process",
                    remedy=f"`cairn sweeps cancel {id_[:8]}` ends it",
                ) from None
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def beginning(self, id_: str) -> Iterator[None]:
        """Held while a new sweep is driven; its directory is gone again when nothing came of it."""
        try:
            with self.held(id_):
                yield
        finally:
            try:
                self.get(id_)
            except NotFound:
                shutil.rmtree(self.directory(id_), ignore_errors=True)

    def tidy(self) -> None:
        """Remove the directories of sweeps that were killed before they were recorded."""
        for directory in self._directory.iterdir() if self._directory.is_dir() else ():
            if time.time() - directory.stat().st_mtime < _LEFT_SECONDS:
                continue
            try:
                self.get(directory.name)
            except NotFound:
                shutil.rmtree(directory, ignore_errors=True)

    def is_driven(self, sweep: Sweep) -> bool:
        """Whether a living process drives it."""
        if not (self.directory(sweep.id) / _LOCK).exists():
            return False
        try:
            with self.held(sweep.id):
                return False
        except WrongState:
            return True


def refuse_ended(sweep: Sweep, *, retry_failed: bool) -> None:
    """Raises WrongState for a sweep that there is nothing to go on with."""
    if sweep.state is SweepState.SUCCEEDED:
        raise WrongState(f"sweep {sweep.id[:8]} has succeeded: there is nothing to go on with")
    if sweep.state is SweepState.FAILED and not retry_failed and not sweep.error:
        raise WrongState(
            f"sweep {sweep.id[:8]} has run all of its jobs", remedy="--retry-failed runs the failed ones again"
        )


def _document(sweep: Sweep) -> Document:
    return Document(
        KIND,
        sweep.id,
        sweep.project,
        sweep.location,
        display_name=sweep.name,
        state=sweep.state,
        create_time=sweep.create_time,
        update_time=sweep.update_time,
        body=msgspec.to_builtins(sweep),
    )


def _sweep(document: Document) -> Sweep:
    sweep = msgspec.convert(document.body, Sweep)
    return msgspec.structs.replace(sweep, state=SweepState(document.state), update_time=document.update_time)
