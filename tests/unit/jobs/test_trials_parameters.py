"""Where the parameters of a trial would not reach the program, it is said."""

import pytest

from cairn.jobs.tuning_jobs import unheard_parameters


def job(container):
    return {"workerPoolSpecs": [{"containerSpec": {"imageUri": "acme/trainer:1", **container}}]}


@pytest.mark.parametrize("shell", ["sh", "/bin/bash"])
def test_a_script_without_its_arguments_is_warned_about(shell):
    (said,) = unheard_parameters(job({"command": [shell, "-c", "pip3 install -q --user x && python3 -m task"]}))
    assert said.startswith("trialJobSpec.workerPoolSpecs[0]: the trials' parameters")
    assert unheard_parameters({"worker_pool_specs": [{}, {"container_spec": {"command": [shell, "-c", "x"]}}]})


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["sh", "-c", 'python3 -m task "$@"', "task"]},
        {"command": ["sh", "-c", "python3 -m task $0"]},
        {"command": ["python3", "-c", "import task"]},
        {"command": ["sh", "-c", "exec task"], "args": ["--", "x"]},
        {"args": ["--epochs", "3"]},
        {},
    ],
)
def test_others_are_not(container):
    assert unheard_parameters(job(container)) == []


@pytest.mark.parametrize(
    "spec", [{}, {"workerPoolSpecs": None}, {"workerPoolSpecs": [None, "x", {"containerSpec": 1}]}]
)
def test_what_is_no_job_is_told_by_whoever_reads_it(spec):
    assert unheard_parameters(spec) == []
