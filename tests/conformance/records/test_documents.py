"""Documents and their lists are alike in both databases; runs by experiment too."""

import pytest
from msgspec.structs import replace

from cairn.domain.documents import Document
from cairn.domain.resources import Capacity
from cairn.domain.states import RunState
from cairn.engine.ports import Batch
from cairn.errors import AlreadyExists, Conflict, InputRefused, NotFound
from cairn.filters.tree import And, Comparison, Membership, Order
from cairn.records import open_records
from cairn.records.owners import this_process
from cairn.testing.records import a_run


@pytest.fixture(params=["sqlite", "postgres"])
def records(request, tmp_path):
    location = tmp_path / "cairn.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_records(location, capacity=Capacity(4000, 1 << 30, 0)) as opened:
        yield opened


def a_document(id_, **fields):
    given = {"project": "p", "location": "local", "create_time": 1, "update_time": 1, **fields}
    return Document("noun", id_, **given)


def ids(found):
    return [one.id for one in found]


def test_a_request_makes_one_document(records):
    first = records.create_document(a_document("a", request_id="r"))
    assert records.create_document(a_document("b", request_id="r")) == first
    with pytest.raises(AlreadyExists):
        records.create_document(a_document("a"))
    assert records.create_document(a_document("b", request_id="r", project="q")).id == "b"


def test_a_change_is_held_to_its_etag(records):
    first = records.create_document(a_document("a"))
    second = records.replace_document(replace(first, state="x"), etag=first.etag)
    assert second.update_time > first.update_time
    with pytest.raises(Conflict):
        records.replace_document(first, etag=first.etag)


def test_one_is_found_by_its_id_alone(records):
    one = records.create_document(a_document("a", parent="above", labels={"k": "v"}, body={"x": [1]}))
    records.create_document(a_document("twice"))
    records.create_document(a_document("twice", project="q"))
    assert records.find_document("noun", "a") == one
    for kind, id_ in (("noun", "b"), ("other", "a"), ("noun", "twice")):
        with pytest.raises(NotFound):
            records.find_document(kind, id_)


def test_lists_keep_to_project_parent_and_filter(records):
    for number, (project, parent, state) in enumerate(
        [("p", "", "on"), ("p", "x", "off"), ("q", "x", "on"), ("r", "", "off")]
    ):
        records.create_document(
            a_document(
                str(number), project=project, parent=parent, state=state, request_id=f"name-{number}",
                display_name=f"n{number}", create_time=number, labels={"team": project},
            )
        )  # fmt: skip

    def listed(**asked):
        found, token = records.page_documents("noun", **asked)
        assert token == ""
        asked.pop("orders", None)
        assert records.count_documents("noun", **asked) == len(found)
        return ids(found)

    assert listed() == ["3", "2", "1", "0"]
    assert listed(projects={"p", "q"}) == ["2", "1", "0"]
    assert listed(projects=set()) == []
    assert listed(location="elsewhere") == []
    assert listed(parent="x") == ["2", "1"]
    assert listed(parent="") == ["3", "0"]
    assert listed(where=Comparison(("state",), "=", "on")) == ["2", "0"]
    assert listed(where=Comparison(("name",), "=", "name-1")) == ["1"]
    assert listed(where=Membership(("id",), ("1", "3"))) == ["3", "1"]
    assert listed(where=Comparison(("labels", "team"), "=", "p"), orders=(Order("create_time"),)) == ["0", "1"]
    either = And((Comparison(("display_name",), ":", "n"), Comparison(("create_time",), ">", "1970-01-01T00:00:00Z")))
    assert listed(where=either) == ["3", "2", "1"]
    with pytest.raises(InputRefused):
        listed(where=Comparison(("mood",), "=", "good"))
    assert records.page_documents("other") == ([], "")


def test_pages_follow_one_another_and_belong_to_their_list(records):
    for number in range(5):
        records.create_document(a_document(str(number), display_name=f"n{number % 2}"))
    for orders, wanted in (
        ((), ["4", "3", "2", "1", "0"]),
        ((Order("display_name"),), ["0", "2", "4", "1", "3"]),
        ((Order("display_name", descending=True),), ["3", "1", "4", "2", "0"]),
    ):
        pages, token = [], ""
        while True:
            found, token = records.page_documents("noun", orders=orders, token=token, limit=2)
            pages += ids(found)
            if not token:
                break
        assert pages == wanted
    _, token = records.page_documents("noun", limit=2)
    for other in ({"query": "x"}, {"parent": ""}, {"projects": {"p"}}, {"orders": (Order("id"),)}):
        with pytest.raises(InputRefused):
            records.page_documents("noun", token=token, limit=2, **other)


def test_schedules_are_found_by_their_experiment(records):
    for id_, experiment in (("a", "one"), ("b", "two"), ("c", None)):
        body = {"submission": {"experiment": experiment} if experiment else {}}
        records.create_document(Document("schedule", id_, "p", "local", body=body))
    found, _ = records.page_documents("schedule", where=Comparison(("experiment",), "=", "one"))
    assert ids(found) == ["a"]


def test_a_run_is_archived_whoever_writes_it(records):
    run = records.create_run(a_run(experiment="e"), "{}")
    other = records.create_run(a_run(experiment="e", create_time=7), "{}")
    fence = records.claim(run.uid, this_process(), lease_seconds=60)
    records.archive_run(run.uid, archived=True)
    records.commit(Batch(fences={run.uid: fence}, runs=[replace(run, state=RunState.RUNNING)]))
    read = records.run(run.uid)
    assert read.archived and read.state is RunState.RUNNING
    assert not records.run(other.uid).archived
    archived = Comparison(("archived",), "=", "true")
    assert [one.uid for one in records.page_runs(where=archived)[0]] == [run.uid]
    records.archive_run(run.uid, archived=False)
    assert not records.run(run.uid).archived
    records.archive_runs("e")
    assert records.run(run.uid).archived and records.run(other.uid).archived
    assert records.last_run_times(["e", "nothing"]) == {"e": 7}
    with pytest.raises(NotFound):
        records.archive_run("nothing", archived=True)


def test_several_changes_are_one_transaction(records):
    kept, gone = records.create_document(a_document("kept")), records.create_document(a_document("gone", parent="up"))
    after = replace(kept, state="x", update_time=5)
    records.change_documents(create=[a_document("new")], replace=[(after, kept.etag)], delete=[gone])
    assert records.document("noun", "kept", project="p").state == "x"
    assert records.document("noun", "new", project="p").update_time == 1
    with pytest.raises(NotFound):
        records.document("noun", "gone", project="p", parent="up")
    for bad, error in (
        ({"replace": [(after, kept.etag)]}, Conflict),
        ({"create": [a_document("new")]}, AlreadyExists),
        ({"delete": [gone]}, NotFound),
    ):
        changes = {"create": [a_document("none")], **bad}
        changes["create"] = [a_document("none"), *bad.get("create", [])]
        with pytest.raises(error):
            records.change_documents(**changes)
        with pytest.raises(NotFound):
            records.document("noun", "none", project="p")


def test_what_has_changed_since_is_found_under_its_parent(records):
    for number in (3, 1, 2):
        records.create_document(a_document(str(number), parent="up", update_time=number, labels={"n": str(number)}))
    records.create_document(a_document("4", parent="other", update_time=9))
    records.create_document(a_document("5", parent="up", update_time=9, project="q"))
    found = records.changed_documents("noun", "up", 1, project="p", location="local")
    assert ids(found) == ["2", "3"] and found[0].labels == {"n": "2"}
    assert ids(records.changed_documents("noun", "up", -1, project="p", location="local")) == ["1", "2", "3"]
    assert records.changed_documents("noun", "up", 3, project="p", location="local") == []
