"""Credentials are recorded alike in both databases."""

import pytest

from cairn.domain.credentials import KEY, TOKEN, Credential
from cairn.domain.resources import Capacity
from cairn.engine.ports import Batch
from cairn.errors import AlreadyExists, CairnError, NotFound
from cairn.records import open_records
from cairn.records.owners import this_process
from cairn.testing.records import a_run, a_task, an_attempt, ended


@pytest.fixture(params=["sqlite", "postgres"])
def records(request, tmp_path):
    location = tmp_path / "cairn.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_records(location, capacity=Capacity(4000, 1 << 30, 0)) as opened:
        yield opened


def a_credential(id_="c1", **fields):
    given = {"kind": TOKEN, "verifier": f"v-{id_}", "identity": "ann", "roles": {"p": "viewer", "*": "admin"}}
    return Credential(id_, **{**given, **fields})


def test_a_credential_is_read_as_it_was_written(records):
    one = a_credential(create_time=1, expire_time=2**53, use_time=3)
    records.add_credential(one)
    assert records.credential("c1") == records.credential_by_verifier("v-c1") == one
    assert records.credential("v-c1") is None and records.credential_by_verifier("c1") is None
    assert records.credential("") is None and records.credential_by_verifier("") is None


def test_ids_and_verifiers_are_taken_once(records):
    records.add_credential(a_credential())
    with pytest.raises(AlreadyExists):
        records.add_credential(a_credential(verifier="other"))
    with pytest.raises(CairnError):
        records.add_credential(a_credential("c2", verifier="v-c1"))
    assert len(records.credentials()) == 1


def test_they_are_listed_the_oldest_first(records):
    for number, id_ in enumerate(("b", "c", "a")):
        records.add_credential(a_credential(id_, kind=KEY, create_time=number))
    assert [one.id for one in records.credentials()] == ["b", "c", "a"]


def test_a_revoked_one_is_gone(records):
    records.add_credential(a_credential())
    records.delete_credential("c1")
    assert records.credential("c1") is None and records.credential_by_verifier("v-c1") is None
    with pytest.raises(NotFound):
        records.delete_credential("c1")


def test_whether_somebody_can_log_in(records):
    assert not records.has_credentials(100)
    records.add_credential(a_credential("late", expire_time=100))
    assert records.has_credentials(99) and not records.has_credentials(100)
    records.add_credential(a_credential("ever"))
    assert records.has_credentials(2**60)


def test_uses_are_noted_forwards(records):
    records.add_credential(a_credential())
    records.note_use("c1", 50)
    records.note_use("c1", 40)
    records.note_use("nobody", 60)
    assert records.credential("c1").use_time == 50


def test_a_running_attempt_has_a_project_until_it_ends(records):
    run = records.create_run(a_run(project="theirs"), "{}")
    fence = records.claim(run.uid, this_process(), lease_seconds=60)
    attempt = an_attempt(run)
    assert records.project_of_running(attempt.uid) is None
    fences = {run.uid: fence}
    records.commit(Batch(fences, starts=[attempt], tasks=[a_task(run)]))
    assert records.project_of_running(attempt.uid) == "theirs"
    records.commit(Batch(fences, attempts=[ended(attempt)]))
    assert records.project_of_running(attempt.uid) is None
