"""The thread of a server that fills Tensorboards from the log directories of runs while they train.

It follows the journal: each attempt that starts, of whichever process of the home, is looked after until it has ended
and everything is read. One server of a home does so at a time. Where it was is a document for each log directory in
which there was something, and one for the journal; so a restart goes on where it was.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import msgspec
import xxhash

from cairn.domain.documents import Document
from cairn.domain.runs import AttemptRecord, JournalEntry, Run, RunKind
from cairn.domain.states import AttemptState
from cairn.errors import AlreadyExists, CairnError, NotFound
from cairn.tensorboards import log_directories
from cairn.tensorboards.filling import Experiment, LogFiller, Position
from cairn.tensorboards.log_directories import LogDirectory
from cairn.tensorboards.service import TensorboardService

LOG, JOURNAL = "tensorboard.log", "tensorboard.journal"  # kinds of documents
TURN_SECONDS = 0.5  # between turns
SHARE = 4  # a turn that took a while is followed by a pause so many times as long
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0  # between looks into one directory
TAKEOVER_SECONDS = 5.0
SAVE_SECONDS = 15.0  # of the place in the journal
_JOURNAL_ID = "place"
_log = logging.getLogger("cairn.tensorboards")


class WatchRecords(Protocol):
    """What is asked of the records."""

    def head(self) -> int: ...

    def journal(self, after: int, *, run_uid: str = "", limit: int = 1000) -> list[JournalEntry]: ...

    def run(self, run_uid: str) -> Run: ...

    def open_runs(self) -> list[Run]: ...

    def attempts(self, run_uid: str) -> list[AttemptRecord]: ...

    def create_document(self, document: Document) -> Document: ...

    def replace_document(self, document: Document, *, etag: str = "") -> Document: ...

    def delete_document(self, kind: str, id_: str, *, project: str = "", location: str = "") -> None: ...

    def document(self, kind: str, id_: str) -> Document: ...

    def page_documents(
        self, kind: str, *, projects: Collection[str] | None = None, token: str = "", limit: int = 100
    ) -> tuple[list[Document], str]: ...


class _Watched(msgspec.Struct):
    """One log directory. Those of one attempt have its key."""

    key: str
    filler: LogFiller
    kept: bool = False  # there is a document of it
    ended: bool = False
    pause: float = FIRST_PAUSE
    due: float = 0.0


class _Kept(msgspec.Struct, omit_defaults=True):
    directory: str
    experiment: Experiment
    key: str
    position: Position


class LogWatch:
    """Threads: `start` and `close` any; the rest is its own."""

    def __init__(
        self,
        records: WatchRecords,
        service: TensorboardService,
        runs_directory: str,
        path_of: Callable[[str], str | None],
        lock: Path,
    ) -> None:
        """`path_of`: a URI's place in this machine's file system. `lock`: a file that one server of a home holds."""
        self._records = records
        self._service = service
        self._runs_directory = runs_directory
        self._path_of = path_of
        self._lock = lock
        self._watched: dict[str, _Watched] = {}  # by directory
        self._given_up: set[str] = set()  # somebody has deleted what they filled
        self._sequence = 0
        self._saved = (0, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tensorboards", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- its thread --------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        held = self._alone()
        if held is None:
            return
        try:
            began = False
            while not self._stop.is_set():
                since = time.monotonic()
                try:
                    if not began:
                        self._begin()
                        began = True
                    self.turn()
                except CairnError as error:
                    _log.warning("log directories have to wait: %s", error)
                except Exception:  # noqa: BLE001 - a server that fills no Tensorboard is better than none
                    _log.exception("a turn of the log directories met a defect")
                self._stop.wait(max(TURN_SECONDS, SHARE * (time.monotonic() - since)))
            self._finish()
        finally:
            os.close(held)

    def _alone(self) -> int | None:
        """The lock, once no other server of this home has it; None when it is to stop."""
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not self._stop.is_set():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._stop.wait(TAKEOVER_SECONDS)
            else:
                return descriptor
        os.close(descriptor)
        return None

    def _begin(self) -> None:
        token = ""
        while True:
            kept, token = self._records.page_documents(LOG, token=token)
            for document in kept:
                one = msgspec.convert(document.body, _Kept)
                filler = LogFiller(self._service, one.directory, one.experiment, one.position)
                self._watched[one.directory] = _Watched(one.key, filler, kept=True)
            if not token:
                break
        self._sequence = self._place_in_journal()
        for run in map(self._named, self._records.open_runs()):
            self._watch_job(run)
            for attempt in self._records.attempts(run.uid):
                if not attempt.state.terminal:
                    self._watch(run, attempt.path, attempt.number)
        for watched in list(self._watched.values()):
            watched.ended = watched.ended or self._has_ended(watched.key)

    def _place_in_journal(self) -> int:
        head = self._records.head()
        try:
            return min(head, int(self._records.document(JOURNAL, _JOURNAL_ID).body["sequence"]))
        except NotFound:
            return head

    def _has_ended(self, key: str) -> bool:
        uid, _, rest = key.partition(":")
        try:
            if not rest:
                return self._records.run(uid).state.terminal
            path, _, number = rest.rpartition(":")
            return all(
                one.state.terminal
                for one in self._records.attempts(uid)
                if one.path == path and one.number == int(number)
            )
        except NotFound:
            return True

    def turn(self) -> None:
        """Follow the journal, then look into each directory that is due."""
        self._follow()
        now = time.monotonic()
        for directory, watched in list(self._watched.items()):
            if self._stop.is_set():
                return
            if watched.due <= now or watched.ended:
                self._look(directory, watched)
        if self._sequence != self._saved[0] and now - self._saved[1] > SAVE_SECONDS:
            self._save_place(now)

    def _follow(self) -> None:
        if self._records.head() <= self._sequence:
            return
        while entries := self._records.journal(self._sequence):
            for entry in entries:
                self._heard(entry)
            self._sequence = entries[-1].sequence
            if self._stop.is_set():
                return

    def _heard(self, entry: JournalEntry) -> None:
        if entry.kind == "attempt":
            number = int(entry.detail.get("number", 1))
            try:
                run = self._named(self._records.run(entry.run_uid))
            except NotFound:
                return
            self._watch(run, entry.path, number)  # at its end too: replicas' directories are there by then
            if entry.state == AttemptState.RUNNING:
                self._watch_job(run)
            else:
                self._end(_key(run, entry.path, number))
        elif entry.kind == "run" and entry.state in ("SUCCEEDED", "FAILED", "CANCELLED"):
            self._end(entry.run_uid)

    def _named(self, run: Run) -> Run:
        """A trial with the id of its tuning job for its parent: its experiment is called after that."""
        if run.kind is not RunKind.TRIAL or not run.parent:
            return run
        try:
            return msgspec.structs.replace(run, parent=self._records.run(run.parent).job_id)
        except NotFound:
            return run

    def _watch(self, run: Run, path: str, number: int) -> None:
        for found in log_directories.of_attempt(self._runs_directory, run, path, number):
            self._add(_key(run, path, number), found)

    def _watch_job(self, run: Run) -> None:
        found = log_directories.of_job(run, self._path_of)
        if found is not None:
            self._add(run.uid, found)

    def _add(self, key: str, found: LogDirectory) -> None:
        if found.path not in self._watched and found.path not in self._given_up:
            self._watched[found.path] = _Watched(key, LogFiller(self._service, found.path, found.experiment))

    def _end(self, key: str) -> None:
        for watched in self._watched.values():
            if watched.key == key:
                watched.ended = True

    def _look(self, directory: str, watched: _Watched) -> None:
        try:
            done = watched.filler.fill() if os.path.isdir(directory) else None
        except NotFound as error:  # somebody has deleted what it fills: that was meant
            _log.warning("%s is not followed any more: %s", directory, error)
            self._given_up.add(directory)
            self._drop(directory, watched)
            return
        except OSError as error:
            _log.warning("%s cannot be read: %s", directory, error)
            done = None
        if done is not None and done.values:
            self._keep(watched)
        if done is not None and done.more:
            return
        if watched.ended:
            self._drop(directory, watched)
            return
        watched.pause = FIRST_PAUSE if done is not None and done.values else min(watched.pause * 1.5, LONGEST_PAUSE)
        watched.due = time.monotonic() + watched.pause

    def _keep(self, watched: _Watched) -> None:
        filler = watched.filler
        document = Document(
            LOG,
            _document_id(filler.directory),
            filler.experiment.where.project,
            filler.experiment.where.location,
            body=msgspec.to_builtins(_Kept(filler.directory, filler.experiment, watched.key, filler.position)),
        )
        watched.kept = _written(self._records, document, known=watched.kept)

    def _drop(self, directory: str, watched: _Watched) -> None:
        del self._watched[directory]
        if watched.kept:
            where = watched.filler.experiment.where
            try:
                self._records.delete_document(
                    LOG, _document_id(directory), project=where.project, location=where.location
                )
            except NotFound:
                pass

    def _save_place(self, now: float) -> None:
        document = Document(JOURNAL, _JOURNAL_ID, body={"sequence": self._sequence})
        _written(self._records, document, known=self._saved[0] > 0)
        self._saved = (self._sequence, now)

    def _finish(self) -> None:
        try:
            self._save_place(time.monotonic())
        except CairnError as error:
            _log.warning("the place in the journal is not kept: %s", error)


def _key(run: Run, path: str, number: int) -> str:
    return f"{run.uid}:{path}:{number}"


def _document_id(directory: str) -> str:
    return xxhash.xxh3_128_hexdigest(directory.encode())


def _written(records: WatchRecords, document: Document, *, known: bool) -> bool:
    if not known:
        try:
            records.create_document(document)
        except AlreadyExists:
            pass
        else:
            return True
    try:
        records.replace_document(document)
    except NotFound:
        records.create_document(document)
    return True
