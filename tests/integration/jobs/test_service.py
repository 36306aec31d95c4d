"""JobService: jobs are runs of their own kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worker_pools import HOST, container

from cairn.domain.runs import Run, RunKind
from cairn.domain.states import RunState
from cairn.errors import InputRefused, NotFound, SpecError, WrongState
from cairn.wiring import Cairn

MESSAGE: dict[str, Any] = {
    "displayName": "d",
    "jobSpec": {"workerPoolSpecs": [container("true")]},
    "labels": {"a": "b"},
}


def test_a_job_is_told_back_as_it_was_given_and_is_no_pipeline_run(cairn: Cairn) -> None:
    made = cairn.jobs.create(MESSAGE, project="p", location="l", settings=HOST, owner="me", labels={"c": "d"})
    assert made.new
    run = cairn.jobs.get(made.run.job_id, project="p", location="l")
    assert (run.client["job"], run.kind, run.display_name) == (MESSAGE, RunKind.CUSTOM_JOB, "d")
    assert (run.labels, run.owner) == ({"a": "b", "c": "d"}, "me")
    assert run.job_id.isdigit()
    assert len(run.job_id) == 19
    assert cairn.records.page_runs()[0] == []
    assert [each.uid for each in cairn.jobs.page(projects=["p"], location="l")[0]] == [run.uid]
    with pytest.raises(NotFound):
        cairn.jobs.get(run.job_id, project="other", location="l")
    with pytest.raises(NotFound):
        cairn.jobs.get(run.job_id, project="p", location="l", kinds=[RunKind.TRIAL])


def test_the_same_request_makes_one_job(cairn: Cairn) -> None:
    first = cairn.jobs.create(MESSAGE, settings=HOST, request_id="r")
    second = cairn.jobs.create(MESSAGE, settings=HOST, request_id="r")
    assert (first.run.uid, first.new, second.new) == (second.run.uid, True, False)
    assert second.pipeline.digest == first.pipeline.digest


def test_kinds_have_lists_of_their_own(cairn: Cairn) -> None:
    for kind in (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE, RunKind.TRIAL):
        cairn.jobs.create(MESSAGE, settings=HOST, kind=kind, parent="above" if kind is RunKind.TRIAL else "")
    assert len(cairn.jobs.page()[0]) == 3
    assert [each.parent for each in cairn.jobs.page(kinds=[RunKind.TRIAL])[0]] == ["above"]


def test_a_job_that_runs_is_cancelled_and_one_that_has_ended_deleted(cairn: Cairn) -> None:
    message = {"displayName": "d", "jobSpec": {"workerPoolSpecs": [container("sleep 60"), container("sleep 60")]}}
    made = cairn.jobs.create(message, settings=HOST)
    with pytest.raises(WrongState):
        cairn.jobs.delete(made.run)
    engine = cairn.engine()
    engine.bring(made.run, made.pipeline)
    while not cairn.records.attempts(made.run.uid):
        engine.turn(0.1)
    cairn.jobs.cancel(made.run)
    engine.run_until_done()
    ended = engine.finished[made.run.uid]
    engine.close()
    assert ended.state is RunState.CANCELLED
    with pytest.raises(WrongState):
        cairn.jobs.cancel(ended)
    cairn.jobs.delete(ended)
    with pytest.raises(NotFound):
        cairn.jobs.get(ended.job_id)


def test_snake_case_is_the_same_job(said: Callable[[Run], dict[str, str]], cairn: Cairn) -> None:
    env = [{"name": "A", "value": "1"}]
    pool = {"container_spec": {"image_uri": "i", "command": ["sh", "-c", "echo $A $B"], "env": env}}
    message = {"display_name": "d", "job_spec": {"worker_pool_specs": [pool]}}
    made = cairn.jobs.create(message, settings=HOST, environment={"A": "2", "B": "3"})
    engine = cairn.engine()
    engine.bring(made.run, made.pipeline)
    engine.run_until_done()
    ended = engine.finished[made.run.uid]
    engine.close()
    assert said(ended) == {"workerpool0-0": "1 3\n"}


WORDS = [
    "{{$}}",
    "{{$.inputs.parameters['x']}} {{$.pipeline_job_name}}",
    "{{{{$.cairn_literal}}$",
    '{"Concat": ["a", "{{$}}", "b"]}',
    '{"IfPresent": {"InputName": "x", "Then": "y"}}',
    "a\nb {{$.pipeline_root}}",
]


def test_a_job_is_told_literally_what_looks_like_a_placeholder(
    run: Callable[..., Run], said: Callable[[Run], dict[str, str]]
) -> None:
    show = container('printf "%s|" "$@" "$WORD"', args=["sh", *WORDS], env=[{"name": "WORD", "value": WORDS[1]}])
    ended = run([show, show])
    told = "".join(f"{word}|" for word in [*WORDS, WORDS[1]])
    assert said(ended) == {"workerpool0-0": told, "workerpool1-0": told}


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({}, "jobSpec.workerPoolSpecs"),
        ({"jobSpec": {"workerPoolSpecs": "x"}}, "jobSpec.workerPoolSpecs"),
        ({**MESSAGE, "displayName": "x" * 200}, "displayName"),
        ({**MESSAGE, "labels": {"a": 1}}, "labels"),
        ({"jobSpec": {"workerPoolSpecs": [{"containerSpec": {}}]}}, "jobSpec.workerPoolSpecs[0]"),
        (
            {"jobSpec": {"workerPoolSpecs": [container("true", imageUri="{{$.inputs.parameters['x']}}")]}},
            "jobSpec.workerPoolSpecs.0.containerSpec.imageUri",
        ),
    ],
)
def test_what_is_no_job_is_refused_at_its_place(cairn: Cairn, message: dict[str, Any], place: str) -> None:
    with pytest.raises((InputRefused, SpecError)) as refused:
        cairn.jobs.create(message, settings=HOST)
    assert refused.value.place.endswith(place)
    assert cairn.jobs.page() == ([], "")
