"""What the client does not show: URLs, namings, refusals, routes."""

import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from cairn.api.kfp.routes import front

API = "/apis/v2beta1"

# Method and path of every call that kfp_server_api 2.17.3 has (its api/*.py).
CALLS = """
GET /auth
GET /filters
POST /experiments/{experiment_id}:archive
POST /experiments
DELETE /experiments/{experiment_id}
GET /experiments/{experiment_id}
GET /experiments
POST /experiments/{experiment_id}:unarchive
GET /healthz
POST /pipelines
POST /pipelines/create
POST /pipelines/{pipeline_id}/versions
DELETE /pipelines/{pipeline_id}
DELETE /pipelines/{pipeline_id}/versions/{pipeline_version_id}
GET /pipelines/{pipeline_id}
GET /pipelines/names/{name}
GET /pipelines/{pipeline_id}/versions/{pipeline_version_id}
GET /pipelines/{pipeline_id}/versions
GET /pipelines
PATCH /pipelines/{pipeline.pipeline_id}
PATCH /pipelines/{pipeline_version.pipeline_id}/versions/{pipeline_version.pipeline_version_id}
POST /pipelines/upload
POST /pipelines/upload_version
POST /recurringruns
DELETE /recurringruns/{recurring_run_id}
POST /recurringruns/{recurring_run_id}:disable
POST /recurringruns/{recurring_run_id}:enable
GET /recurringruns/{recurring_run_id}
GET /recurringruns
POST /scheduledworkflows
POST /workflows
POST /runs/{run_id}:archive
POST /runs
DELETE /runs/{run_id}
GET /runs/{run_id}
GET /runs
POST /runs/{run_id}:retry
POST /runs/{run_id}:terminate
POST /runs/{run_id}:unarchive
POST /visualizations/{namespace}
"""


def refused(answer, status, code, text):
    assert answer.status == status, answer
    body = answer.json
    assert body["error"] == body["message"] and text in body["message"] and body["details"] == []
    assert body["code"] == code


@pytest.fixture(scope="module")
def spec(pipeline_of):
    return pipeline_of("requested", greet="echo hi")


def test_every_call_of_the_client_has_a_route():
    routes = {f"{route.method} {route.template.removeprefix(API)}" for route in front(None).routes}
    assert set(CALLS.strip().splitlines()) - routes == set()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/filters"),
        ("POST", "/workflows"),
        ("POST", "/scheduledworkflows"),
        ("POST", "/visualizations/x"),
        ("POST", "/runs/x:reportMetrics"),
        ("GET", "/runs/x/nodes/y/artifacts/z:read"),
        ("POST", "/artifacts"),
    ],
)
def test_what_is_not_supported_says_so(shared_server, method, path):
    refused(shared_server.request(method, API + path, {}), 501, 12, " ")


@pytest.mark.parametrize("noun", ["experiments", "pipelines", "runs", "recurringruns", "artifacts"])
def test_what_is_not_there_is_not_found(shared_server, noun):
    refused(shared_server.get(f"{API}/{noun}/nothing"), 404, 5, "nothing")


def test_a_path_that_is_nothing_is_worded_alike(shared_server):
    refused(shared_server.get(f"{API}/nothing"), 404, 5, "nothing")


def test_pipelines_are_made_from_urls(shared_server, spec):
    bucket = shared_server.home / "buckets" / "gs" / "packages"
    bucket.mkdir(parents=True)
    (bucket / "one.json").write_text(json.dumps(spec))
    with zipfile.ZipFile(bucket / "two.zip", "w") as archive:
        archive.write(bucket / "one.json", "pipeline.json")
    made = shared_server.post(
        f"{API}/pipelines/create",
        {
            "pipeline": {"display_name": "from a bucket"},
            "pipeline_version": {"package_url": {"pipeline_url": "gs://packages/one.json"}},
        },
    )
    assert made.status == 200, made
    id_ = made.json["pipeline_id"]
    version = shared_server.post(
        f"{API}/pipelines/{id_}/versions",
        {"name": "two", "packageUrl": {"pipelineUrl": "gs://packages/two.zip"}, "code_source_url": "https://code"},
    )
    assert version.status == 200, version
    assert version.json["package_url"] == {"pipeline_url": "gs://packages/two.zip"}
    assert version.json["code_source_url"] == "https://code"
    assert version.json["pipeline_spec"] == spec
    listed = shared_server.get(f"{API}/pipelines/{id_}/versions").json
    assert [one["name"] for one in listed["pipeline_versions"]] == ["two", "from a bucket"]


def test_urls_that_may_not_be_asked_are_refused(shared_server, tmp_path, spec):
    made = shared_server.post(f"{API}/pipelines", {"name": "urls"}).json
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(spec))
    bucket = shared_server.home / "buckets" / "gs" / "linked"
    bucket.mkdir(parents=True)
    os.symlink(secret, bucket / "out.json")
    for url in (
        str(secret),
        f"file://{secret}",
        "gs://linked/out.json",
        "gs://linked/../../x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/x",
        f"{shared_server.url}/healthz",
        "ftp://example.com/x",
    ):
        answer = shared_server.post(
            f"{API}/pipelines/{made['pipeline_id']}/versions",
            {"name": "bad", "package_url": {"pipeline_url": url}},
        )
        assert answer.status == 400 and answer.json["code"] == 3, (url, answer)
    answer = shared_server.post(
        f"{API}/pipelines/{made['pipeline_id']}/versions",
        {"name": "bad", "package_url": {"pipeline_url": "gs://linked/nothing.json"}},
    )
    refused(answer, 404, 5, "gs://linked/nothing.json")


def test_fields_are_known_in_both_namings_and_others_refused(shared_server, spec):
    made = shared_server.post(
        f"{API}/runs", {"displayName": "camel", "pipelineSpec": spec, "runtimeConfig": {"parameters": {}}}
    )
    assert made.status == 200 and made.json["display_name"] == "camel", made
    refused(shared_server.post(f"{API}/runs", {"pipeline_spec": spec, "colour": 1}), 400, 3, "colour")
    refused(shared_server.post(f"{API}/runs", {"pipeline_spec": "x"}), 400, 3, "pipeline_spec")
    refused(shared_server.post(f"{API}/runs", {"display_name": "nothing to run"}), 400, 3, "pipeline_spec")
    refused(shared_server.post(f"{API}/runs", [1]), 400, 3, "object")
    refused(shared_server.post(f"{API}/runs", {"pipeline_spec": spec, "experiment_id": "none"}), 404, 5, "none")


def test_a_spec_with_a_platform_is_told_back_as_it_came(shared_server, spec):
    both = {
        "pipeline_spec": spec,
        "platform_spec": {
            "platforms": {
                "kubernetes": {
                    "deploymentSpec": {"executors": {"exec-greet": {"nodeSelector": {"labels": {"disk": "ssd"}}}}}
                }
            }
        },
    }
    made = shared_server.post(f"{API}/runs", {"display_name": "both", "pipeline_spec": both})
    assert made.status == 200, made
    assert made.json["pipeline_spec"] == both
    warnings = made.json["plugins_output"]["cairn"]["entries"]["warnings"]["value"]
    assert any("node selector" in warning.lower() for warning in warnings), warnings


def test_a_run_and_a_pipeline_job_are_the_same_record(shared_server, spec):
    job = shared_server.post(
        "/v1/projects/both/locations/us-central1/pipelineJobs",
        {"pipelineSpec": spec, "runtimeConfig": {"gcsOutputDirectory": str(shared_server.home / "root")}},
        pipelineJobId="job-of-both",
    )
    assert job.status == 200, job
    [run] = shared_server.get(f"{API}/runs", namespace="both").json["runs"]
    assert run["pipeline_spec"] == spec
    shared_server.ended(job.json["name"])
    assert shared_server.get(f"{API}/runs/{run['run_id']}").json["state"] == "SUCCEEDED"
    assert shared_server.delete(f"{API}/runs/{run['run_id']}").status == 200
    assert shared_server.get(f"/v1/{job.json['name']}").status == 404


def test_a_run_is_looked_for_in_its_own_experiment(shared_server, spec):
    run = shared_server.post(f"{API}/runs", {"display_name": "mine", "pipeline_spec": spec}).json
    other = shared_server.post(f"{API}/experiments", {"display_name": "another"}).json
    found = f"{API}/runs/{run['run_id']}"
    assert shared_server.get(found, experiment_id=run["experiment_id"]).status == 200
    assert shared_server.get(found, experiment_id=other["experiment_id"]).status == 404


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"sort_by": "mood"}, "mood"),
        ({"sort_by": "name down"}, "name down"),
        ({"filter": "{"}, "filter"),
    ],
)
@pytest.mark.parametrize("noun", ["experiments", "pipelines", "runs", "recurringruns"])
def test_lists_refuse_what_they_cannot_do(shared_server, noun, query, text):
    refused(shared_server.get(f"{API}/{noun}", **query), 400, 3, text)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
    ],
)
def test_an_upload_without_a_file_is_refused(shared_server, content_type, body):
    answer = shared_server.request("POST", f"{API}/pipelines/upload", body, headers={"Content-Type": content_type})
    assert answer.status == 400, answer


def test_of_many_at_once_one_makes_it(shared_server):
    def at_once(path, body):
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda _: shared_server.post(f"{API}{path}", body), range(48)))

    experiments = at_once("/experiments", {"display_name": "race"})
    assert {one.status for one in experiments} == {200}
    assert len({one.json["experiment_id"] for one in experiments}) == 1
    pipelines = at_once("/pipelines", {"name": "race"})
    assert sorted(one.status for one in pipelines) == [200] + [409] * 47


def test_a_recurring_run_needs_one_trigger(shared_server, spec):
    for trigger in ({}, {"cron_schedule": {"cron": "0 0 * * * *"}, "periodic_schedule": {"interval_second": 1}}):
        body = {"display_name": "x", "pipeline_spec": spec, "trigger": trigger}
        refused(shared_server.post(f"{API}/recurringruns", body), 400, 3, "trigger")
    body = {
        "display_name": "x",
        "pipeline_spec": spec,
        "trigger": {"periodic_schedule": {"interval_second": "60"}},
        "max_concurrency": "0",
    }
    refused(shared_server.post(f"{API}/recurringruns", body), 400, 3, "max_concurrency")
