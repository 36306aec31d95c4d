"""The records of one home: what the engine writes and everybody reads, over one database.

Threads: any; each gets a connection of its own. Not to be carried across a fork.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from cairn.domain.artifacts import Artifact
from cairn.domain.credentials import Credential
from cairn.domain.documents import Document
from cairn.domain.lineage import Context
from cairn.domain.resources import Capacity
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT, AttemptRecord, JournalEntry, Run, RunKind, TaskRecord
from cairn.domain.states import RunState
from cairn.engine.ports import Batch, CacheEntry, Committed, Fence, Owner, Request
from cairn.errors import HomeError, NotFound
from cairn.filters.tree import Filter, Order
from cairn.records import (
    attempts,
    cache,
    claims,
    credentials,
    deletion,
    documents,
    journal,
    ledger,
    lineage,
    metadata_writes,
    owners,
    requests,
    runs,
    settings,
    tasks,
    time_series,
)
from cairn.records.commit import commit, hopeless, only_starts
from cairn.records.connection import Connection
from cairn.records.deletion import Freed
from cairn.records.transaction import Writing

P = ParamSpec("P")
T = TypeVar("T")


class Records(metadata_writes.MetadataWrites, time_series.TimeSeriesRecords):
    """Implements `engine.ports.Journal`, `engine.ports.RunRecords`, `metadata.MetadataRecords` and what the
    command line reads. Made by `open_records`.

    `machine` names the ledger: attempts on other machines that share a database do not count here.
    """

    def __init__(self, connect: Callable[[], Connection], first: Connection, capacity: Capacity, machine: str) -> None:
        self.place = first.place
        self._connect = connect
        self._default_capacity = capacity
        self._machine = machine
        self._local = threading.local()
        self._local.connection = first
        self._connections = [first]
        self._numbers: dict[str, tuple[int, int]] = {}  # a run's narrow key and its metadata store's never change

    # --- writing: engine.ports.Journal ---

    def create_run(self, run: Run, spec_text: str, contexts: Sequence[Context] = ()) -> Run:
        asked_before = (run.project, run.location, run.request_id)
        if run.request_id and (first := self._read(runs.by_request, *asked_before)) is not None:
            return first
        with self._writing() as writing:
            connection = writing.connection
            if run.request_id and (first := runs.by_request(connection, *asked_before)) is not None:
                return first
            store = runs.store(connection, run.project, run.location)
            number = runs.insert(connection, run, store, spec_text)
            lineage.write_contexts(connection, store, contexts)
            writing.entry(number, "run", "", run.state)
        return run

    def add_spec(self, digest: str, text: str) -> None:
        with self._writing() as writing:
            runs.keep_spec(writing.connection, digest, text)

    def claim(self, run_uid: str, owner: Owner, *, lease_seconds: float) -> Fence:
        number, _ = self._number(run_uid)
        with self._writing() as writing:
            job_id = runs.read(writing.connection, run_uid).job_id
            fence = claims.claim(writing.connection, number, job_id, owner, lease_seconds)
        return Fence(run_uid, fence)

    def renew(self, fences: Sequence[Fence], *, lease_seconds: float) -> None:
        with self._writing() as writing:
            numbers = runs.numbers(writing.connection, [fence.run_uid for fence in fences])
            numbered = [(numbers[fence.run_uid][0], fence) for fence in fences if fence.run_uid in numbers]
            lost = claims.renew(writing.connection, numbered, lease_seconds)
            lost += [fence.run_uid for fence in fences if fence.run_uid not in numbers]
        if lost:  # the others are renewed all the same
            raise claims.lost(lost[0])

    def release(self, fence: Fence) -> None:
        try:
            number, _ = self._number(fence.run_uid)
        except NotFound:
            return
        with self._writing() as writing:
            if claims.release(writing.connection, number, fence.number):
                ledger.stop_waiting(writing.connection, number)

    def commit(self, batch: Batch) -> Committed:
        how = (self._number, self._capacity, self._machine)
        if only_starts(batch) and self._known_hopeless(batch):
            return Committed(self.head(), frozenset(one.uid for one in batch.starts))
        with self._writing() as writing:
            denied, devices = commit(writing, batch, *how)
        return Committed(writing.sequence, denied, devices)

    def request(self, run_uid: str, kind: str, detail: Mapping[str, Any]) -> int:
        number, _ = self._number(run_uid)
        with self._writing() as writing:
            sequence = writing.entry(number, "request", "", kind, dict(detail))
            requests.add(writing.connection, sequence, number, kind, dict(detail))
        return sequence

    def requests(self, run_uids: Sequence[str], after: int) -> list[Request]:
        return self._read(requests.read, run_uids, after)

    def settle(self, run_uid: str, sequence: int) -> None:
        number, _ = self._number(run_uid)
        with self._writing() as writing:
            requests.settle(writing.connection, number, sequence)

    def capacity(self) -> Capacity:
        return self._read(self._capacity)

    def set_capacity(self, capacity: Capacity) -> None:
        """Say for every process of this home what this machine offers; it goes before what they detect themselves."""
        with self._writing() as writing:
            settings.put(writing.connection, f"capacity:{self._machine}", capacity)

    def holders(self) -> list[tuple[str, str]]:
        self._local.listed = self._read(ledger.orphans, self._machine)
        return list(self._local.listed)

    def free_dead(self, alive: frozenset[str]) -> int:
        # A lease that was written after `holders` was asked has a waiter that nobody has looked for yet.
        listed = getattr(self._local, "listed", None)
        with self._writing() as writing:
            orphans = ledger.orphans(writing.connection, self._machine)
            dead = [one[0] for one in orphans if one[0] not in alive and (listed is None or one in listed)]
            return ledger.drop(writing.connection, dead)

    # --- documents: what the services behind the APIs keep ---

    def create_document(self, document: Document) -> Document:
        """The one that the same request (kind, project, location, request_id) made before, if there is.
        Raises AlreadyExists when the id is taken."""
        with self._writing() as writing:
            return documents.create(writing.connection, document)

    def replace_document(self, document: Document, *, etag: str = "") -> Document:
        """Overwrite one; what is written, with its new update time. Raises NotFound, and Conflict when `etag` is given
        and not the recorded one."""
        with self._writing() as writing:
            return documents.replace(writing.connection, document, etag)

    def delete_document(
        self, kind: str, id_: str, *, project: str = DEFAULT_PROJECT, location: str = DEFAULT_LOCATION, parent: str = ""
    ) -> None:
        """Raises NotFound."""
        with self._writing() as writing:
            documents.delete(writing.connection, kind, id_, project, location, parent)

    def change_documents(
        self,
        *,
        create: Sequence[Document] = (),
        replace: Sequence[tuple[Document, str]] = (),
        delete: Sequence[Document] = (),
    ) -> None:
        """All of it, in one transaction, or nothing. Each replacement comes with the etag that it was made of ("":
        any). Raises AlreadyExists, NotFound, Conflict."""
        with self._writing() as writing:
            for document, etag in replace:
                documents.replace(writing.connection, document, etag)
            for document in create:
                documents.create(writing.connection, document)
            for gone in delete:
                documents.delete(writing.connection, gone.kind, gone.id, gone.project, gone.location, gone.parent)

    def changed_documents(
        self,
        kind: str,
        parent: str,
        after: int,
        *,
        project: str = DEFAULT_PROJECT,
        location: str = DEFAULT_LOCATION,
    ) -> list[Document]:
        """Those under `parent` whose update time is later than `after`, the earliest first."""
        return self._read(documents.changed, kind, project, location, parent, after)

    def document(
        self, kind: str, id_: str, *, project: str = DEFAULT_PROJECT, location: str = DEFAULT_LOCATION, parent: str = ""
    ) -> Document:
        """Raises NotFound."""
        return self._read(documents.read, kind, id_, project, location, parent)

    def find_document(self, kind: str, id_: str) -> Document:
        """By its id alone, for kinds whose ids are unique everywhere. Raises NotFound."""
        return self._read(documents.find, kind, id_)

    def page_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        parent: str | None = None,
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]:
        """One page, newest first unless `orders` says otherwise, and the token of the next; "" when there is none.

        `projects` None: of all; `location` "": of all; `parent` None: under any. `query`: what else tells this list
        from another, so that its tokens are refused there. Fields of `where` and `orders`: `document_pages.COLUMNS`.
        """
        from cairn.records import document_pages  # filters, which no run needs

        return self._read(
            document_pages.page,
            kind,
            projects=projects,
            location=location,
            parent=parent,
            where=where,
            orders=orders,
            query=query,
            token=token,
            limit=limit,
        )

    def count_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        parent: str | None = None,
        where: Filter | None = None,
    ) -> int:
        from cairn.records import document_pages

        return self._read(document_pages.count, kind, projects=projects, location=location, parent=parent, where=where)

    def due_documents(self, kind: str, now: int, *, limit: int = 100) -> list[Document]:
        """Of all projects, those whose `due` has come, the earliest first."""
        return self._read(documents.due, kind, now, limit)

    def next_due(self, kind: str) -> int:
        """When the next document of a kind is due, microseconds since the epoch; 0 when none is."""
        return self._read(documents.next_due, kind)

    # --- credentials: who may ask ---

    def add_credential(self, credential: Credential) -> None:
        """Raises AlreadyExists when its id is taken."""
        with self._writing() as writing:
            credentials.create(writing.connection, credential)

    def delete_credential(self, id_: str) -> None:
        """Raises NotFound."""
        with self._writing() as writing:
            credentials.delete(writing.connection, id_)

    def note_use(self, id_: str, time: int) -> None:
        with self._writing() as writing:
            credentials.used(writing.connection, id_, time)

    def credential(self, id_: str) -> Credential | None:
        return self._read(credentials.by_id, id_)

    def credential_by_verifier(self, verifier: str) -> Credential | None:
        return self._read(credentials.by_verifier, verifier)

    def credentials(self) -> list[Credential]:
        """The oldest first."""
        return self._read(credentials.listed)

    def has_credentials(self, now: int) -> bool:
        """Whether there is one that is valid at `now`, microseconds since the epoch."""
        return self._read(credentials.any_at, now)

    def project_of_running(self, attempt: str) -> str | None:
        """The project that a running attempt's run belongs to; None when no such attempt runs."""
        return self._read(credentials.running_in, attempt)

    # --- reading: engine.ports.RunRecords ---

    def run(self, run_uid: str) -> Run:
        return self._read(runs.read, run_uid)

    def spec_text(self, digest: str) -> str:
        return self._read(runs.spec, digest)

    def tasks(self, run_uid: str) -> list[TaskRecord]:
        return self._read(tasks.read, run_uid, self._number(run_uid)[0])

    def attempts(self, run_uid: str) -> list[AttemptRecord]:
        return self._read(attempts.read, self._number(run_uid)[0])

    def cached(self, scope: str, keys: Sequence[str], *, not_before: int = 0) -> dict[str, CacheEntry]:
        return self._read(cache.newest, scope, keys, not_before)

    def nearest(self, scope: str, component: str, *, before: int = 0, path: str = "") -> CacheEntry | None:
        return self._read(cache.nearest, scope, component, before, path)

    def artifacts_by_uri(self, project: str, location: str, uri: str, schema_title: str) -> list[Artifact]:
        return self._read(lineage.artifacts_by_uri, project, location, uri, schema_title)

    def journal(self, after: int, *, run_uid: str = "", limit: int = 1000) -> list[JournalEntry]:
        return self._read(journal.read, after, self._number(run_uid)[0] if run_uid else None, limit)

    # --- for the command line and the services ---

    def head(self) -> int:
        """The journal's last number: when it has not moved, nothing has changed. A few microseconds."""
        return self._read(journal.last)

    def find_run(self, reference: str, *, project: str = "", location: str = "") -> Run:
        """By uid, job id, or the first four or more characters of a uid; "": in any project or location. Raises
        NotFound, or InputRefused with the candidates."""
        return self._read(runs.find, reference, project, location)

    def list_runs(
        self,
        *,
        project: str = "",
        location: str = "",
        states: Sequence[RunState] = (),
        pipeline: str = "",
        labels: Mapping[str, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The newest first; "": of every project, location or pipeline."""
        from cairn.filters.runs import wanted_runs

        where = wanted_runs(states, pipeline, labels or {})
        projects = [project] if project else None
        return self.page_runs(projects=projects, location=location, where=where, limit=limit)[0]

    def projects(self) -> list[str]:
        """Every project that something was recorded in."""
        return self._read(runs.projects)

    def locations(self, project: str) -> list[str]:
        return self._read(runs.locations, project)

    def page_runs(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
        kinds: Collection[RunKind] = (RunKind.PIPELINE,),
    ) -> tuple[list[Run], str]:
        """One page, newest first unless `orders` says otherwise, and the token of the next; "" when there is none.

        `projects` None: of all; `location` "": of all; `kinds` (): of all. `query`: what else tells this list from
        another, so that its tokens are refused there. Fields of `where` and `orders`: `run_pages.COLUMNS`.
        """
        from cairn.records import run_pages  # filters, which no run needs

        return self._read(
            run_pages.page,
            projects=projects,
            location=location,
            where=where,
            orders=orders,
            query=query,
            token=token,
            limit=limit,
            kinds=kinds,
        )

    def count_runs(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        kinds: Collection[RunKind] = (RunKind.PIPELINE,),
    ) -> int:
        from cairn.records import run_pages

        return self._read(run_pages.count, projects=projects, location=location, where=where, kinds=kinds)

    def open_runs(self) -> list[Run]:
        """Runs of every project that have not ended, oldest first."""
        return self._read(runs.unfinished)

    def open_run_count(self, project: str, location: str, schedule: str) -> int:
        """How many runs of a schedule have not ended."""
        return self._read(runs.open_count, project, location, schedule)

    def run_by_job_id(self, project: str, location: str, job_id: str) -> Run | None:
        return self._read(runs.by_job_id, project, location, job_id)

    def requested_run(self, project: str, location: str, request_id: str) -> Run | None:
        """The run that a request has made."""
        return self._read(runs.by_request, project, location, request_id)

    def claimed(self, run_uid: str) -> Owner | None:
        """The live engine that holds a run, if any."""
        number, _ = self._number(run_uid)
        claim = self._read(claims.read, number)
        return claim.owner if claim is not None and self._read(claims.held, claim) else None

    def task_counts(self, run_uid: str) -> dict[str, int]:
        """How many leaf tasks are in each state."""
        return self._read(tasks.counts, self._number(run_uid)[0])

    def list_cached(
        self, scope: str = "", *, component: str = "", run_uid: str = "", limit: int = 100
    ) -> list[CacheEntry]:
        """What later runs would take, newest first: of each key the newest entry. `scope`: "" for all of them.
        `run_uid`: only what this run has made."""
        number = self._number(run_uid)[0] if run_uid else None
        return self._read(cache.listed, scope, component, number, limit)

    def forget_cached(self, scope: str, *, component: str = "", keys: Sequence[str] | None = None) -> int:
        """Remove cache entries of a scope ("": of all), of one component and of these keys when given; how many they
        were. Outputs stay with the runs that made them."""
        with self._writing() as writing:
            return cache.forget(writing.connection, scope, component, keys)

    def archive_run(self, run_uid: str, *, archived: bool) -> None:
        """Set it aside, or fetch it back; whether it still runs does not matter. Raises NotFound."""
        self._number(run_uid)
        with self._writing() as writing:
            runs.archive(writing.connection, run_uid, archived=archived)

    def archive_runs(self, experiment: str) -> None:
        """Every run of a KFP experiment."""
        with self._writing() as writing:
            runs.archive_of(writing.connection, experiment)

    def last_run_times(self, experiments: Sequence[str]) -> dict[str, int]:
        """By experiment: when its newest run was created. Those without a run are left out."""
        found = {one: self._read(runs.last_of, one) for one in experiments}
        return {one: time for one, time in found.items() if time}

    def delete_run(self, run_uid: str) -> Freed:
        """Remove a run and what only it refers to. Raises InputRefused while an engine runs it."""
        number, _ = self._number(run_uid)
        with self._writing() as writing:
            freed = deletion.delete(writing.connection, run_uid, number)
        self._numbers.pop(run_uid, None)
        return freed

    def referenced(self, trees: Collection[str] = ()) -> set[str]:
        """URIs of every artifact and spilled parameter that a remaining run refers to; `trees`: only of those that are
        one of these directories, lie below one or hold one."""
        return self._read(deletion.referenced, trees)

    def verify(self) -> list[str]:
        """What is wrong with the database, read in full; empty when nothing is."""
        return self._read(lambda connection: connection.check())

    def backup(self, path: str) -> int:
        """One state of everything, while others write, as one file that `restore_records` reads; how many rows."""
        from cairn.records import dump  # compression, which no run needs

        return self._read(dump.write, path)

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._connections:
            self._connections.pop().close()
        self._local = threading.local()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _writing(self) -> Writing:
        return Writing(self._connection())

    def _read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(self._connection(), *args, **kwargs)
        except HomeError as error:
            error.place = error.place or self.place
            raise

    def _known_hopeless(self, batch: Batch) -> bool:
        """`hopeless`, and not looked into again as long as nobody has written anything."""
        [(writes,)] = self._connection().query("SELECT writes FROM head")
        asked = (writes, tuple(one.uid for one in batch.starts))
        known, until = getattr(self._local, "hopeless", (None, 0))
        if asked == known and owners.boot_time() < until:
            return True
        if not hopeless(self._connection(), batch, self._number, self._capacity, self._machine):
            return False
        self._local.hopeless = (asked, owners.boot_time() + ledger.REFRESH // 2)
        return True

    def _number(self, run_uid: str) -> tuple[int, int]:
        numbers = self._numbers.get(run_uid)
        if numbers is None:
            found = runs.numbers(self._connection(), [run_uid])
            if run_uid not in found:
                raise NotFound(f"no run has the id {run_uid!r}")
            numbers = self._numbers[run_uid] = found[run_uid]
        return numbers

    def _capacity(self, connection: Connection) -> Capacity:
        return settings.get(connection, f"capacity:{self._machine}", Capacity) or self._default_capacity
