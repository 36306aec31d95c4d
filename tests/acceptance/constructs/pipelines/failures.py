"""What follows a failure: exit handlers, PipelineTaskFinalStatus, ignored upstream failures, retries, time-outs."""

from typing import NamedTuple

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTaskFinalStatus


@dsl.component
def work(fail: bool) -> str:
    if fail:
        raise RuntimeError("no such luck")
    return "worked"


@dsl.component
def say(word: str = "nothing") -> str:
    return word


@dsl.component
def report(status: PipelineTaskFinalStatus, note: str) -> str:
    import json

    return json.dumps(
        {
            "state": status.state,
            "resource": status.pipeline_job_resource_name,
            "task": status.pipeline_task_name,
            "code": status.error_code,
            "message": status.error_message,
            "note": note,
        }
    )


class ExitHandlerOutputs(NamedTuple):
    word: str


@dsl.pipeline
def exit_handler(fail: bool = False, note: str = "noted") -> ExitHandlerOutputs:
    closing = report(note=note)
    with dsl.ExitHandler(closing, name="guarded"):
        first = work(fail=fail)
        say(word=first.output)
    return ExitHandlerOutputs(say(word="beside").output)


class IgnoredFailureOutputs(NamedTuple):
    word: str


@dsl.pipeline
def ignored_failure() -> IgnoredFailureOutputs:
    broken = work(fail=True)
    cleanup = say(word=broken.output).ignore_upstream_failure()
    say(word="not reached").after(broken)
    return IgnoredFailureOutputs(say(word="after").after(cleanup).output)


@dsl.component
def flaky(folder: str, failures: int) -> NamedTuple("Outputs", attempts=int, directories=int):
    import os
    import pathlib
    import time

    seen = pathlib.Path(folder)
    seen.mkdir(exist_ok=True, parents=True)
    number = len(list(seen.iterdir())) + 1
    (seen / f"{number}").write_text(f"{time.monotonic()} {os.getcwd()}")
    leftover = pathlib.Path("leftover")
    assert not leftover.exists(), "an attempt sees what another left"
    leftover.write_text("x")
    if number <= failures:
        raise SystemExit(3)
    directories = {path.read_text().split()[1] for path in seen.iterdir()}
    return (number, len(directories))


class RetriedOutputs(NamedTuple):
    attempts: int
    directories: int


@dsl.pipeline
def retried(folder: str, failures: int = 2) -> RetriedOutputs:
    task = flaky(folder=folder, failures=failures)
    task.set_retry(num_retries=2, backoff_duration="1s", backoff_factor=2.0, backoff_max_duration="5s")
    return RetriedOutputs(task.outputs["attempts"], task.outputs["directories"])


@dsl.component
def sleep(seconds: float):
    import time

    time.sleep(seconds)


@dsl.pipeline
def timed_out():
    slow = sleep(seconds=60.0)
    kubernetes.set_timeout(slow, seconds=1)
    say(word="not reached").after(slow)


@dsl.component
def hold(folder: str, name: str, seconds: float, fail: bool) -> str:
    import pathlib
    import time

    time.sleep(seconds)
    if fail:
        raise RuntimeError("first to fail")
    pathlib.Path(folder, name).touch()
    return name


@dsl.pipeline
def failure_policy(folder: str):
    hold(folder=folder, name="broken", seconds=0.0, fail=True)
    first = hold(folder=folder, name="first", seconds=0.5, fail=False)
    hold(folder=folder, name="second", seconds=0.0, fail=False).after(first)
