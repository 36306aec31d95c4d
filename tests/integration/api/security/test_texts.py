"""Texts that no database could look up again are refused with their place, whichever database it is."""

import pytest

LONG, NUL = "字" * 1000, "a\0b"
HERE = "/v1/projects/texts/locations/local"


def requests(pipeline):
    def job(**fields):
        return f"{HERE}/pipelineJobs", {"pipelineSpec": pipeline, **fields}

    def own(**fields):
        return "/cairn/v1/runs", {"pipeline": pipeline, "project": "texts", **fields}

    for text in (LONG, NUL):
        yield "displayName", *job(displayName=text)
        for name in ("display_name", "job_id", "request_id", "project", "location"):
            yield name, *own(**{name: text})
        yield "labels", *own(labels={text: "x"})
        yield "labels", *own(labels={"x": text})
        yield "display_name", "/apis/v2beta1/runs", {"display_name": text, "pipeline_spec": pipeline}
        yield "tags", "/apis/v2beta1/pipelines", {"name": "t", "tags": {text: text}}
        trigger = {"trigger": {"cron_schedule": {"cron": "0 0 0 1 1 *"}}, "max_concurrency": "1"}
        recurring = {"display_name": text, "pipeline_spec": pipeline, "mode": "DISABLE", **trigger}
        yield "display_name", "/apis/v2beta1/recurringruns", recurring
        yield "project", "/apis/v2beta1/experiments", {"display_name": "e", "namespace": text}
        for name in ("schemaTitle", "displayName", "schemaVersion"):
            for noun in ("artifacts", "executions", "contexts"):
                yield name, f"{HERE}/metadataStores/default/{noun}", {name: text}
        yield "templateUri", *job(pipelineSpec={}, templateUri=f"gs://bucket/{text}")
    yield "project", f"/v1/projects/{'p' * 201}/locations/local/metadataStores/default/contexts", {}
    yield "job_id", *own(job_id="a/b")


def test_what_could_not_be_looked_up_is_refused_with_its_place(shared_server, pipeline_of):
    for place, path, body in requests(pipeline_of("texts", greet="echo hi")):
        answer = shared_server.post(path, body)
        told = answer.json
        error = told.get("error") or ""
        said = error["message"] if isinstance(error, dict) else error
        wanted = 404 if place == "templateUri" and NUL not in body["templateUri"] else 400
        assert (answer.status, place in said) == (wanted, True), (place, path, str(body)[:120], answer)


@pytest.mark.parametrize("order", ["create_time", "display_name"])
def test_a_page_token_that_was_made_up_is_refused(shared_server, pipeline_of, order):
    import base64
    import json

    contexts = f"{HERE}/metadataStores/default/contexts"
    for name in "ab":
        shared_server.post(contexts, {"displayName": name, "schemaTitle": "x"})
    page = shared_server.get(contexts, orderBy=order, pageSize=1).json
    token = page["nextPageToken"]
    digest, _, number = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    made_up = base64.urlsafe_b64encode(json.dumps([digest, 10**30, number]).encode()).rstrip(b"=").decode()
    assert shared_server.get(contexts, orderBy=order, pageSize=1, pageToken=made_up).status == 400
