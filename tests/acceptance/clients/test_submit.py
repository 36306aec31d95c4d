"""`cairn submit` through the unmodified clients, to servers that are real: what arrives is what was composed."""

import http.server
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """\
numbers: [4, 5]
factor: 2
cairn:
  name: composed
  labels: {team: vision}
  pipeline_root: gs://submitted/root
  caching: false
  failure_policy: fast
  experiment: trials
  steps:
    total: {cpu: 1, memory: 1Gi}
  target:
    service_account: runner@demo.iam.gserviceaccount.com
    network: projects/1/global/networks/n
    reserved_ip_ranges: [range-one]
    encryption_key: projects/p/locations/us-central1/keyRings/r/cryptoKeys/k
    staging_bucket: gs://submitted
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, client_of):
    """A composed configuration, and pipelines compiled by kfp."""
    folder = tmp_path_factory.mktemp("submit")
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text(CONFIG)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from kfp import compiler\nimport pipelines\n"
        "for name in ('arithmetic', 'failing', 'sleeping'):\n"
        "    compiler.Compiler().compile(getattr(pipelines, name), f'{sys.argv[2]}/{name}.yaml')\n"
    )
    subprocess.run(
        [client_of("kfp"), "-c", program, str(HERE / "scripts"), str(folder)], check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def laptop(served, tmp_path_factory, client_of):
    """`laptop("arithmetic.yaml", …, client="kfp")`: `cairn submit` on a machine whose home is not the server's."""
    home, _ = served
    own = tmp_path_factory.mktemp("laptop") / "home"

    def submit(*arguments, client="aiplatform2", **variables):
        prefix = str(Path(client_of(client)).parents[1]) if client else ""
        return home.cairn("submit", *arguments, CAIRN_HOME=str(own), VIRTUAL_ENV=prefix, **variables)

    return submit


def told(done, status=0):
    assert done.returncode == status, f"exit {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def recorded(home, run):
    return json.loads(home.cairn("runs", "show", run, "--json").stdout)


def count(url):
    with urllib.request.urlopen(f"{url}/apis/v2beta1/runs?page_size=1") as answer:
        return int(json.load(answer)["total_size"])


def job_at(url, name):
    with urllib.request.urlopen(f"{url}/v1/{name}") as answer:
        return json.load(answer)


def test_what_is_taken_from_the_cache_there_is_told_as_such(served, laptop, files):
    _, url = served
    options = ("--config-dir", str(files / "conf"), "factor=11", "++cairn.caching=true", "--follow", "--json")
    first, second = [told(laptop(str(files / "arithmetic.yaml"), "--to", url, *options)) for _ in range(2)]
    assert {task["state"] for task in first["tasks"]} == {"SUCCEEDED"}
    assert {task["state"] for task in second["tasks"]} == {"CACHED"}


def test_another_cairn_records_what_was_composed(served, laptop, files):
    home, url = served
    options = ("--config-dir", str(files / "conf"), "factor=3", "--label", "by=flag", "--follow", "--json")
    sent = told(laptop(str(files / "arithmetic.yaml"), "--to", url, *options))
    assert sent["state"] == "SUCCEEDED" and sent["error"] is None
    assert {task["path"]: task["state"] for task in sent["tasks"]} == dict.fromkeys(
        ("total", "describe", "measure"), "SUCCEEDED"
    )
    run = recorded(home, sent["run_id"])
    assert run["parameters"] == {"numbers": [4, 5], "factor": 3} and run["outputs"] == {"Output": len("value=27")}
    composed = run["configuration"]
    assert composed["overrides"] == ["factor=3"] and "factor: 3" in composed["text"] and composed["directory"] == ""
    assert run["labels"] == {"team": "vision", "by": "flag", "cairn-configuration": composed["digest"]}
    job = job_at(url, sent["name"])
    assert job["displayName"] == "composed"
    assert job["serviceAccount"] == "runner@demo.iam.gserviceaccount.com"
    assert job["network"] == "projects/1/global/networks/n" and job["reservedIpRanges"] == ["range-one"]
    assert job["encryptionSpec"]["kmsKeyName"].endswith("/k")
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://submitted/root"
    assert job["runtimeConfig"]["failurePolicy"] == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"].values()
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks)
    [total] = [
        each["container"]
        for name, each in job["pipelineSpec"]["deploymentSpec"]["executors"].items()
        if "total" in name
    ]
    assert total["resources"]["resourceCpuRequest"] == "1" and total["resources"]["resourceMemoryRequest"] == "1Gi"
    with urllib.request.urlopen(
        f"{url}/v1/projects/default/locations/us-central1/metadataStores/default/contexts/trials"
    ) as answer:
        assert json.load(answer)["schemaTitle"] == "system.Experiment"


def test_vertex_by_the_client_of_the_older_line(served, client_of, files):
    """Google is not to be had: `cairn exec` points the same client, and nothing else of the command, at a server."""
    home, url = served
    arguments = ("--config-dir", str(files / "conf"), "factor=5", "--wait", "--json", "--name", "chosen-id")
    command = (sys.executable, "-m", "cairn", "submit", str(files / "arithmetic.yaml"), "--to", "vertex", *arguments)
    prefix = str(Path(client_of("aiplatform1")).parents[1])

    def submit():
        return home.cairn("exec", "--", *command, VIRTUAL_ENV=prefix)

    sent = told(submit())
    assert sent["run_id"] == "chosen-id" and sent["state"] == "SUCCEEDED"
    assert sent["url"].startswith("https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/")
    run = recorded(home, "chosen-id")
    assert run["parameters"]["factor"] == 5 and run["labels"]["team"] == "vision"
    assert "configuration" not in run or run["configuration"] is None  # Google has no place for it but the label
    assert len(run["labels"]["cairn-configuration"]) == 32
    assert job_at(url, sent["name"])["serviceAccount"] == "runner@demo.iam.gserviceaccount.com"
    before = count(url)
    again = submit()
    assert again.returncode == 2 and "there is one with this name already" in again.stderr, again.stderr
    assert "Traceback" not in again.stderr and count(url) == before


def test_kubeflow_is_given_a_run_with_its_description(served, laptop, files):
    home, url = served
    target = ("--to", "kfp", "--host", url)
    options = ("--config-dir", str(files / "conf"), "factor=7", "~cairn.target.encryption_key", "--follow", "--json")
    sent = told(laptop(str(files / "arithmetic.yaml"), *target, *options, client="kfp"))
    assert sent["state"] == "SUCCEEDED" and {task["path"] for task in sent["tasks"]} >= {"total", "measure"}
    assert any(warning.startswith("labels:") for warning in sent["warnings"])
    with urllib.request.urlopen(f"{url}/apis/v2beta1/runs/{sent['run_id']}") as answer:
        run = json.load(answer)
    assert run["display_name"] == "composed" and "factor=7" in run["description"]
    assert run["service_account"] == "runner@demo.iam.gserviceaccount.com"
    assert run["runtime_config"] == {
        "parameters": {"numbers": [4, 5], "factor": 7},
        "pipeline_root": "gs://submitted/root",
    }
    assert recorded(home, sent["run_id"])["parameters"]["factor"] == 7
    tasks = run["pipeline_spec"]["root"]["dag"]["tasks"].values()
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks)
    with urllib.request.urlopen(f"{url}/apis/v2beta1/experiments/{run['experiment_id']}") as answer:
        assert json.load(answer)["display_name"] == "trials"


def test_a_failure_is_the_exit_status_and_the_client_is_built_where_there_is_none(served, laptop, files):
    _, url = served
    nothing = {"client": "", "PATH": "/none", "CAIRN_ENVIRONMENTS_COMPILE_BYTECODE": "false"}
    done = laptop(str(files / "failing.yaml"), "--to", "kfp", "--host", url, "--wait", "--json", **nothing)
    sent = told(done, 1)
    assert sent["state"] == "FAILED" and "fail" in sent["error"]["message"]


def test_an_interrupt_ends_the_waiting_and_not_the_run(served, client_of, files, tmp_path):
    home, url = served
    waiting = subprocess.Popen(
        [sys.executable, "-m", "cairn", "submit", str(files / "sleeping.yaml"), "--to", "kfp", "--host", url, "--wait"],
        env={
            **home.variables, "CAIRN_HOME": str(tmp_path / "home"),
            "VIRTUAL_ENV": str(Path(client_of("kfp")).parents[1]),
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = waiting.stdout.readline().strip()
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=30)
    assert waiting.returncode == 130, said
    assert "the run goes on" in said and f'terminate_run("{run}")' in said
    assert recorded(home, run)["state"] in ("PENDING", "RUNNING")
    assert home.cairn("runs", "cancel", run).returncode == 0


def test_a_run_that_is_cancelled_there_ends_the_waiting(served, client_of, files, tmp_path):
    home, url = served
    waiting = subprocess.Popen(
        [sys.executable, "-m", "cairn", "submit", str(files / "sleeping.yaml"), "--to", "kfp", "--host", url, "--wait"],
        env={
            **home.variables, "CAIRN_HOME": str(tmp_path / "home"),
            "VIRTUAL_ENV": str(Path(client_of("kfp")).parents[1]),
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = waiting.stdout.readline().strip()
    assert home.cairn("runs", "cancel", run).returncode == 0
    _, said = waiting.communicate(timeout=30)
    assert waiting.returncode == 130 and "cancelled" in said, said


@pytest.mark.parametrize("to", ["cairn", "kfp"])
def test_a_schedule_is_made_of_the_configuration(served, laptop, files, to):
    home, url = served
    zone = ", time_zone: Europe/Berlin, max_runs: 3" if to == "cairn" else ""
    between = "start: '2030-01-01T00:00:00Z', end: '2035-01-01T00:00:00Z'"
    schedule = f"+cairn.schedule={{cron: '30 3 1 1 *', name: yearly, paused: true, max_concurrent: 2, {between}{zone}}}"
    config = ("--config-dir", str(files / "conf"), "factor=11", "~cairn.experiment", "~cairn.target", schedule)
    target, client = (("--to", url), "aiplatform2") if to == "cairn" else (("--to", "kfp", "--host", url), "kfp")
    sent = told(laptop(str(files / "arithmetic.yaml"), *target, *config, "--json", client=client))
    assert sent["run_id"] is None and sent["state"] == "PAUSED"
    shown = json.loads(home.cairn("schedules", "show", sent["schedule_id"], "--json").stdout)
    assert shown["state"] == "PAUSED" and shown["display_name"] == "yearly", shown
    if to == "cairn":
        found = job_at(url, sent["name"])
        assert found["cron"] == "TZ=Europe/Berlin 30 3 1 1 *" and found["maxConcurrentRunCount"] == "2"
        assert found["startTime"].startswith("2030-01-01T00:00:00") and found["endTime"].startswith("2035-01-01")
        assert found["maxRunCount"] == "3"
        job = found["createPipelineJobRequest"]["pipelineJob"]
        assert job["runtimeConfig"]["parameterValues"]["factor"] == 11 and job["labels"]["team"] == "vision"
    else:
        with urllib.request.urlopen(f"{url}/apis/v2beta1/recurringruns/{sent['schedule_id']}") as answer:
            found = json.load(answer)
        cron = found["trigger"]["cron_schedule"]
        assert cron["cron"] == "0 30 3 1 1 *" and found["max_concurrency"] == "2"
        assert cron["start_time"].startswith("2030-01-01") and cron["end_time"].startswith("2035-01-01")
        assert found["runtime_config"]["parameters"]["factor"] == 11 and found["status"] == "DISABLED"
    assert home.cairn("schedules", "delete", sent["schedule_id"], "--yes").returncode == 0


def test_what_is_refused_is_refused_before_anything_is_sent(served, laptop, files):
    _, url = served
    before = count(url)
    config = ("--config-dir", str(files / "conf"))
    bad = laptop(
        str(files / "arithmetic.yaml"), "--to", url, *config, "cairn.pipeline_root=/tmp/x", "cairn.caching={ttl: 1h}",
        "cairn.labels.team=Vision",
    )  # fmt: skip
    assert bad.returncode == 2 and bad.stdout == "", bad.stdout + bad.stderr
    for word in ("3 things", "pipeline root", "cache TTL", "label team", "nothing was sent"):
        assert word in bad.stderr, bad.stderr
    swept = laptop(str(files / "arithmetic.yaml"), "--to", url, *config, "-m", "factor=1,2")
    assert swept.returncode == 2 and "cairn run --multirun" in swept.stderr
    rehearsed = laptop(str(files / "arithmetic.yaml"), "--to", url, *config, "--dry-run", "--json", client="")
    request = told(rehearsed)["request"]
    assert request["parameters"] == {"numbers": [4, 5], "factor": 2} and request["root"] == "gs://submitted/root"
    assert count(url) == before


def test_what_another_cairn_refuses_is_told_in_its_own_words(served, laptop, files):
    _, url = served
    before = count(url)
    text = (files / "arithmetic.yaml").read_text()
    own = files / "own_image.yaml"
    own.write_text(
        re.sub(r"(?s)(exec-measure:.*?)args:.*?command:.*?image: \S+", r"\1command: [go]\n        image: trainer", text)
    )
    done = laptop(str(own), "--to", "kfp", "--host", url, client="kfp")
    assert done.returncode == 2 and "runs in the container image 'trainer'" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert count(url) == before


def test_errors_of_the_client_are_one_sentence(guarded, laptop, files):
    secure = guarded[1].replace("http://127.0.0.1", "https://localhost")
    authority = ("--authority", str(guarded[0].home / "tls" / "ca.pem"))
    pipeline = str(files / "arithmetic.yaml")
    nobody = laptop(pipeline, "--to", "kfp", "--host", "http://127.0.0.1:9", client="kfp")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "nobody answers at http://127.0.0.1:9" in nobody.stderr and "Traceback" not in nobody.stderr
    login = laptop(pipeline, "--to", "kfp", "--host", secure, *authority, client="kfp")
    assert login.returncode == 2 and "who asks is not known" in login.stderr, login.stderr
    untrusted = laptop(pipeline, "--to", secure)
    assert untrusted.returncode == 2 and "give --authority" in untrusted.stderr, untrusted.stderr
    for done in (login, untrusted):
        assert "Traceback" not in done.stderr
    unknown = laptop(
        pipeline, "--to", "vertex", "--project", "p", "--region", "us-central1", "--root", "gs://b",
        HOME=str(files), CLOUDSDK_CONFIG=str(files), NO_GCE_CHECK="true",
    )  # fmt: skip
    assert unknown.returncode == 2 and "gcloud auth application-default login" in unknown.stderr, unknown.stderr
    assert "Traceback" not in unknown.stderr
    traced = laptop(pipeline, "--to", "kfp", "--host", secure, *authority, "--traceback", client="kfp")
    assert "Traceback" in traced.stderr


def test_a_server_with_logins_and_tls_takes_a_key_and_a_token(guarded, laptop, files, tmp_path):
    home, url = guarded
    secure = url.replace("http://127.0.0.1", "https://localhost")
    authority = ("--authority", str(home.home / "tls" / "ca.pem"))
    key, token = tmp_path / "key.json", tmp_path / "token"
    made = home.cairn("tokens", "create", "eve", "--project", "team", "--service-account", str(key), "--url", secure)
    assert made.returncode == 0, made.stderr
    token.write_text(home.cairn("tokens", "create", "kim").stdout)
    pipeline = str(files / "arithmetic.yaml")
    sent = told(
        laptop(pipeline, "--to", secure, "--project", "team", "--credentials", str(key), *authority, "--wait", "--json")
    )
    assert sent["name"].startswith("projects/team/") and sent["state"] == "SUCCEEDED"
    options = ("--host", secure, "--credentials", str(token), *authority, "--wait", "--json")
    assert told(laptop(pipeline, "--to", "kfp", *options, client="kfp"))["state"] == "SUCCEEDED"
    refused = laptop(pipeline, "--to", secure, "--project", "other", "--credentials", str(key), *authority)
    assert refused.returncode == 2 and refused.stdout == "" and "Traceback" not in refused.stderr, refused.stderr


def test_a_file_of_credentials_that_is_none_is_named(laptop, files):
    (files / "none.json").write_text(
        json.dumps({"type": "service_account", "private_key": "SECRET", "client_email": "a"})
    )
    to = ("--to", "vertex", "--project", "p", "--region", "us-central1", "--root", "gs://b/r")
    done = laptop(str(files / "arithmetic.yaml"), *to, "--credentials", str(files / "none.json"), "--traceback")
    assert done.returncode == 2 and "these credentials cannot be used" in done.stderr and "none.json" in done.stderr
    assert "SECRET" not in done.stderr + done.stdout


@pytest.mark.parametrize("target", ["cairn", "kfp"])
def test_a_page_in_the_place_of_the_server_is_told_in_a_sentence(target, laptop, files, page):
    client, to = ("kfp", ("--to", "kfp", "--host", page)) if target == "kfp" else ("aiplatform2", ("--to", page))
    done = laptop(str(files / "arithmetic.yaml"), *to, client=client)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "defect" not in done.stderr, done.stderr
    assert "what answers" in done.stderr and "is no API of" in done.stderr


@pytest.fixture
def page():
    """The address of a web server that answers everything with a page to log in."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>who are you?</html>")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
