"""What a Hydra application's jobs are under `hydra/launcher=cairn`: recorded, cached, resumed, told apart."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cairn.sdk import open_run
from cairn.wiring import open_cairn


def runs():
    with open_cairn() as opened:
        return [open_run(run.uid) for run in opened.records.list_runs()]


def test_a_launch_is_one_run_with_the_jobs_metrics_logs_and_files(application):
    done = application.start("lr=0.5,0.25")
    assert done.returncode == 0, done.stderr
    assert "[#0] training with 0.5\n" in done.stdout
    assert "[#1] training with 0.25\n" in done.stdout
    (run,) = runs()
    assert run.state == "SUCCEEDED"
    assert run.pipeline_name == "hydra-train"
    tasks = {task.path: task for task in run.tasks if task.path.endswith("/job")}
    assert list(tasks) == ["jobs[0]/job", "jobs[1]/job"]
    assert [task.artifacts["metrics"].metadata for task in tasks.values()] == [{"loss": 1.0}, {"loss": 0.5}]
    assert run.logs("jobs[1]/job") == "training with 0.25\n"
    (sweep,) = application.sweeps()
    for number, rate in enumerate(("0.5", "0.25")):
        assert (sweep / str(number) / "model.txt").read_text() == rate
        kept = Path(tasks[f"jobs[{number}]/job"].artifacts["output"].path)
        assert (kept / "model.txt").read_text() == rate
        assert (kept / ".hydra" / "config.yaml").exists()
    with open_cairn() as opened:
        recorded = opened.records.run(run.uid)
    assert recorded.labels["hydra-sweep"] == str(sweep.relative_to(application.directory))
    assert recorded.configuration.overrides == ("lr=0.5,0.25",)


def test_what_was_computed_is_taken_and_its_files_are_there(application):
    application.start("lr=0.5,0.25")
    assert sorted(application.executed()) == ["0.25", "0.5"]
    done = application.start("lr=0.125,0.25")
    assert done.returncode == 0, done.stderr
    assert application.executed() == ["0.125"]
    assert "#1 : cached" in done.stdout
    restored = application.sweeps()[-1] / "1"
    model = restored / "model.txt"
    assert model.read_text() == "0.25"
    model.write_text("the user's own to change")
    written = yaml.safe_load((restored / ".hydra" / "hydra.yaml").read_text())["hydra"]
    assert written["runtime"]["output_dir"] == str(restored)
    assert written["job"]["num"] == 1
    assert yaml.safe_load((restored / ".hydra" / "overrides.yaml").read_text()) == ["lr=0.25"]
    again = application.start("lr=0.25")
    assert application.executed() == [], again.stdout
    assert (application.sweeps()[-1] / "0" / "model.txt").read_text() == "0.25"


def test_code_that_changed_is_run_again_and_other_files_can_be_left_out(application):
    application.start("lr=0.5")
    application.executed()
    (application.directory / "layers.py").write_text("WIDTH = 3\n")
    application.start("lr=0.5")
    assert application.executed() == ["0.5"]
    code = "hydra.launcher.code=['*.py','!layers.py']"
    application.start("lr=0.5", code)
    application.executed()
    (application.directory / "layers.py").write_text("WIDTH = 4\n")
    application.start("lr=0.5", code)
    assert application.executed() == []


def test_without_a_cache_every_job_runs(application):
    for _ in range(2):
        application.start("lr=0.5", "hydra.launcher.cache=false")
        assert application.executed() == ["0.5"]


def test_one_failed_job_leaves_the_others_and_is_the_only_one_repeated(application):
    arguments = ("lr=0.5,0.25,0.125", "failing=0.25")
    failed = application.start(*arguments)
    assert failed.returncode == 1
    assert "ValueError: 0.25 does not converge" in failed.stderr
    assert 'raise ValueError(f"{config.lr} does not converge")' in failed.stderr
    assert sorted(application.executed()) == ["0.125", "0.25", "0.5"]
    assert [task.state for task in runs()[0].tasks if task.path.endswith("/job")] == [
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]
    application.start(*arguments)
    assert application.executed() == ["0.25"]


def test_killed_half_way_the_same_command_repeats_no_finished_job(application):
    arguments = ("lr=range(10)", "seconds=0.2", "hydra.launcher.parallel=2")
    process = subprocess.Popen(
        application.command(*arguments), cwd=application.directory, env=application.variables,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    ended = 0
    for line in process.stdout:
        ended += ": done in" in line
        if ended == 4:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    again = application.start(*arguments)
    assert again.returncode == 0, again.stderr
    assert "Cairn goes on with 10 jobs" in again.stdout
    assert sorted(application.executed()) == sorted(f"{float(number)}" for number in range(10))
    (run,) = runs()
    assert run.state == "SUCCEEDED"
    sweep = application.sweeps()[-1]
    assert [(sweep / str(number) / "model.txt").read_text() for number in range(10)] == [
        f"{float(number)}" for number in range(10)
    ]
    # And once more, now that it has ended: everything is taken.
    application.start(*arguments)
    assert application.executed() == []


def test_ctrl_c_cancels_the_run(application):
    process = subprocess.Popen(
        application.command("lr=0.5,0.25", "seconds=60"), cwd=application.directory, env=application.variables,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "training" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    (run,) = runs()
    assert run.state == "CANCELLED"


def test_a_function_that_cannot_be_pickled_is_refused_before_anything_is_recorded(make_application, cairn_home):
    application = make_application(
        "import threading\nimport hydra\nlock = threading.Lock()\n"
        "@hydra.main(version_base=None)\ndef train(config):\n    with lock:\n        return 1\n"
        "if __name__ == '__main__':\n    train()\n"
    )
    done = application.start()
    assert done.returncode == 1
    assert done.stderr.startswith("cairn: the task function: cannot be pickled: TypeError: ")
    assert "Traceback" not in done.stderr
    assert runs() == []
    assert not list(cairn_home.glob("runs/*"))


def test_a_value_that_cannot_be_pickled_is_that_jobs_failure(make_application):
    application = make_application(
        "import hydra\n@hydra.main(version_base=None)\ndef train(config):\n    return (each for each in range(3))\n"
        "if __name__ == '__main__':\n    train()\n"
    )
    done = application.start()
    assert done.returncode == 1
    assert "TypeError: what the job returned cannot be pickled" in done.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hydra.launcher.cpus=100000", "asks for 100000 cores of CPU"),
        ("hydra.launcher.memory=plenty", "hydra.launcher.memory: 'plenty' is no amount of memory"),
        ("hydra.launcher.home=/proc/nowhere", "/proc/nowhere: cannot be created"),
        ("hydra.launcher.code=[missing.py]", "'missing.py' fits no file there"),
    ],
)
def test_what_cannot_be_is_refused_in_words(application, override, said):
    done = application.start(override)
    assert done.returncode == 1
    assert said in done.stderr
    assert "\n  → " in done.stderr
    assert "Traceback" not in done.stderr
    assert application.executed() == []


def test_an_interpreter_that_vanishes_fails_the_jobs_that_it_is_missing_for(make_application, tmp_path):
    """A stand-in for this interpreter that removes itself when a job uses it."""
    application = make_application()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$1" in *job_step*) rm "$0";; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    text = (application.directory / "train.py").read_text()
    application.write(
        text.replace("    train()\n", f"    import sys\n    sys.executable = {str(python)!r}\n    train()\n")
    )
    done = application.start("lr=0.5,0.25", "hydra.launcher.parallel=1")
    assert done.returncode == 1
    assert application.executed() == ["0.5"]
    assert "#0 : done in" in done.stdout
    assert f"{python}" in done.stderr
    assert "job #1: " in done.stderr


def test_a_run_goes_on_without_the_application_unless_the_packages_changed(application, cairn_home, monkeypatch):
    monkeypatch.setenv("COUNT", str(application.count))
    process = subprocess.Popen(
        application.command("lr=0.5,0.25,0.125", "seconds=0.2", "hydra.launcher.parallel=1"),
        cwd=application.directory, env=application.variables, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "done in" not in process.stdout.readline():
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    (run,) = runs()
    (about,) = cairn_home.glob("runs/*/.launch/about.json")
    whole = json.loads(about.read_bytes())
    about.write_text(json.dumps({**whole, "versions": {**whole["versions"], "omegaconf": "1.0"}}))
    run.resume(raise_on_failure=False)
    assert run.state == "FAILED"
    assert "the job was pickled with" in run.logs("jobs[2]/job")
    about.write_text(json.dumps(whole))
    application.executed()
    run.resume()
    assert application.executed()[-1] == "0.125"
    assert run.state == "SUCCEEDED"


def test_programs_that_do_not_ask_for_it_import_nothing_of_cairn():
    program = (
        "import sys\nfrom hydra.core.plugins import Plugins\n"
        "times = Plugins.instance().get_stats().modules_import_time\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('cairn', 'msgspec', 'cloudpickle')])\n"
        "print(sum(seconds for name, seconds in times.items() if name.startswith('hydra_plugins.cairn_launcher')))\n"
    )
    best = 1.0
    for _ in range(3):  # a busy machine
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        imported, seconds = done.stdout.splitlines()
        assert imported == "[]"
        best = min(best, float(seconds))
    assert best < 0.02


def test_processes_that_a_job_starts_find_what_the_script_defines(make_application):
    application = make_application(
        "import multiprocessing\nfrom pathlib import Path\nimport hydra\n\n"
        "def squared(number):\n    return number * number\n\n"
        "def metrics(values):\n    return sum(values)\n\n"  # as a function of ours is called
        "@hydra.main(version_base=None)\ndef train(config):\n"
        "    with multiprocessing.get_context(config.how).Pool(2) as pool:\n"
        "        return metrics(pool.map(squared, range(4)))\n\n"
        "if __name__ == '__main__':\n    train()\n"
    )
    done = application.start("+how=fork,spawn")
    assert done.returncode == 0, done.stderr
    (run,) = runs()
    found = [task.artifacts["metrics"].metadata for task in run.tasks if task.path.endswith("/job")]
    assert found == [{"return_value": 14}] * 2
    (application.directory / "parts").mkdir()
    (application.directory / "train.py").rename(application.directory / "parts" / "train.py")
    command = [sys.executable, "-m", "parts.train", *application.command("+how=spawn")[2:]]
    done = subprocess.run(command, cwd=application.directory, env=application.variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_programs_of_one_directory_with_one_name_are_told_apart(make_application, tmp_path):
    text = (
        "import hydra\n\n@hydra.main(version_base=None)\ndef main(config):\n    return {number}\n\n"
        "if __name__ == '__main__':\n    print(main())\n"
    )
    application = make_application(text.format(number=1))
    (application.directory / "evaluate.py").write_text(text.format(number=2))
    for program, directory in (
        ("train.py", application.directory),
        ("evaluate.py", application.directory),
        ("train.py", tmp_path),
        ("train.py", tmp_path),
    ):
        command = [sys.executable, str(application.directory / program), "-m", "hydra/launcher=cairn"]
        done = subprocess.run(
            [*command, "hydra.job.name=same", f"hydra.sweep.dir={tmp_path}/sweeps"],
            cwd=directory, env=application.variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    tasks = [task for run in runs() for task in run.tasks if task.path.endswith("/job")]
    # Another working directory may be other data; the last is the one before it once more.
    assert [task.cached for task in tasks] == [True, False, False, False]
    assert [task.artifacts["metrics"].metadata["return_value"] for task in tasks] == [1, 1, 2, 1]
