"""`cairn.sweep` on the real engine: the steps are the machine's own `sh`."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

import cairn
from cairn.errors import ConfigurationError, WrongState
from cairn.sdk import open_sweep

PIPELINE = Path(__file__).parents[1] / "cli" / "pipelines" / "swept.yaml"


@pytest.fixture
def place(tmp_path, cairn_home):
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(
        f"x: 1\nlr: 0.1\npause: 0\nmodel: {{size: 1}}\ntrace: {tmp_path}/trace\n"
        "cairn: {sweep: {metric: [score], goal: [maximize]}}\n"
    )
    return tmp_path


def sweep(place, *overrides, **given):
    return cairn.sweep(PIPELINE, config_dir=place / "conf", overrides=overrides, images={"*": "host"}, **given)


def executions(place):
    return Counter((place / "trace").read_text().split("\n")[:-1])


def test_it_gives_runs_the_best_and_a_table(place):
    lines = []
    swept = sweep(place, "x=2,3", "lr=0.1,0.2", name="<tries>", on_line=lines.append, arguments={"model_size": 5})
    assert (swept.state, swept.error, swept.metrics) == ("SUCCEEDED", "", ("score",))
    assert [row["rank"] for row in swept.table] == [1, 2, 3, 4]
    first = swept.table[0]
    assert {name: first[name] for name in ("score", "x", "lr", "state")} == {
        "score": 4.9, "x": "3", "lr": "0.1", "state": "SUCCEEDED",
    }  # fmt: skip
    assert swept.best.outputs == {"score": 4.9} and swept.best.uid == first["run"] == swept.runs[0].uid
    assert swept.best.parameters["model_size"] == 5, "what is given here wins"
    assert executions(place)["load"] == 1
    shown = swept._repr_html_()
    assert "&lt;tries&gt;" in shown and "<tries>" not in shown and "4.9" in shown
    assert sum("succeeded" in line for line in lines) == 4
    assert open_sweep("<tries>").id == open_sweep().id == swept.id
    with pytest.raises(WrongState):
        swept.resume()


def test_what_is_refused_leaves_nothing(place, cairn_home):
    with pytest.raises(ConfigurationError, match="whole number"):
        sweep(place, "x=1,two")
    with pytest.raises(ConfigurationError, match="no output parameter 'loss'"):
        sweep(place, "x=1,2", "cairn.sweep.metric=[loss]")
    assert not list((cairn_home / "sweeps").iterdir())


def test_failed_jobs_are_returned_and_tried_again(place):
    swept = sweep(place, "x=1,13")
    assert swept.state == "FAILED" and [job.state for job in swept.jobs] == ["SUCCEEDED", "FAILED"]
    (place / "trace.lucky").touch()
    assert swept.resume(retry_failed=True).state == "SUCCEEDED"
    assert executions(place)["score 1 0.1"] == 1


def test_an_interrupt_cancels_and_is_raised(place):
    before = signal.getsignal(signal.SIGINT)
    begun = []

    def started(line):
        if "#0" in line:
            begun.append(line)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sweep(place, "x=1,2,3", "+cairn.sweep.parallel=1", "pause=0.3", on_line=started)
    assert begun and signal.getsignal(signal.SIGINT) is before
    swept = open_sweep()
    assert swept.state == "CANCELLED" and swept.best is not None
    assert swept.resume().state == "SUCCEEDED"
    assert executions(place)["score 1 0.1"] == 1


def test_it_works_beside_the_main_thread(place):
    found = []
    thread = threading.Thread(target=lambda: found.append(sweep(place, "x=1,2")))
    thread.start()
    thread.join(60)
    assert found and found[0].state == "SUCCEEDED"
