"""The hosted engine while much is handed to it."""

import json
import threading
import time

from cairn.domain.runs import Submission
from cairn.spec.load import load_text

COUNT = 60
TAKE_SECONDS = 0.03


def test_runs_go_on_while_many_others_are_taken(host, monkeypatch, pipeline_of):
    running = host(config='[images]\n"*" = "host"\n')
    cairn, engine_host = running.server.cairn, running.server.engine_host
    pipeline = load_text(json.dumps(pipeline_of("crowd", a="true")), origin="test")
    take, taken = type(cairn.runs).take, {}

    def slowly(self, engine, run, **how):
        time.sleep(TAKE_SECONDS)
        taken[run.uid] = time.monotonic()
        return take(self, engine, run, **how)

    monkeypatch.setattr(type(cairn.runs), "take", slowly)
    ended, first = {}, threading.Event()

    def watch(run, _batch):
        if run.state.terminal:
            ended[run.uid] = time.monotonic()
            first.set()

    engine_host.observers.append(watch)
    runs = [cairn.runs.submit(pipeline, Submission(settings=cairn.run_settings())) for _ in range(COUNT)]
    for run in runs:
        engine_host.offer(run, pipeline)
    assert first.wait(30)
    until = time.monotonic() + 30
    while len(taken) < COUNT:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert min(ended.values()) < max(taken.values())


def test_a_run_that_has_ended_before_its_offer_comes_is_left_alone(host, pipeline_of, caplog):
    running = host(config='[images]\n"*" = "host"\n')
    cairn, engine_host = running.server.cairn, running.server.engine_host
    pipeline = load_text(json.dumps(pipeline_of("late", a="true")), origin="test")
    run = cairn.runs.submit(pipeline, Submission(settings=cairn.run_settings()))
    engine_host.offer(run, pipeline)
    until = time.monotonic() + 30
    while not cairn.records.run(run.uid).state.terminal:
        assert time.monotonic() < until
        time.sleep(0.01)
    fence = cairn.records.run(run.uid).fence
    engine_host.offer(run, pipeline)
    engine_host.offer(cairn.runs.submit(pipeline, Submission(settings=cairn.run_settings())), pipeline)
    while engine_host._asked:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert cairn.records.run(run.uid).fence == fence
    assert "cannot be taken" not in caplog.text
