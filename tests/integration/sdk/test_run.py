"""`cairn.run` on the real engine."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import cairn
from cairn.errors import InputRefused, NotFound, ParameterError
from cairn.sdk import RunFailed, open_run

pytestmark = pytest.mark.network


def test_a_run_gives_outputs_tasks_artifacts_and_logs(home, pipelines):
    lines = []
    run = cairn.run(pipelines / "branches.yaml", {"n": 4}, labels={"a": "b"}, cache=False, on_line=lines.append)
    assert run.state == "SUCCEEDED"
    assert run.parameters == {"bad": False, "n": 4}
    assert run.task("score").outputs == {"Output": 4.0}
    assert run.task("for-loop-5[2]/say-2").outputs == {"Output": "C"}
    assert run.task("condition-1/for-loop-3/say").state == "SKIPPED"
    data = run.artifacts["make/data"]
    assert data.type == "system.Dataset"
    assert Path(data.path).read_text() == "0\n1\n2\n3"
    assert run.artifacts["score/metrics"].metadata == {"accuracy": 0.912345678}
    assert "scoring 4\n" in run.logs("score", stream="stdout")
    assert run.logs("score", stream="stderr") == "a word on stderr\n"
    assert "score  succeeded" in lines
    assert 0 < run.seconds < 60
    with pytest.raises(NotFound, match="no task"):
        run.task("nothing")
    with pytest.raises(NotFound, match="not been started"):
        run.logs("condition-1/for-loop-3/say")


def test_outputs_also_large_ones_are_values(home, pipelines):
    assert cairn.run(str(pipelines / "one.yaml"), {"a": 5}).outputs == {"Output": 7}
    assert cairn.run(pipelines / "big.yaml", {"size": 300_000}).outputs == {"Output": "x" * 300_000}


def test_a_failure_is_raised_with_the_run_or_returned(home, pipelines):
    with pytest.raises(RunFailed, match=r"score: run .* failed") as failed:
        cairn.run(pipelines / "branches.yaml", {"bad": True})
    assert "KeyError: 'missing'" in failed.value.run.logs("score")
    run = cairn.run(pipelines / "branches.yaml", {"bad": True}, raise_on_failure=False)
    assert run.state == "FAILED"
    assert run.error.place == "score"
    with pytest.raises(RunFailed):
        run.resume()
    assert run.task("score").attempts == 2


def test_resume_with_an_edited_file(home, pipelines, tmp_path):
    run = cairn.run(pipelines / "branches.yaml", {"bad": True}, raise_on_failure=False, cache=False)
    edited = tmp_path / "edited.yaml"
    edited.write_text((pipelines / "branches.yaml").read_text().replace('nothing[\\"missing\\"]', "7.5"))
    assert run.resume(edited).state == "SUCCEEDED"
    assert run.task("score").outputs == {"Output": 7.5}
    assert run.task("make").attempts == 1
    with pytest.raises(InputRefused, match="nothing to go on with"):
        run.resume()


def test_what_is_wrong_is_refused(home, pipelines):
    with pytest.raises(ParameterError, match="no parameter"):
        cairn.run(pipelines / "one.yaml", {"b": 1})
    with pytest.raises(InputRefused, match="is no pipeline"):
        cairn.run(lambda: None)


def test_html_is_escaped(home, pipelines):
    run = cairn.run(pipelines / "slow.yaml", {"seconds": 0.0}, name="<b>bold")
    html = run._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;bold" in html
    assert "SUCCEEDED" in html
    assert html.count("<table>") == html.count("</table>") == 2


def test_it_works_where_an_event_loop_runs_and_in_threads(home, pipelines):
    async def within() -> str:
        return cairn.run(pipelines / "one.yaml", {"a": 70}).state

    assert asyncio.run(within()) == "SUCCEEDED"
    runs = []
    threads = [
        threading.Thread(target=lambda a=a: runs.append(cairn.run(pipelines / "one.yaml", {"a": a}, cache=False)))
        for a in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(run.outputs["Output"] for run in runs) == [2, 3, 4, 5]
    assert len({run.uid for run in runs}) == 4


def test_a_run_is_opened_watched_and_cancelled_from_elsewhere(home, pipelines):
    done = []

    def background():
        done.append(cairn.run(pipelines / "slow.yaml", {"seconds": 60.0}, name="elsewhere", raise_on_failure=False))

    thread = threading.Thread(target=lambda: _quietly(background))
    thread.start()
    run = _until(lambda: _opened("elsewhere"))
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.3)
    run.cancel()
    assert run.wait(timeout=30).state == "CANCELLED"
    thread.join(30)
    assert open_run(run.uid[:8]).uid == run.uid


def test_ctrl_c_cancels_and_is_raised_when_the_processes_are_gone(home, pipelines):
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        cairn.run(pipelines / "slow.yaml", {"seconds": 60.0}, name="interrupted", cache=False)
    assert signal.getsignal(signal.SIGINT) is before
    assert open_run("interrupted").state == "CANCELLED"


def _quietly(work):
    try:
        work()
    except cairn.errors.RunCancelled:
        pass


def _opened(name):
    try:
        return open_run(name)
    except NotFound:
        return None


def _until(condition):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")
