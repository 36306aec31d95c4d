"""Schedules that a configuration asks for: made, changed, left as they are, or refused."""

import msgspec
import pytest
from tests.unit.schedules.conftest import HOST, PIPELINE, at, told

from cairn.domain.configuration import Configuration, ScheduleConfiguration
from cairn.domain.runs import Submission
from cairn.errors import AlreadyExists, InputRefused
from cairn.schedules.configured import Outcome, apply
from cairn.spec.load import load_text

SAID = ScheduleConfiguration(cron="0 3 * * *", name="nightly")
PIPE = load_text(PIPELINE, origin="single.yaml")
SUBMISSION = Submission(
    {"number": 1, "trace": "/dev/null"},
    HOST,
    labels={"a": "b"},
    configuration=Configuration("/conf", "config", ("lr=1",), digest="d", text="lr: 1\n"),
)


def _apply(home, said=SAID, submission=SUBMISSION, pipeline=PIPE):
    return apply(home.cairn.schedules, pipeline, submission, said)


def _changed(**more):
    return msgspec.structs.replace(SAID, **more)


def test_it_is_made_as_it_is_said(home):
    said = _changed(
        time_zone="Europe/Berlin", start="2026-02-01T00:00:00+01:00", end="2026-03-01T00:00:00+01:00", max_runs=5,
        max_concurrent=2, queue=True,
    )  # fmt: skip
    made, outcome = _apply(home, said)
    assert outcome is Outcome.CREATED
    assert (made.display_name, made.trigger.cron, made.trigger.time_zone) == ("nightly", "0 3 * * *", "Europe/Berlin")
    assert told(made.next_run_time) == "2026-02-01T02:00:00"
    assert told(made.end) == "2026-02-28T23:00:00"
    assert (made.max_run_count, made.max_concurrent_run_count, made.allow_queueing) == (5, 2, True)
    assert made.no_catchup
    assert made.submission == SUBMISSION
    assert home.cairn.schedules.pipeline_of(made).text == PIPE.text


def test_without_a_name_it_has_the_runs_or_the_pipelines(home):
    assert _apply(home, _changed(name=""))[0].display_name == PIPE.name
    named = msgspec.structs.replace(SUBMISSION, display_name="mine")
    assert _apply(home, _changed(name=""), named)[0].display_name == "mine"


def test_the_same_again_changes_nothing_and_keeps_the_time(home):
    made, _ = _apply(home, _changed(cron="", interval_seconds=3600))
    home.clock.time = at("2026-01-01T00:30:00")
    assert _apply(home, _changed(cron="", interval_seconds=3600)) == (made, Outcome.UNCHANGED)


def test_the_same_name_with_more_to_say_is_brought_up_to_it(home):
    made, _ = _apply(home)
    submission = msgspec.structs.replace(SUBMISSION, labels={"a": "c"})
    other = load_text(PIPELINE.replace("cairn.test/shell", "cairn.test/other"), origin="single.yaml")
    assert other.digest != PIPE.digest
    changed, outcome = _apply(home, _changed(cron="0 4 * * *", catch_up=True), submission, other)
    assert outcome is Outcome.UPDATED
    assert changed.id == made.id
    assert told(changed.next_run_time) == "2026-01-01T04:00:00"
    assert changed.submission.labels == {"a": "c"}
    assert not changed.no_catchup
    assert home.cairn.schedules.pipeline_of(changed).text == other.text


def test_paused_is_kept_and_asked_for(home):
    made, _ = _apply(home, _changed(paused=True))
    assert made.state == "PAUSED"
    changed, outcome = _apply(home, _changed(max_runs=3))
    assert (changed.state, outcome) == ("PAUSED", Outcome.UPDATED)
    home.cairn.schedules.resume(changed)
    changed, outcome = _apply(home, _changed(max_runs=3, paused=True))
    assert (changed.state, outcome) == ("PAUSED", Outcome.UPDATED)


def test_a_start_in_the_past_is_caught_up_with_only_where_that_is_said(home):
    past = {"start": "2025-12-29T00:00:00+00:00"}
    assert told(_apply(home, _changed(**past))[0].next_run_time) == "2026-01-01T03:00:00"
    caught = _apply(home, _changed(**past, name="other", catch_up=True))[0]
    assert told(caught.next_run_time) == "2025-12-29T03:00:00"


def test_a_name_of_another_pipelines_or_of_several_is_refused(home):
    _apply(home)
    other = load_text(PIPELINE.replace(f"name: {PIPE.name}", "name: another"), origin="other.yaml")
    assert other.name != PIPE.name
    with pytest.raises(AlreadyExists, match="runs another pipeline"):
        _apply(home, pipeline=other)
    home.create("@daily", display_name="twice")
    home.create("@daily", display_name="twice")
    with pytest.raises(AlreadyExists, match="several schedules are called 'twice'"):
        _apply(home, _changed(name="twice"))


def test_what_could_never_run_is_refused_and_nothing_is_kept(home):
    with pytest.raises(InputRefused):
        _apply(home, _changed(cron="0 3 * *"))
    with pytest.raises(InputRefused):
        _apply(home, submission=msgspec.structs.replace(SUBMISSION, parameters={"nope": 1}))
    assert home.cairn.schedules.page()[0] == []


def test_its_runs_carry_the_configuration(home):
    made, _ = _apply(home)
    assert home.tick("2026-01-01T03:00:01") == ["2026-01-01T03:00:00"]
    assert [(run.schedule, run.configuration) for run in home.runs()] == [(made.id, SUBMISSION.configuration)]
