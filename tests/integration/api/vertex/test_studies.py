"""VizierService over REST: what its answers look like, pages, and what is refused, with its place."""

import uuid

import pytest

PARENT = "/v1/projects/tuners/locations/us-central1"
SPEC = {
    "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
    "parameters": [
        {"parameterId": "n", "integerValueSpec": {"minValue": "0", "maxValue": "9"}},
        {"parameterId": "k", "categoricalValueSpec": {"values": ["a", "b"]}},
    ],
}


@pytest.fixture
def study(shared_server):
    body = {"displayName": f"study {uuid.uuid4().hex}", "studySpec": SPEC}
    return "/v1/" + shared_server.post(f"{PARENT}/studies", body).json["name"]


def ended(answer):
    assert answer.json["done"] is True, answer
    return answer.json["response"]


def test_a_study_is_told_as_the_api_has_it(shared_server, study):
    found = shared_server.get(study).json
    assert found["state"] == "ACTIVE" and found["createTime"].endswith("Z")
    # Integers of 64 bits are text, and what is at its default is left out.
    assert found["studySpec"] == {
        **SPEC,
        "parameters": [{"parameterId": "n", "integerValueSpec": {"maxValue": "9"}}, SPEC["parameters"][1]],
    }
    named = shared_server.post(f"{PARENT}/studies:lookup", {"displayName": found["displayName"]})
    assert named.json == found
    listed = shared_server.get(f"{PARENT}/studies", pageSize="1000").json["studies"]
    assert found in listed
    other = shared_server.get("/v1/projects/others/locations/us-central1/studies")
    assert other.json == {}
    assert shared_server.get(study.replace("tuners", "others")).status == 404


def test_trials_are_suggested_measured_and_paged(shared_server, study):
    asked = {"suggestionCount": 3, "clientId": "me"}
    operation = shared_server.post(f"{study}/trials:suggest", asked)
    found = ended(operation)
    assert found["@type"].endswith("aiplatform.v1.SuggestTrialsResponse") and found["studyState"] == "ACTIVE"
    assert [one["id"] for one in found["trials"]] == ["1", "2", "3"]
    trial = found["trials"][0]
    assert trial["state"] == "ACTIVE" and trial["clientId"] == "me" and trial["startTime"]
    number, category = trial["parameters"]
    assert number["parameterId"] == "n" and number["value"] in range(10) and category["value"] in ("a", "b")
    measurement = {"stepCount": "2", "elapsedDuration": "1.5s", "metrics": [{"metricId": "loss", "value": 0.5}]}
    measured = shared_server.post(f"{study}/trials/1:addTrialMeasurement", {"measurement": measurement}).json
    [told] = measured["measurements"]
    assert told == {**measurement, "elapsedDuration": "1.500s"}
    done = shared_server.post(f"{study}/trials/1:complete").json
    assert done["state"] == "SUCCEEDED" and done["finalMeasurement"] == told and done["endTime"]
    again = shared_server.post(f"{study}/trials/1:complete")
    assert again.status == 400 and again.json["error"]["status"] == "FAILED_PRECONDITION"
    [best] = shared_server.post(f"{study}/trials:listOptimalTrials").json["optimalTrials"]
    assert best == done
    first = shared_server.get(f"{study}/trials", pageSize="2").json
    second = shared_server.get(f"{study}/trials", pageSize="2", pageToken=first["nextPageToken"]).json
    assert [one["id"] for one in (*first["trials"], *second["trials"])] == ["1", "2", "3"]
    assert "nextPageToken" not in second
    check = shared_server.post(f"{study}/trials/2:checkTrialEarlyStoppingState")
    assert "shouldStop" not in ended(check)
    assert shared_server.delete(f"{study}/trials/2").json == {}
    assert shared_server.get(f"{study}/trials/2").status == 404
    assert shared_server.delete(study).json == {}
    assert shared_server.get(f"{study}/trials").status == 404


REFUSED = [
    ("/studies", {"displayName": "x", "studySpec": {**SPEC, "metrics": []}}, "studySpec.metrics: at least one"),
    ("/studies", {"studySpec": SPEC}, "study.displayName: is required"),
    ("/studies", {"displayName": "x"}, "study.studySpec: is required"),
    ("/trials:suggest", {"suggestionCount": 0, "clientId": "x"}, "suggestionCount: 0 is not between"),
    ("/trials:suggest", {"suggestionCount": 1, "contexts": [{"parameters": [{}]}]}, "contexts[0].parameters[0].param"),
    ("/trials", {"parameters": [{"parameterId": "n", "value": 1}]}, "trial.parameters: 'k' is missing"),
    ("/trials", {"parameters": [{"parameterId": "n", "value": 1.5}]}, "trial.parameters.n: 1.5 is no integer"),
    ("/trials/1:addTrialMeasurement", {}, "measurement.metrics: is required"),
    (
        "/trials/1:addTrialMeasurement",
        {"measurement": {"stepCount": -1, "metrics": [{"metricId": "loss"}]}},
        "measurement.stepCount: -1 is negative",
    ),
    ("/trials/1:complete", {"infeasibleReason": "no"}, "infeasibleReason: is for a trial that is infeasible"),
]


@pytest.mark.parametrize(("path", "body", "words"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(shared_server, study, path, body, words):
    ended(shared_server.post(f"{study}/trials:suggest", {"suggestionCount": 1}))
    answer = shared_server.post((PARENT if path == "/studies" else study) + path, body)
    assert answer.status == 400 and words in answer.error, answer
