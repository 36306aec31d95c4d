"""The real clients, unmodified, drive a home; every step of the scripts compares with what steps computed."""

import json
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

PIPELINE_JOBS = {
    "submit, wait, state, task_details", "pipeline_root", "service account, network, labels", "get, list with filters",
    "enable_caching", "clone", "from_pipeline_func", "failure", "failure_policy", "input_artifacts", "cancel", "delete",
}  # fmt: skip
METADATA = {
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
    "schedules.py": {"create", "list, get", "tick, list_jobs", "pause", "resume", "update", "delete"},
    "pipeline_jobs.py": PIPELINE_JOBS,
    "experiments.py": EXPERIMENTS,
    "metadata.py": METADATA,
}
KFP = {
    "healthz", "pipelines, versions", "run, wait", "run of a version, of a function", "list", "terminate", "retry",
    "archive, delete", "recurring runs", "deletes",
}  # fmt: skip
OBJECTS = {
    "buckets", "upload, resumable upload, ranged download", "list", "copy, compose, preconditions, delete", "gcsfs",
    "delete of a bucket",
}  # fmt: skip
AIPLATFORM = ("aiplatform2", "aiplatform1")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("client", AIPLATFORM)
def test_aiplatform_through_the_shim_without_arguments(installation, client_of, client, script):
    installation.prepare(client_of(client))
    found = installation.run_script(client_of(client), script)
    more = {"no pipeline_root"} if script == "pipeline_jobs.py" else set()
    assert set(found) == SCRIPTS[script] | more


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("client", AIPLATFORM)
@pytest.mark.parametrize("mode", ["rest", "grpc"])
def test_aiplatform_told_where_the_server_is(served, client_of, client, script, mode):
    """As in the reference's set-up lines: no shim. gRPC goes over TLS, by the home's own authority."""
    home, url = served
    variables = {
        "CLIENT_MODE": mode,
        "SERVER_URL": url,
        "CAIRN_SHIM": "off",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(home.home / "tls" / "bundle.pem"),
    }
    assert set(home.run_script(client_of(client), script, **variables)) == SCRIPTS[script]


def test_kfp_client(installation, client_of):
    installation.prepare(client_of("kfp"))
    assert set(installation.run_script(client_of("kfp"), "kfp_client.py")) == KFP


def test_storage_clients(installation, client_of):
    assert set(installation.run_script(client_of("storage"), "objects.py")) == OBJECTS


def test_an_ordinary_vertex_script_runs_unedited(installation, client_of):
    installation.prepare(client_of("aiplatform2"))
    example = HERE.parents[2] / "examples" / "vertex" / "train_on_vertex.py"
    done = installation.cairn("exec", "--", client_of("aiplatform2"), str(example))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy" in done.stdout


def test_runs_go_on_after_the_command_has_ended(installation, client_of):
    installation.prepare(client_of("aiplatform2"))
    done = installation.cairn("exec", "--", client_of("aiplatform2"), str(HERE / "scripts" / "leave.py"))
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip().splitlines()[-1]
    for _ in range(200):
        shown = json.loads(installation.cairn("runs", "show", job, "--json").stdout)
        if shown["state"] not in ("PENDING", "RUNNING"):
            break
        time.sleep(0.1)
    assert shown["state"] == "SUCCEEDED"


@pytest.fixture(scope="module")
def elsewhere(guarded, tmp_path_factory):
    """What points a shell of another machine at a server with TLS and logins: options of `cairn exec` and `cairn env`,
    and the variables of that shell."""
    home, url = guarded
    secure = url.replace("http://127.0.0.1", "https://localhost")
    laptop = tmp_path_factory.mktemp("laptop")
    key = laptop / "key.json"
    account = ("tokens", "create", "ann", "--project", "team", "--service-account", str(key), "--url", secure)
    made = home.cairn(*account)
    assert made.returncode == 0, made.stderr
    options = ("--url", secure, "--credentials", str(key), "--authority", str(home.home / "tls" / "ca.pem"))
    return options, {"CAIRN_HOME": str(laptop / "home"), "SERVER_URL": secure, "CLIENT_PROJECT": "team"}


@pytest.mark.parametrize(
    ("client", "mode", "script", "passes"),
    [
        ("aiplatform2", "shim", "pipeline_jobs.py", PIPELINE_JOBS | {"no pipeline_root"}),
        ("aiplatform1", "shim", "experiments.py", EXPERIMENTS),
        ("aiplatform2", "rest", "experiments.py", EXPERIMENTS),
        ("aiplatform1", "grpc", "experiments.py", EXPERIMENTS),
        ("kfp", "shim", "kfp_client.py", KFP),
        ("storage", "shim", "objects.py", OBJECTS),
    ],
)
def test_clients_log_in_to_a_server_elsewhere(guarded, elsewhere, client_of, client, mode, script, passes):
    home, _ = guarded
    options, variables = elsewhere
    assert set(home.run_script(client_of(client), script, *options, CLIENT_MODE=mode, **variables)) == passes


def test_clients_of_the_same_machine_log_in_to_its_server(guarded, client_of):
    home, _ = guarded
    assert set(home.run_script(client_of("aiplatform2"), "experiments.py")) == EXPERIMENTS
    assert set(home.run_script(client_of("storage"), "objects.py")) == OBJECTS


def test_a_key_that_is_revoked_lets_nobody_in(guarded, elsewhere, client_of):
    home, _ = guarded
    options, variables = elsewhere
    key = Path(variables["CAIRN_HOME"]).parent / "revoked.json"
    name = ("tokens", "create", "bob", "--project", "team", "--service-account", str(key), "--url", options[1])
    assert home.cairn(*name).returncode == 0
    assert home.cairn("tokens", "revoke", "bob@team.iam.gserviceaccount.com").returncode == 0
    script = str(HERE / "scripts" / "objects.py")
    given = ("--url", options[1], "--credentials", str(key), *options[4:])
    refused = home.cairn("exec", *given, "--", client_of("storage"), script, **variables)
    assert refused.returncode != 0 and "passed" not in refused.stdout
    assert "RefreshError" in refused.stderr or "401" in refused.stderr, refused.stderr[-2000:]
