"""TensorboardService over REST: what its answers look like, and what is refused, with its place."""

import base64
import uuid

import grpc
import pytest

PARENT = "/v1/projects/boards/locations/us-central1"


@pytest.fixture
def board(shared_server):
    made = shared_server.post(f"{PARENT}/tensorboards", {"displayName": f"board {uuid.uuid4().hex}"})
    assert made.json["done"] is True, made
    return "/v1/" + made.json["response"]["name"]


@pytest.fixture
def run(shared_server, board):
    made = shared_server.post(f"{board}/experiments", {"displayName": "E"}, tensorboardExperimentId="exp")
    made = shared_server.post(f"/v1/{made.json['name']}/runs", {"displayName": "R"}, tensorboardRunId="r1")
    return "/v1/" + made.json["name"]


def series_of(server, run, name, kind):
    made = server.post(f"{run}/timeSeries", {"displayName": name, "valueType": kind, "pluginName": "p"})
    assert made.status == 200, made
    return made.json


def written(server, run, series, *values):
    id_, kind = series["name"].rpartition("/")[2], series["valueType"]
    data = [{"tensorboardTimeSeriesId": id_, "valueType": kind, "values": list(values)}]
    return server.post(f"{run}:write", {"timeSeriesData": data})


def test_a_tensorboard_is_told_as_the_api_has_it(shared_server, board):
    found = shared_server.get(board).json
    assert found["createTime"].endswith("Z") and found["etag"]
    assert found["blobStoragePathPrefix"] and not {"isDefault", "runCount", "description"} & found.keys()
    changed = {"displayName": "other", "labels": {"team": "a"}, "isDefault": True}
    done = shared_server.patch(board, changed, updateMask="displayName,isDefault")
    assert done.json["response"]["displayName"] == "other" and "labels" not in done.json["response"]
    listed = shared_server.get(f"{PARENT}/tensorboards", filter="is_default=true").json["tensorboards"]
    assert [one["name"] for one in listed] == [board.removeprefix("/v1/")]
    stale = shared_server.patch(board, {"displayName": "third", "etag": found["etag"]}, updateMask="displayName")
    assert stale.status == 409
    assert shared_server.get(board.replace("boards/", "others/")).status == 404
    assert shared_server.delete(board).json["done"] is True
    assert shared_server.get(board).status == 404


def test_a_new_default_takes_the_place_of_the_old(shared_server):
    where = f"/v1/projects/defaults-{uuid.uuid4().hex[:8]}/locations/here/tensorboards"
    for name in ("first", "second"):
        assert shared_server.post(where, {"displayName": name, "isDefault": True}).status == 200
    found = {one["displayName"]: one.get("isDefault", False) for one in shared_server.get(where).json["tensorboards"]}
    assert found == {"first": False, "second": True}


def test_runs_and_series_are_made_in_batches_or_not_at_all(shared_server, run):
    experiment = run.rpartition("/runs/")[0]
    requests = [{"tensorboardRunId": f"b{n}", "tensorboardRun": {"displayName": f"B{n}"}} for n in range(3)]
    made = shared_server.post(f"{experiment}/runs:batchCreate", {"requests": requests}).json["tensorboardRuns"]
    assert [one["displayName"] for one in made] == ["B0", "B1", "B2"]
    taken = [{"tensorboardRunId": "new", "tensorboardRun": {"displayName": "new"}}, requests[0]]
    assert shared_server.post(f"{experiment}/runs:batchCreate", {"requests": taken}).status == 400
    assert shared_server.get(f"{experiment}/runs/new").status == 404
    wanted = [
        {"parent": one["name"], "tensorboardTimeSeries": {"displayName": tag, "valueType": "SCALAR"}}
        for one in made
        for tag in ("loss", "acc")
    ]
    answer = shared_server.post(f"{experiment}:batchCreate", {"requests": wanted}).json
    assert len(answer["tensorboardTimeSeries"]) == 6
    parent = "/v1/" + made[1]["name"]
    listed = shared_server.get(f"{parent}/timeSeries", filter='display_name = "loss"').json["tensorboardTimeSeries"]
    assert [one["displayName"] for one in listed] == ["loss"]
    elsewhere = [{"parent": made[0]["name"].replace("boards/", "others/"), **wanted[0]}]
    elsewhere[0]["parent"] = made[0]["name"].replace("/exp/", "/other/")
    refused = shared_server.post(f"{experiment}:batchCreate", {"requests": elsewhere})
    assert refused.status == 400 and "requests[0].parent" in refused.error


def test_points_are_written_read_sampled_and_exported(shared_server, run):
    series = series_of(shared_server, run, "loss", "SCALAR")
    name = "/v1/" + series["name"]
    when = "2026-05-01T10:00:00.000001Z"
    points = [{"step": str(k), "scalar": {"value": k / 8}, "wallTime": when} for k in range(1200)]
    assert written(shared_server, run, series, *points).json == {}
    odd = [{"step": "5", "scalar": {"value": "NaN"}, "wallTime": when}, {"scalar": {}, "wallTime": when}]
    assert written(shared_server, run, series, *odd).status == 200
    metadata = shared_server.get(name).json["metadata"]
    assert metadata == {"maxStep": "1199", "maxWallTime": when}
    board = run.partition("/experiments/")[0]
    batch = shared_server.get(f"{board}:batchRead", timeSeries=series["name"]).json["timeSeriesData"][0]
    assert len(batch["values"]) == 1000 and batch["values"][-1]["step"] == "1199" and "step" not in batch["values"][0]
    few = shared_server.get(f"{name}:read", maxDataPoints="3").json["timeSeriesData"]["values"]
    assert [one.get("step", "0") for one in few] == ["0", "600", "1199"]
    some = shared_server.get(f"{name}:read", maxDataPoints="-1", filter="step < 7").json["timeSeriesData"]["values"]
    assert [one["scalar"]["value"] for one in some] == [0.0, 0.125, 0.25, 0.375, 0.5, "NaN", 0.75]
    asked = {"pageSize": 700, "orderBy": "step desc"}
    first = shared_server.post(f"{name}:exportTensorboardTimeSeries", asked).json
    second = shared_server.post(
        f"{name}:exportTensorboardTimeSeries", {**asked, "pageToken": first["nextPageToken"]}
    ).json
    steps = [int(one.get("step", 0)) for page in (first, second) for one in page["timeSeriesDataPoints"]]
    assert steps == list(range(1199, -1, -1)) and "nextPageToken" not in second
    size = shared_server.get(f"{board}:readSize").json["storageSizeByte"]
    assert int(size) > 1200 * 3 and shared_server.get(f"{board}:readUsage").json == {}


def test_blobs_are_objects_that_are_streamed(shared_server, run):
    board = shared_server.get(run.partition("/experiments/")[0]).json
    bucket = board["blobStoragePathPrefix"]
    series = series_of(shared_server, run, "img", "BLOB_SEQUENCE")
    path = "/".join((f"tensorboard-{board['name'].rpartition('/')[2]}", "exp", "r1", series["name"].rpartition("/")[2]))
    for id_, content in (("one", b"\x00png"), ("two", b"")):
        upload = f"/upload/storage/v1/b/{bucket}/o"
        assert shared_server.request("POST", upload, content, query={"uploadType": "media", "name": f"{path}/{id_}"})
    assert (
        written(shared_server, run, series, {"step": "1", "blobs": {"values": [{"id": "one"}, {"id": "two"}]}}).json
        == {}
    )
    name = "/v1/" + series["name"]
    assert shared_server.get(name).json["metadata"]["maxBlobSequenceLength"] == "2"
    found = shared_server.get(f"{name}:readBlobData").json
    assert [base64.b64decode(one["blobs"][0].get("data", "")) for one in found] == [b"\x00png", b""]
    assert shared_server.get(f"{name}:readBlobData", blobIds="none").status == 404
    written(shared_server, run, series, {"step": "2", "blobs": {"values": [{"id": "../../x"}]}})
    assert shared_server.get(f"{name}:readBlobData", blobIds="../../x").status == 404
    messages = streamed(shared_server.url, series["name"])
    assert [one.blobs[0].data for one in messages] == [b"\x00png", b""]


def streamed(url, name):
    """The same over gRPC, which streams."""
    from cairn.api.vertex.description import message_class

    package = "google.cloud.aiplatform.v1."
    request = message_class(f"{package}ReadTensorboardBlobDataRequest")(time_series=name)
    answer = message_class(f"{package}ReadTensorboardBlobDataResponse")
    with grpc.insecure_channel(url.removeprefix("http://")) as channel:
        method = channel.unary_stream(
            f"/{package}TensorboardService/ReadTensorboardBlobData",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return list(method(request, timeout=30))


def test_what_cannot_be_is_refused_with_its_place(shared_server, run):
    series = series_of(shared_server, run, "loss", "SCALAR")
    board = run.partition("/experiments/")[0]
    refused = shared_server.post(f"{run}/timeSeries", {"displayName": "loss", "valueType": "SCALAR"})
    assert refused.status == 400 and "already exist" in refused.error  # the client's uploader looks for these words
    for path, body, query, words in (
        (f"{board}/experiments", {}, {}, "tensorboardExperimentId"),
        (f"{board}/experiments", {}, {"tensorboardExperimentId": "a/b"}, "is no id"),
        (f"{run}/timeSeries", {"displayName": "x"}, {}, "valueType: is required"),
        (f"{run}/timeSeries", {"valueType": "SCALAR"}, {}, "displayName: is required"),
        (f"{PARENT}/tensorboards", {"displayName": "x", "encryptionSpec": {"kmsKeyName": "k"}}, {}, "encryptionSpec"),
    ):
        answer = shared_server.post(path, body, **query)
        assert answer.status in (400, 501) and words in answer.error, answer
    wrong = written(shared_server, run, series, {"step": "1", "tensor": {"value": ""}})
    assert wrong.status == 400 and "values[0]" in wrong.error
    missing = {"name": "x/nothing", "valueType": "SCALAR"}
    assert written(shared_server, run, missing, {"step": "1", "scalar": {"value": 1}}).status == 404
    taken = shared_server.post(f"{board}/experiments", {}, tensorboardExperimentId="exp")
    assert taken.status == 409
    assert (
        shared_server.post(f"{board}/experiments/none/runs", {"displayName": "x"}, tensorboardRunId="y").status == 404
    )


def test_a_series_may_change_its_name_and_the_old_one_is_free(shared_server, run):
    series = series_of(shared_server, run, "loss", "SCALAR")
    done = shared_server.patch(f"/v1/{series['name']}", {"displayName": "cost"}, updateMask="displayName")
    assert done.json["displayName"] == "cost" and done.json["valueType"] == "SCALAR"
    other = series_of(shared_server, run, "loss", "SCALAR")
    refused = shared_server.patch(f"/v1/{other['name']}", {"displayName": "cost"}, updateMask="displayName")
    assert refused.status == 400 and "already exists" in refused.error
