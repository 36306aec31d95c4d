"""Training and tuning jobs through the real clients, unmodified: what they are told, and what the jobs have written."""

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

CONFIGURATION = """\
[images]
"python:*" = "host"
"us-docker.pkg.dev/vertex-ai/*" = "host"
"""
JOBS = {
    "CustomJob of a container", "CustomJob of several replicas", "CustomJob with a TensorBoard",
    "failure, time-out", "submit, list, cancel, delete",
    "CustomJob.from_local_script", "CustomTrainingJob", "CustomContainerTrainingJob", "CustomPythonPackageTrainingJob",
    "training jobs: failure, get, list, cancel, delete, upload",
}  # fmt: skip
TUNING = {"run, trials, get", "grid search, run in the background", "failing trials", "cancel, list, delete"}
EXPERIMENTS = {"a run of the experiment is made for the job", "a run that there is"}
COMPONENTS = {
    "a component's outputs come from its job",
    "the jobs are resources of their own",
    "an endpoint of its own",
}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory, installation_at):
    """A home whose images stand for this machine, with a server; `run(python, script, mode)`."""
    home = tmp_path_factory.mktemp("jobs") / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    made = installation_at(home)
    url = made.serve("--tls", "local")

    def run(python, script, mode="shim"):
        if mode == "shim":
            return set(made.run_script(python, script))
        authority = str(home / "tls" / "bundle.pem")
        told = {"CLIENT_MODE": mode, "SERVER_URL": url, "CAIRN_SHIM": "off"}
        return set(made.run_script(python, script, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=authority, **told))

    yield run
    made.close()


@pytest.mark.parametrize(
    ("client", "mode", "script", "passes"),
    [
        ("aiplatform2", "rest", "jobs.py", JOBS),
        ("aiplatform1", "grpc", "jobs.py", JOBS),
        ("aiplatform2", "shim", "tuning_jobs.py", TUNING),
        ("aiplatform1", "rest", "tuning_jobs.py", TUNING),
        ("aiplatform2", "shim", "job_experiments.py", EXPERIMENTS),
        ("components", "shim", "job_components.py", COMPONENTS),
    ],
)
def test_jobs_of_unmodified_clients(trainer, client_of, client, mode, script, passes):
    assert trainer(client_of(client), script, mode) == passes
