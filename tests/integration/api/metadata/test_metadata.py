"""MetadataService over REST, as a client's JSON meets it."""

import pytest

PARENT = "/v1/projects/{}/locations/us-central1"


@pytest.fixture
def store(shared_server, request):
    """Paths below a metadata store of this test's own project."""
    project = "metadata-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    return PARENT.format(project) + "/metadataStores/default"


def name_of(path):
    return path.removeprefix("/v1/")


def test_a_store_is_created_on_demand(shared_server, store):
    assert shared_server.get(store).status == 404
    made = shared_server.post(store.rpartition("/")[0], {"description": "d"}, metadataStoreId="default").json
    assert made["done"] and made["response"]["name"] == name_of(store)
    assert shared_server.get(store).json["description"] == "d"
    assert shared_server.post(store.rpartition("/")[0], {}, metadataStoreId="default").status == 409
    assert shared_server.post(store.rpartition("/")[0], {}, metadataStoreId="other").status == 501
    assert shared_server.get(store.replace("default", "other") + "/artifacts").status == 404
    assert [one["name"] for one in shared_server.get(store.rpartition("/")[0]).json["metadataStores"]] == [
        name_of(store)
    ]
    assert shared_server.delete(store).json["done"]
    assert shared_server.get(store).status == 404


def test_an_artifact_is_changed_by_mask_and_without(shared_server, store):
    body = {"displayName": "a", "uri": "gs://b/a", "state": 2, "schema_title": "system.Dataset", "metadata": {"n": 1}}
    made = shared_server.post(f"{store}/artifacts", body, artifactId="data-1").json
    assert made["state"] == "LIVE" and made["schemaVersion"] == "0.0.1" and made["name"].endswith("/artifacts/data-1")
    path = f"/v1/{made['name']}"
    assert shared_server.get(path).json == made
    changed = shared_server.patch(path, {"displayName": "b", "uri": "x"}, updateMask="display_name").json
    assert (changed["displayName"], changed["uri"], changed["metadata"]) == ("b", "gs://b/a", {"n": 1})
    changed = shared_server.patch(path, {"metadata": {"m": 2}, "etag": changed["etag"]}).json
    assert (changed["displayName"], changed["metadata"]) == ("b", {"m": 2})
    changed = shared_server.patch(path, {}, updateMask="metadata,description").json
    assert changed["metadata"] == {} and changed["createTime"] == made["createTime"]
    assert shared_server.patch(path, {"etag": made["etag"], "displayName": "c"}).status == 409
    assert shared_server.patch(path, {"displayName": "c"}, updateMask="nothing").status == 400
    assert shared_server.patch(f"{store}/artifacts/none", {"displayName": "c"}).status == 404
    new = shared_server.patch(f"{store}/artifacts/new-1", {"displayName": "c"}, allowMissing="true").json
    assert new["displayName"] == "c"
    assert shared_server.delete(path, etag=made["etag"]).status in (400, 412)
    assert shared_server.delete(path, etag=changed["etag"]).json["response"]["@type"].endswith("Empty")
    assert shared_server.get(path).status == 404


def test_lists_take_filters_and_pages(shared_server, store):
    for number in range(5):
        body = {"displayName": f"d{number}", "schemaTitle": "system.Model", "metadata": {"n": number}}
        assert shared_server.post(f"{store}/artifacts", body).status == 200
    asked = {"filter": 'metadata.n.number_value >= 1 AND display_name="d*"', "orderBy": "displayName", "pageSize": 3}
    first = shared_server.get(f"{store}/artifacts", **asked).json
    second = shared_server.get(f"{store}/artifacts", **asked, pageToken=first["nextPageToken"]).json
    names = [one["displayName"] for page in (first, second) for one in page["artifacts"]]
    assert names == ["d1", "d2", "d3", "d4"] and "nextPageToken" not in second
    refused = shared_server.get(f"{store}/artifacts", filter="display_name=d1", pageToken=first["nextPageToken"])
    assert refused.status == 400 and "another list" in refused.error
    refused = shared_server.get(f"{store}/artifacts", filter='display_name="x" AND nothing=1')
    assert refused.status == 400 and "offset 21" in refused.error and "schema_title" in refused.error
    assert shared_server.get(f"{store}/artifacts", pageSize=1001).status == 400
    assert shared_server.get(f"{store}/contexts").json == {}


def test_names_of_another_project_are_refused(shared_server, store):
    other = store.replace("projects/", "projects/x")
    shared_server.post(f"{store}/contexts", {"schemaTitle": "system.Experiment"}, contextId="mine")
    shared_server.post(f"{other}/artifacts", {"schemaTitle": "system.Model"}, artifactId="theirs")
    joined = shared_server.post(
        f"{store}/contexts/mine:addContextArtifactsAndExecutions", {"artifacts": [f"{name_of(other)}/artifacts/theirs"]}
    )
    assert joined.status == 400 and "another metadata store" in joined.error


def test_lineage_has_hops(shared_server, store):
    for name in ("a", "b", "c"):
        shared_server.post(f"{store}/artifacts", {"schemaTitle": "system.Dataset"}, artifactId=name)
    for source, target in (("a", "b"), ("b", "c")):
        execution = f"{store}/executions/{source}-{target}"
        shared_server.post(f"{store}/executions", {"state": "COMPLETE"}, executionId=f"{source}-{target}")
        events = [
            {"artifact": f"{name_of(store)}/artifacts/{source}", "type": 1, "labels": {"role": "in"}},
            {"artifact": f"{name_of(store)}/artifacts/{target}", "type": "OUTPUT"},
        ]
        assert shared_server.post(f"{execution}:addExecutionEvents", {"events": events}).json == {}
        assert shared_server.post(f"{execution}:addExecutionEvents", {"events": events}).json == {}

    def reached(**asked):
        graph = shared_server.get(f"{store}/artifacts/a:queryArtifactLineageSubgraph", **asked).json
        return sorted(one["name"].rpartition("/")[2] for one in graph["artifacts"]), len(graph.get("events", []))

    assert reached() == (["a", "b", "c"], 4)
    assert reached(maxHops=0) == (["a"], 0)
    assert reached(maxHops=2) == (["a", "b"], 2)
    assert reached(filter="name!=b") == (["a"], 1)
    assert shared_server.get(f"{store}/artifacts/a:queryArtifactLineageSubgraph", maxHops=-1).status == 400
    graph = shared_server.get(f"{store}/executions/a-b:queryExecutionInputsAndOutputs").json
    assert [one.get("labels") for one in graph["events"]] == [{"role": "in"}, None]
    unknown = [{"artifact": f"{name_of(store)}/artifacts/a"}]
    assert shared_server.post(f"{store}/executions/a-b:addExecutionEvents", {"events": unknown}).status == 400


def test_schemas_are_built_in_and_registered(shared_server, store):
    listed = shared_server.get(f"{store}/metadataSchemas", pageSize=1000).json["metadataSchemas"]
    assert {one["schemaType"] for one in listed} == {"ARTIFACT_TYPE", "EXECUTION_TYPE", "CONTEXT_TYPE"}
    path = f"{store}/metadataSchemas/google-vertex-tensorboard-run-v0-0-1"
    assert "google.VertexTensorboardRun" in shared_server.get(path).json["schema"]
    body = {"schema": "title: my.Thing\ntype: object\n", "schemaVersion": "1.0.0", "schemaType": 1}
    made = shared_server.post(f"{store}/metadataSchemas", body).json
    assert shared_server.get(f"/v1/{made['name']}").json == made
    found = shared_server.get(f"{store}/metadataSchemas", filter='schema_title="my.Thing"').json["metadataSchemas"]
    assert found == [made]
    assert shared_server.post(f"{store}/metadataSchemas", body).status == 409
    for wrong in ("[", "type: object", "&a [*a]"):
        assert shared_server.post(f"{store}/metadataSchemas", {**body, "schema": wrong}).status == 400


def test_an_artifact_that_is_nowhere_keeps_no_run_from_being_deleted(server, pipeline_of):
    """Whatever clients of any project record as its URI."""
    others = PARENT.format("others") + "/metadataStores/default/artifacts"
    for uri in ("hello", "../x", "/a/../b", "file://x", "gs://../x", "gs://", "s3://B B/x", "://", "bq://a.b.c", "~"):
        assert server.post(others, {"uri": uri}).status == 200
    pipeline = pipeline_of("gone", write="echo hi")
    made = server.post(f"{PARENT.format('mine')}/pipelineJobs", {"pipelineSpec": pipeline}).json["name"]
    assert server.ended(made)["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert server.delete(f"/v1/{made}").json.get("done"), made
    assert server.get(f"/v1/{made}").status == 404
    assert not [*(server.home / "runs").iterdir()]
