"""What falls due becomes runs: each nominal time once, in order, with overlaps, pauses, ends and restarts."""

from __future__ import annotations

import logging

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.schedules.conftest import HOST, PIPELINE, SECOND, Home, at, told

from cairn.domain.runs import Submission
from cairn.errors import Conflict, HomeError, InputRefused, NotFound, RecordsBusy, WrongState
from cairn.schedules.cron import parse_cron
from cairn.schedules.firing import BATCH, Firing
from cairn.schedules.types import Change, Definition, PipelineReference, ScheduleState, Trigger

OTHER = PIPELINE.replace("name: single", "name: other")
ACTIVE, PAUSED, COMPLETED = ScheduleState.ACTIVE, ScheduleState.PAUSED, ScheduleState.COMPLETED


def test_each_minute_makes_a_run(home):
    schedule = home.create("* * * * *")
    assert told(schedule.next_run_time) == "2026-01-01T00:00:00"
    made = home.each_second("2026-01-01T00:00:00", "2026-01-01T00:03:30")
    assert made == [f"2026-01-01T00:0{minute}:00" for minute in range(4)]
    now = home.get(schedule)
    assert (now.started_run_count, told(now.next_run_time)) == (4, "2026-01-01T00:04:00")
    last = home.runs()[-1]
    assert now.last_run.response == f"projects/default/locations/local/pipelineJobs/{last.job_id}"
    assert now.last_run.run_uid == last.uid and told(now.last_run.scheduled_run_time) == "2026-01-01T00:03:00"
    assert last.schedule == schedule.id and last.request_id == f"schedule/{schedule.id}/{last.schedule_time}"
    assert last.job_id.startswith("single-20260101000300-") and last.display_name == "single-20260101000300"
    assert last.settings.detached and last.parameters == {"number": 1, "trace": "/dev/null"}


def test_before_its_time_nothing_is_made(home):
    home.create("0 9 * * *", start=at("2026-01-03T00:00:00"))
    assert home.tick("2026-01-02T09:00:00") == []
    assert home.tick("2026-01-03T08:59:59") == []
    assert home.tick("2026-01-03T09:00:00") == ["2026-01-03T09:00:00"]


def test_a_start_that_is_a_tick_is_one_but_for_kfp(home):
    home.create("0 * * * *", start=at("2026-01-01T05:00:00"))
    home.create(trigger=Trigger("0 0 * * * *", dialect="robfig"), start=at("2026-01-01T05:00:00"))
    assert home.tick("2026-01-01T06:00:00") == ["2026-01-01T05:00:00", "2026-01-01T06:00:00", "2026-01-01T06:00:00"]


def test_an_interval_is_counted_from_the_start(home):
    home.create(trigger=Trigger(interval_seconds=90), start=at("2026-01-01T00:00:10"))
    home.create(trigger=Trigger("@every 1h"), allow_queueing=True)
    made = home.tick("2026-01-01T01:00:00")
    made.remove("2026-01-01T01:00:00")
    assert made[:2] == ["2026-01-01T00:01:40", "2026-01-01T00:03:10"] and len(made) == 39


def test_what_was_missed_while_no_server_ran_is_made_up_for_in_order(home):
    schedule = home.create("*/10 * * * *", max_concurrent_run_count=1)
    home.restart()
    assert home.tick("2026-01-01T00:35:00") == ["2026-01-01T00:00:00"]  # one at a time, and none is skipped
    for expected in ("10", "20", "30"):
        home.end(home.started[-1])
        assert home.tick() == [f"2026-01-01T00:{expected}:00"]
    home.end(home.started[-1])
    assert home.tick() == [] and home.get(schedule).started_run_count == 4


def test_a_restart_that_takes_a_minute_misses_none_and_doubles_none(anywhere):
    home = anywhere
    home.create("* * * * *", max_concurrent_run_count=1)
    home.each_second("2026-01-01T00:00:00", "2026-01-01T00:00:30")
    home.end(home.started[-1])
    home.restart()
    assert home.tick("2026-01-01T00:02:30") == ["2026-01-01T00:01:00"]
    home.end(home.started[-1])
    assert home.tick() == ["2026-01-01T00:02:00"]
    home.end(home.started[-1])
    assert home.each_second("2026-01-01T00:02:31", "2026-01-01T00:03:05") == ["2026-01-01T00:03:00"]


@pytest.mark.parametrize("limit", [{"max_concurrent_run_count": 2}, {"max_concurrent_active_run_count": 2}])
def test_overlapping_ticks_are_skipped(home, limit):
    schedule = home.create("* * * * *", **limit)
    made = home.each_second("2026-01-01T00:00:00", "2026-01-01T00:03:30")
    assert made == ["2026-01-01T00:00:00", "2026-01-01T00:01:00"]
    now = home.get(schedule)
    assert now.last_run.response == "skipped: 2 of its runs had not ended"
    assert told(now.next_run_time) == "2026-01-01T00:04:00" and now.started_run_count == 2
    home.end(home.started[0])
    assert home.each_second("2026-01-01T00:03:31", "2026-01-01T00:05:00") == ["2026-01-01T00:04:00"]


def test_overlapping_ticks_wait_where_they_may_queue(home):
    schedule = home.create("* * * * *", max_concurrent_run_count=1, allow_queueing=True)
    assert home.each_second("2026-01-01T00:00:00", "2026-01-01T00:03:30") == ["2026-01-01T00:00:00"]
    assert told(home.get(schedule).next_run_time) == "2026-01-01T00:01:00"  # behind schedule
    for minute in (1, 2, 3):
        home.end(home.started[-1])
        assert home.tick() == [f"2026-01-01T00:0{minute}:00"]
    home.end(home.started[-1])
    assert home.tick() == []


def test_without_catchup_only_the_latest_is_run(home):
    schedule = home.create("*/10 * * * *", no_catchup=True, max_concurrent_run_count=1)
    home.restart()
    assert home.tick("2026-01-01T05:35:00") == ["2026-01-01T05:30:00"]
    assert home.each_second("2026-01-01T05:35:01", "2026-01-01T06:15:00", 4) == []  # it has not ended
    home.end(home.started[-1])
    assert home.tick() == ["2026-01-01T06:10:00"]
    assert home.get(schedule).started_run_count == 2


def test_without_catchup_the_latest_is_not_after_the_end(home):
    home.create("0 * * * *", no_catchup=True, end=at("2026-01-01T05:30:00"))
    home.restart()
    assert home.tick("2026-01-03T00:00:00") == ["2026-01-01T05:00:00"]


def test_a_count_completes_it(home):
    schedule = home.create("* * * * *", max_run_count=3)
    assert len(home.tick("2026-01-01T10:00:00")) == 3
    now = home.get(schedule)
    assert (now.state, now.next_run_time, now.started_run_count) == (COMPLETED, 0, 3)
    for change in (home.cairn.schedules.pause, home.cairn.schedules.resume):
        with pytest.raises(WrongState):
            change(now)
    more = home.cairn.schedules.update(now, Change(max_run_count=5))
    assert (more.state, told(more.next_run_time)) == (ACTIVE, "2026-01-01T10:00:00")
    assert home.tick("2026-01-01T12:00:00") == ["2026-01-01T10:00:00", "2026-01-01T10:01:00"]


def test_an_end_completes_it_and_is_itself_a_tick(home):
    schedule = home.create("0 * * * *", end=at("2026-01-01T02:00:00"))
    assert home.tick("2026-01-01T02:00:00") == [f"2026-01-01T0{hour}:00:00" for hour in range(3)]
    assert (home.get(schedule).state, home.get(schedule).next_run_time) == (ACTIVE, 0)
    assert home.tick("2026-01-01T02:00:01") == []
    assert home.get(schedule).state is COMPLETED
    assert home.cairn.records.next_due("schedule") == 0
    late = home.create("0 * * * *", end=at("2026-01-01T05:00:00"))
    home.restart()
    assert len(home.tick("2026-01-03T00:00:00")) == 3  # what was due before its end is made up for
    assert home.get(late).state is COMPLETED
    with pytest.raises(InputRefused, match="not after the start"):
        home.create("* * * * *", start=10, end=10)


def test_a_pause_is_skipped_unless_it_is_caught_up(home):
    service = home.cairn.schedules
    one, other = home.create("0 * * * *"), home.create("0 * * * *")
    assert len(home.tick("2026-01-01T00:30:00")) == 2
    paused = service.pause(home.get(one))
    assert (paused.state, paused.last_pause_time) == (PAUSED, at("2026-01-01T00:30:00"))
    service.pause(home.get(other))
    assert service.pause(home.get(one)).etag == paused.etag  # it is paused already
    assert home.tick("2026-01-01T03:30:00") == []
    resumed = service.resume(home.get(one))
    assert (resumed.catch_up, told(resumed.next_run_time)) == (False, "2026-01-01T04:00:00")
    caught = service.resume(home.get(other), catch_up=True)
    assert (caught.catch_up, told(caught.next_run_time)) == (True, "2026-01-01T01:00:00")
    assert caught.last_resume_time == at("2026-01-01T03:30:00")
    assert home.tick() == [f"2026-01-01T0{hour}:00:00" for hour in (1, 2, 3)]
    assert home.tick("2026-01-01T04:00:00") == ["2026-01-01T04:00:00"] * 2


def test_a_catch_up_is_not_skipped_for_overlapping(home):
    schedule = home.create("0 * * * *", max_concurrent_run_count=1, paused=True)
    home.go_to("2026-01-01T02:30:00")
    home.tick()
    home.cairn.schedules.resume(home.get(schedule), catch_up=True)
    for hour in range(3):
        assert home.tick() == [f"2026-01-01T0{hour}:00:00"]
        home.end(home.started[-1])
    assert home.tick() == []


def test_a_start_in_the_past_is_made_up_for_where_that_is_asked(home):
    home.go_to("2026-01-02T00:30:00")
    home.create("0 * * * *", start=at("2026-01-01T22:00:00"))
    assert home.tick() == []
    home.create("0 * * * *", start=at("2026-01-01T22:00:00"), backfill=True)
    assert home.tick() == ["2026-01-01T22:00:00", "2026-01-01T23:00:00", "2026-01-02T00:00:00"]


def test_another_trigger_counts_from_now(home):
    schedule = home.create("0 * * * *")
    home.tick("2026-01-01T00:30:00")
    changed = home.cairn.schedules.update(home.get(schedule), Change(trigger=Trigger("*/10 * * * *")))
    assert told(changed.next_run_time) == "2026-01-01T00:30:00"
    assert home.tick("2026-01-01T00:45:00") == ["2026-01-01T00:30:00", "2026-01-01T00:40:00"]
    with pytest.raises(InputRefused):
        home.cairn.schedules.update(changed, Change(trigger=Trigger("nonsense")))
    with pytest.raises(Conflict):
        home.cairn.schedules.update(changed, Change(display_name="x"), etag=changed.etag)
    assert home.cairn.schedules.update(changed, Change(display_name="x")).display_name == "x"


def test_a_change_that_is_refused_leaves_what_is_run_as_it_was(home):
    schedule = home.create("0 * * * *")
    old = home.get(schedule)
    home.cairn.schedules.update(old, Change(display_name="meanwhile"))
    with pytest.raises(Conflict):
        home.cairn.schedules.update(old, Change(definition=Definition(OTHER)), etag=old.etag)
    now = home.get(schedule)
    assert home.cairn.schedules.definition(now).text == home.cairn.schedules.definition(old).text
    home.restart()
    home.tick("2026-01-01T00:00:00")
    assert home.runs()[-1].pipeline_name == "single"


def test_a_change_of_the_pipeline_is_whole_for_who_has_read_it_before(home):
    schedule = home.create("0 * * * *")
    for _ in range(3):
        before = home.get(schedule)
        text = home.cairn.schedules.definition(before).text
        home.cairn.schedules.update(before, Change(definition=Definition(OTHER)))
        assert home.cairn.schedules.definition(before).text == text
    home.tick("2026-01-01T00:00:00")
    assert home.runs()[-1].pipeline_name == "other"
    home.cairn.schedules.delete(home.get(schedule))
    assert home.cairn.records.page_documents("schedule.definition")[0] == []


def test_a_clock_that_jumps_back_doubles_nothing(home):
    schedule = home.create("* * * * *")
    assert len(home.each_second("2026-01-01T00:00:00", "2026-01-01T00:05:00", 10)) == 6
    assert home.each_second("2025-12-31T23:50:00", "2026-01-01T00:05:59", 10) == []
    home.go_to("2026-01-01T00:01:00")
    home.cairn.schedules.update(home.get(schedule), Change(trigger=Trigger("*/2 * * * *")))
    assert home.tick("2026-01-01T00:07:00") == ["2026-01-01T00:06:00"]


def test_a_clock_that_jumps_forward_misses_nothing(home):
    home.create("*/30 * * * *", max_concurrent_run_count=1)
    home.tick("2026-01-01T00:00:00")
    home.end(home.started[-1])
    for expected in ("00:30", "01:00", "01:30"):
        assert home.tick("2026-01-01T01:59:00") == [f"2026-01-01T{expected}:00"]
        home.end(home.started[-1])


def test_a_refused_tick_is_told_and_does_not_block(home):
    schedule = home.create("0 * * * *", submission=Submission({"number": 1, "trace": "x"}, HOST))
    # The pipeline's next version takes other parameters.
    broken = msgspec.structs.replace(home.get(schedule), submission=Submission({"number": "no"}, HOST))
    home.cairn.schedules.save(broken)
    other = home.create("0 * * * *")
    assert home.tick("2026-01-01T01:00:00") == ["2026-01-01T00:00:00", "2026-01-01T01:00:00"]
    now = home.get(schedule)
    assert now.last_run.response.startswith("refused: ") and "number" in now.last_run.response
    assert now.last_error == now.last_run and now.started_run_count == 0
    assert told(now.next_run_time) == "2026-01-01T02:00:00" and home.get(other).started_run_count == 2


def test_what_could_never_run_is_refused_at_once(home):
    with pytest.raises(InputRefused, match="numbr"):
        home.create("* * * * *", submission=Submission({"numbr": 1, "trace": "x"}, HOST))
    with pytest.raises(InputRefused):
        home.create("* * * * *", submission=Submission({"number": 1, "trace": "x"}))  # its image runs nowhere
    with pytest.raises(InputRefused):
        home.create(trigger=Trigger())
    with pytest.raises(InputRefused, match="128"):
        home.create("* * * * *", display_name="x" * 129)
    assert home.cairn.schedules.page() == ([], "")


def test_a_reference_is_looked_up_at_each_tick(home):
    from cairn.schedules.service import ScheduleService
    from cairn.schedules.types import Definition, Schedule

    texts = {("p", ""): PIPELINE}

    def uploaded(reference):
        found = texts.get((reference.pipeline_id, reference.version_id))
        if found is None:
            raise NotFound("there is no such pipeline")
        return found

    service = ScheduleService(home.cairn.records, lambda: home.cairn.runs, home.clock, uploaded)
    home.firing = Firing(service)
    template = Submission({"number": 1, "trace": "x"}, HOST)
    schedule = service.create(
        Schedule("", Trigger("0 * * * *"), template, reference=PipelineReference("p")), Definition()
    )
    assert len(home.tick()) == 1
    texts["p", ""] = PIPELINE.replace("echo $(($1 + 1))", "echo $(($1 + 2))")
    assert len(home.tick("2026-01-01T01:00:00")) == 1
    first, second = home.runs()
    assert first.spec_digest != second.spec_digest
    del texts["p", ""]
    assert home.tick("2026-01-01T02:00:00") == []
    assert "no such pipeline" in service.get(schedule.id).last_error.response


def test_five_fields_of_kfp_are_read_as_kfp_does_and_that_is_told(home):
    schedule = home.create(trigger=Trigger("0 30 * * *", dialect="robfig"))
    assert home.tick("2026-01-01T02:00:00") == ["2026-01-01T00:30:00", "2026-01-01T01:30:00"]
    assert "second minute hour day month" in schedule.warnings[0]
    assert home.runs()[0].warnings == schedule.warnings
    assert home.create("30 0 * * *").warnings == ()


def test_macros_are_replaced_where_they_are_asked_for(home):
    parameters = {"number": 1, "trace": "[[ScheduledTime]]-[[CurrentTime.15-04-05]]-[[Index]]-[[RunUUID]]"}
    template = Submission(parameters, HOST, display_name="run [[Index]]")
    home.create("0 * * * *", submission=template, macros=True)
    home.create("0 * * * *", submission=template)
    home.tick("2026-01-01T00:00:07")
    filled, plain = home.runs()
    assert filled.parameters["trace"] == f"20260101000000-00-00-07-1-{filled.uid}"
    assert (filled.display_name, plain.display_name) == ("run 1", "run [[Index]]-20260101000000")
    assert plain.parameters["trace"] == parameters["trace"]


def test_two_servers_make_each_run_once(anywhere):
    home = anywhere
    schedule = home.create("* * * * *")
    other = Firing(home.cairn.schedules)
    for moment in range(at("2026-01-01T00:00:00"), at("2026-01-01T00:10:01"), 30 * SECOND):
        home.tick(moment)
        other.tick(moment + SECOND, lambda run, _: home.started.append(run))
    assert [told(run.schedule_time) for run in home.started] == [
        f"2026-01-01T00:{minute:02}:00" for minute in range(11)
    ]
    assert home.get(schedule).started_run_count == 11


def test_a_server_that_is_overtaken_between_reading_and_writing_changes_nothing(home, monkeypatch):
    """The other one's whole turn happens while this one submits."""
    schedule = home.create("* * * * *")
    home.go_to("2026-01-01T00:00:00")
    other, submit = Firing(home.cairn.schedules), home.cairn.runs.submit
    entered = []

    def submit_late(pipeline, submission):
        if not entered:
            entered.append(1)
            other.tick(home.clock.now(), lambda *_: None)
        return submit(pipeline, submission)

    monkeypatch.setattr(home.cairn.runs, "submit", submit_late)
    home.tick()
    assert len(home.runs()) == 1 and home.get(schedule).started_run_count == 1
    assert told(home.get(schedule).next_run_time) == "2026-01-01T00:01:00"


@pytest.mark.parametrize("what", ["pause", "update", "delete", "rename"])
def test_what_is_changed_while_a_tick_is_submitted_is_kept(home, monkeypatch, what):
    schedule = home.create("* * * * *")
    home.go_to("2026-01-01T00:00:45")
    service, submit = home.cairn.schedules, home.cairn.runs.submit

    def submit_late(pipeline, submission):
        if what == "pause":
            service.pause(schedule)
        elif what == "update":
            service.update(schedule, Change(trigger=Trigger("*/10 * * * * *")))
        elif what == "rename":
            service.update(schedule, Change(display_name="other"))
        else:
            service.delete(schedule)
        return submit(pipeline, submission)

    monkeypatch.setattr(home.cairn.runs, "submit", submit_late)
    home.tick()
    assert len(home.runs()) == 1
    if what == "delete":
        with pytest.raises(NotFound):
            home.get(schedule)
        return
    now = home.get(schedule)
    assert now.started_run_count == 1 and now.last_run.run_uid == home.runs()[0].uid
    expected = {"pause": "2026-01-01T00:01:00", "update": "2026-01-01T00:00:50", "rename": "2026-01-01T00:01:00"}
    assert told(now.next_run_time) == expected[what]
    assert now.state is (PAUSED if what == "pause" else ACTIVE)
    assert now.display_name == ("other" if what == "rename" else "s")


def test_a_busy_database_loses_no_tick(home, monkeypatch):
    home.create("* * * * *")

    def busy(*_):
        raise RecordsBusy("busy")

    monkeypatch.setattr(home.cairn.runs, "submit", busy)
    with pytest.raises(RecordsBusy):
        home.tick("2026-01-01T00:00:00")
    monkeypatch.undo()
    assert home.tick("2026-01-01T00:01:00") == ["2026-01-01T00:00:00", "2026-01-01T00:01:00"]


@pytest.mark.parametrize("error", [ZeroDivisionError(), HomeError("its record cannot be read")])
def test_a_defect_in_one_schedule_does_not_hold_up_the_others(home, monkeypatch, caplog, error):
    bad, good = home.create("* * * * *"), home.create("* * * * *")
    submit = home.cairn.runs.submit

    def failing(pipeline, submission):
        if submission.schedule == bad.id:
            raise error
        return submit(pipeline, submission)

    monkeypatch.setattr(home.cairn.runs, "submit", failing)
    with caplog.at_level(logging.CRITICAL):
        assert len(home.tick("2026-01-01T00:00:00")) == 1
    assert home.get(good).started_run_count == 1
    monkeypatch.undo()
    assert home.tick("2026-01-01T00:00:59") == []  # left alone for a while
    assert home.tick("2026-01-01T00:01:00")[0] == "2026-01-01T00:00:00"


def test_thousands_of_missed_ticks_come_in_turns_and_all_have_theirs(home):
    many = home.create("* * * * * *", display_name="many")
    few = home.create("0 * * * *", display_name="few")
    home.restart()
    home.go_to("2026-01-01T00:30:00")
    home.firing.tick(home.clock.now(), lambda run, _: home.started.append(run))
    assert home.get(many).started_run_count == BATCH and home.get(few).started_run_count == 1
    skipping = home.create("* * * * * *", max_concurrent_run_count=1)
    home.cairn.schedules.delete(many)
    assert len(home.tick("2030-01-01T00:00:00", turns=3)) >= 1
    home.cairn.schedules.delete(few)
    home.end(home.started[-1])
    latest = home.create("* * * * * *", no_catchup=True)
    home.cairn.schedules.delete(skipping)
    assert home.tick("2036-01-01T00:00:00") == ["2036-01-01T00:00:00"]  # of a hundred million
    assert home.get(latest).started_run_count == 1


def test_a_deleted_one_makes_no_more_and_its_runs_stay(home):
    schedule = home.create("* * * * *")
    home.tick()
    home.cairn.schedules.delete(schedule)
    assert home.tick("2026-01-01T01:00:00") == [] and len(home.runs()) == 1
    with pytest.raises(NotFound):
        home.cairn.schedules.delete(schedule)
    with pytest.raises(NotFound):
        home.cairn.schedules.definition(schedule)


def test_they_are_listed_newest_first_by_page_filtered_and_ordered(anywhere):
    home = anywhere
    from cairn.filters.vertex import parse_filter, parse_order

    for number, cron in enumerate(["0 5 * * *", "0 3 * * *", "0 4 * * *"]):
        home.clock.time += SECOND
        home.create(cron, display_name=f"n{number}", start=at(f"2026-02-0{3 - number}T00:00:00"))
    page = home.cairn.schedules.page

    def names(text="", order=""):
        return [one.display_name for one in page(where=parse_filter(text), orders=parse_order(order))[0]]

    home.cairn.schedules.pause(page()[0][0])
    assert names() == ["n2", "n1", "n0"]
    assert names(order="start_time") == ["n2", "n1", "n0"] and names(order="next_run_time desc")[0] == "n0"
    assert names(order="create_time") == ["n0", "n1", "n2"]
    assert names('state="ACTIVE"') == ["n1", "n0"] and names('state!="ACTIVE"') == ["n2"]
    assert names('display_name="n1"') == ["n1"] and names('NOT display_name="n1"') == ["n2", "n0"]
    assert names('display_name:"n*"') == ["n2", "n1", "n0"]
    assert names('start_time>"2026-02-01T12:00:00Z"') == ["n1", "n0"]
    assert names('next_run_time<"2026-02-02T00:00:00Z"') == ["n2"]
    assert names('end_time>"2021-05-18T00:00:00Z" OR NOT end_time:*') == ["n2", "n1", "n0"]
    assert names("end_time:*") == [] and names("create_pipeline_job_request:*") == ["n2", "n1", "n0"]
    first, token = page(limit=2)
    rest, end = page(limit=2, token=token)
    assert [one.display_name for one in [*first, *rest]] == ["n2", "n1", "n0"] and end == ""


EXPRESSIONS = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "0 * * * *", "TZ=Europe/Berlin 30 2 * * *", "TZ=Australia/Lord_Howe */20 1-3 * * *",
     "TZ=America/New_York 0,30 1 * * *", "*/25 * * * * *", "0 0 1 * *"]
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    expression=EXPRESSIONS,
    begin=st.sampled_from(["2026-03-28T23:50:11", "2026-10-24T22:00:00", "2026-04-04T13:59:59", "2026-11-01T03:00:00"]),
    steps=st.lists(
        st.tuples(st.sampled_from(["tick", "restart", "back"]), st.integers(0, 2000)), min_size=3, max_size=25
    ),
)
def test_whatever_happens_each_nominal_time_is_run_once(tmp_path_factory, expression, begin, steps):
    """Turns at any time, new servers, a clock that goes back: in the end the runs are what the expression says."""
    home = Home(tmp_path_factory.mktemp("random") / "home", begin)
    try:
        home.create(expression)
        furthest = home.clock.time
        for what, seconds in steps:
            if what == "restart":
                home.restart()
            sign = -1 if what == "back" else 1
            home.tick(home.clock.time + sign * seconds * SECOND)
            furthest = max(furthest, home.clock.time)
        home.tick(furthest)
        expected, moment = [], at(begin) - 1
        while (moment := parse_cron(expression).after(moment)) <= furthest:
            expected.append(told(moment))
        assert [told(run.schedule_time) for run in home.runs()] == expected
        assert len({run.request_id for run in home.runs()}) == len(expected)
    finally:
        home.cairn.close()
