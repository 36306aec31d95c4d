"""The real clients, unmodified, drive a home; every step of the scripts compares with what steps computed."""

import json
import time
from pathlib import Path

import pytest

SCRIPTS_FOLDER = Path(__file__).parent / "scripts"
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

PIPELINE_JOBS = {
    "submit, wait, state, task_details", "pipeline_root", "service account, network, labels", "get, list with filters",
    "enable_caching", "clone", "from_pipeline_func", "failure", "failure_policy", "input_artifacts", "cancel", "delete",
}  # fmt: skip
SCHEDULES = {"create", "list, get", "tick, list_jobs", "pause", "resume", "update", "delete"}
METADATA = {"artifacts", "executions, lineage", "contexts", "experiments", "submit(experiment=)", "delete"}
METADATA_STORE = {
    "artifacts are created and read", "artifacts are updated, a stale one is not", "artifacts are listed with filters",
    "executions join artifacts", "lineage is followed", "contexts are families and hold what belongs to them",
    "pages, schemas and stores", "what is deleted is gone, and what was joined to it stays",
}  # fmt: skip
EXPERIMENTS = {
    "the data frame equals what was logged", "runs are read, listed and resumed",
    "a pipeline's parameters and metrics stand in the data frame", "a pipeline is logged to a run",
    "an experiment is deleted, its pipeline runs are not",
}  # fmt: skip
SCRIPTS = {
    "pipeline_jobs.py": PIPELINE_JOBS,
    "schedules.py": SCHEDULES,
    "metadata.py": METADATA,
    "metadata_store.py": METADATA_STORE,
    "experiments.py": EXPERIMENTS,
}
AIPLATFORM = ("aiplatform2", "aiplatform1")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("client", AIPLATFORM)
def test_aiplatform_through_the_shim_without_arguments(installation, client_of, client, script):
    found = installation.run_script(client_of(client), script)
    more = {"no pipeline_root"} if script == "pipeline_jobs.py" else set()
    assert set(found) == SCRIPTS[script] | more


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("client", AIPLATFORM)
@pytest.mark.parametrize("mode", ["rest", "grpc"])
def test_aiplatform_told_where_the_server_is(new_installation, client_of, client, script, mode):
    """As in the reference's set-up lines: no shim. gRPC goes over TLS, by the home's own authority."""
    url = new_installation.serve("--tls", "local")
    done = new_installation.cairn(
        "exec", "--", "sh", "-c", "cat $GOOGLE_APPLICATION_CREDENTIALS; echo; echo $CAIRN_URL"
    )
    assert done.returncode == 0, done.stderr
    variables = {
        "CLIENT_MODE": mode,
        "SERVER_URL": url,
        "CAIRN_SHIM": "off",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(new_installation.home / "tls" / "bundle.pem"),
    }
    assert set(new_installation.run_script(client_of(client), script, **variables)) == SCRIPTS[script]


def test_kfp_client(installation, client_of):
    found = installation.run_script(client_of("kfp"), "kfp_client.py")
    assert found[0] == "healthz" and "recurring runs" in found and found[-1] == "deletes"


def test_storage_clients(installation, client_of):
    found = installation.run_script(client_of("storage"), "objects.py")
    assert "gcsfs" in found and found[-1] == "delete of a bucket"


def test_an_ordinary_vertex_script_runs_unedited(installation, client_of):
    example = Path(__file__).parents[3] / "examples" / "vertex" / "train_on_vertex.py"
    done = installation.cairn("exec", "--", client_of("aiplatform2"), str(example))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy" in done.stdout


def test_runs_go_on_after_the_command_has_ended(installation, client_of):
    done = installation.cairn("exec", "--", client_of("aiplatform2"), str(SCRIPTS_FOLDER / "leave.py"))
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip().splitlines()[-1]
    for _ in range(200):
        shown = json.loads(installation.cairn("runs", "show", job, "--json").stdout)
        if shown["state"] not in ("PENDING", "RUNNING"):
            break
        time.sleep(0.1)
    assert shown["state"] == "SUCCEEDED"
