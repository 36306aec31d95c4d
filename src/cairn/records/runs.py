"""Runs and the pipelines they execute."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cairn.domain.runs import Run
from cairn.errors import AlreadyExists, InputRefused, NotFound
from cairn.records import spills
from cairn.records.connection import Connection, Row
from cairn.records.encoding import Codec, encode

_codec = Codec(Run)
_MAX_PLACE = 200  # characters
READ_FIELDS = "r.n, r.body, c.fence, r.archived"  # what `read_row` takes
READ_FROM = "runs r JOIN claims c ON c.run = r.n"
_READ = f"SELECT {READ_FIELDS} FROM {READ_FROM}"
_IN_STORE = "store = (SELECT n FROM metadata_stores WHERE project = ? AND location = ?)"


def store(connection: Connection, project: str, location: str) -> int:
    """The narrow key of a project and location; made when it is new (within a write transaction)."""
    sql = "SELECT n FROM metadata_stores WHERE project = ? AND location = ?"
    row = connection.one(sql, (project, location))
    if row is None:
        _check_place(project=project, location=location)
        connection.run("INSERT INTO metadata_stores (project, location) VALUES (?, ?)", (project, location))
        row = connection.one(sql, (project, location))
        assert row is not None
    return int(row[0])


def _check_place(**names: str) -> None:
    """They stand in resource names, and in an index of PostgreSQL's, which takes no more than 2704 bytes."""
    for what, name in names.items():
        if not 0 < len(name) <= _MAX_PLACE or not name.isprintable() or "/" in name:
            raise InputRefused(
                f"{name[:40]!r} is no name of a {what}",
                place=what,
                remedy=f"use up to {_MAX_PLACE} printable characters without /",
            )


def projects(connection: Connection) -> list[str]:
    return [str(row[0]) for row in connection.query("SELECT DISTINCT project FROM metadata_stores ORDER BY project")]


def locations(connection: Connection, project: str) -> list[str]:
    sql = "SELECT location FROM metadata_stores WHERE project = ? ORDER BY location"
    return [str(row[0]) for row in connection.query(sql, (project,))]


def insert(connection: Connection, run: Run, store_number: int, spec_text: str) -> int:
    """Raises AlreadyExists when the job's id is taken."""
    if connection.one("SELECT 1 FROM runs WHERE store = ? AND job_id = ?", (store_number, run.job_id)):
        raise AlreadyExists(f"a run with the id {run.job_id!r} exists already", remedy="choose another id")
    keep_spec(connection, run.spec_digest, spec_text)
    connection.run(
        "INSERT INTO runs (uid, store, job_id, request_id, pipeline_name, spec_digest, state, create_time, "
        "display_name, start_time, end_time, update_time, schedule, experiment, archived, kind, parent, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run.uid,
            store_number,
            run.job_id,
            run.request_id,
            run.pipeline_name,
            run.spec_digest,
            run.state,
            run.create_time,
            run.display_name,
            run.start_time,
            run.end_time,
            run.update_time,
            run.schedule,
            run.experiment,
            int(run.archived),
            run.kind,
            run.parent,
            encode(run),
        ),
    )
    number, _ = numbers(connection, [run.uid])[run.uid]
    connection.run("INSERT INTO claims (run, fence) VALUES (?, ?)", (number, run.fence))
    _label(connection, number, run)
    spills.keep(connection, number, [run])
    return number


def update(connection: Connection, number: int, run: Run) -> None:
    """All but `archived`: that is no engine's to say, and `archive` may come while one has the run."""
    connection.run(
        "UPDATE runs SET state = ?, spec_digest = ?, display_name = ?, start_time = ?, end_time = ?, update_time = ?, "
        "schedule = ?, experiment = ?, body = ? WHERE n = ?",
        (
            run.state,
            run.spec_digest,
            run.display_name,
            run.start_time,
            run.end_time,
            run.update_time,
            run.schedule,
            run.experiment,
            encode(run),
            number,
        ),
    )
    connection.run("DELETE FROM run_labels WHERE run = ?", (number,))
    _label(connection, number, run)
    spills.keep(connection, number, [run])


def archive(connection: Connection, uid: str, *, archived: bool) -> None:
    connection.run("UPDATE runs SET archived = ? WHERE uid = ?", (int(archived), uid))


def archive_of(connection: Connection, experiment: str) -> None:
    connection.run("UPDATE runs SET archived = 1 WHERE experiment = ? AND experiment <> ''", (experiment,))


def last_of(connection: Connection, experiment: str) -> int:
    """When the newest run of an experiment was created; 0 when it has none."""
    sql = "SELECT create_time FROM runs WHERE experiment = ? AND experiment <> '' ORDER BY n DESC LIMIT 1"
    row = connection.one(sql, (experiment,))
    return int(row[0]) if row else 0


def _label(connection: Connection, number: int, run: Run) -> None:
    if run.labels:
        rows = [(number, name, value) for name, value in run.labels.items()]
        connection.many("INSERT INTO run_labels (run, name, value) VALUES (?, ?, ?)", rows)


def numbers(connection: Connection, uids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(run, metadata store) as narrow keys for each uid that exists."""
    found = {}
    for uid in uids:
        row = connection.one("SELECT n, store FROM runs WHERE uid = ?", (uid,))
        if row is not None:
            found[uid] = (int(row[0]), int(row[1]))
    return found


def read(connection: Connection, uid: str) -> Run:
    row = connection.one(f"{_READ} WHERE r.uid = ?", (uid,))
    if row is None:
        raise NotFound(f"no run has the id {uid!r}")
    return read_row(row)


def by_request(connection: Connection, project: str, location: str, request_id: str) -> Run | None:
    row = connection.one(f"{_READ} WHERE r.{_IN_STORE} AND r.request_id = ?", (project, location, request_id))
    return read_row(row) if row else None


def open_count(connection: Connection, project: str, location: str, schedule: str) -> int:
    # Of all runs few are open: the concatenation keeps the database from going through those of the schedule.
    sql = (
        f"SELECT count(*) FROM runs WHERE {_IN_STORE} AND state IN ('PENDING', 'RUNNING', 'CANCELLING') "
        "AND schedule || '' = ?"
    )
    row = connection.one(sql, (project, location, schedule))
    return int(row[0]) if row else 0


def by_job_id(connection: Connection, project: str, location: str, job_id: str) -> Run | None:
    row = connection.one(f"{_READ} WHERE r.{_IN_STORE} AND r.job_id = ?", (project, location, job_id))
    return read_row(row) if row else None


def keep_spec(connection: Connection, digest: str, spec_text: str) -> None:
    connection.run(
        "INSERT INTO specs (digest, content) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING", (digest, spec_text)
    )


def spec(connection: Connection, digest: str) -> str:
    row = connection.one("SELECT content FROM specs WHERE digest = ?", (digest,))
    if row is None:
        raise NotFound(f"no pipeline with the digest {digest!r} is recorded")
    return str(row[0])


def find(connection: Connection, reference: str, project: str = "", location: str = "") -> Run:
    """By uid, by job id, or by the first four or more characters of a uid. Raises NotFound, and InputRefused
    listing the candidates when there are several."""
    within, place = "", []
    for column, value in (("project", project), ("location", location)):
        if value:
            within += f" AND r.store IN (SELECT n FROM metadata_stores WHERE {column} = ?)"
            place.append(value)
    exact = connection.query(
        f"{_READ} WHERE (r.uid = ? OR r.job_id = ?){within} ORDER BY r.n DESC LIMIT 9", [reference, reference, *place]
    )
    named = [run for run in map(read_row, exact) if run.uid == reference]
    found = named or [read_row(row) for row in exact]
    if not found and len(reference) >= 4:
        bounds = [reference.lower(), reference.lower() + "\x7f", *place]
        near = connection.query(f"{_READ} WHERE r.uid >= ? AND r.uid < ?{within} ORDER BY r.n DESC LIMIT 9", bounds)
        found = [read_row(row) for row in near]
    if not found:
        raise NotFound(f"there is no run {reference!r}", remedy="`cairn runs list` shows the runs of this home")
    if len(found) > 1:
        names = ", ".join(f"{run.uid} ({run.job_id} in {run.project}/{run.location})" for run in found[:8])
        said = "the job id of several runs" if exact else "the beginning of several runs' ids"
        raise InputRefused(f"{reference!r} is {said}: {names}", remedy="give a run's uid, or more characters of it")
    return found[0]


def unfinished(connection: Connection) -> list[Run]:
    rows = connection.query(f"{_READ} WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELLING') ORDER BY r.n")
    return [read_row(row) for row in rows]


def read_row(row: Row) -> Run:
    run = _codec.decode(row[1])
    if (run.fence, run.archived) == (row[2], bool(row[3])):
        return run
    return msgspec.structs.replace(run, fence=row[2], archived=bool(row[3]))
