"""Requests in the shape of the API's description, wrong in places: no 5xx, no hang, nothing for who is not known.

CAIRN_FUZZ_SECONDS bounds it (10 by default), CAIRN_FUZZ_SEED begins it (1); a failure names its own seed.
"""

import json
import os
import time
from urllib.parse import urlencode

import pytest

from cairn.api.vertex.description import methods
from cairn.api.vertex.handlers import handlers
from cairn.api.vertex.training_pipelines import CUSTOM_TASK

from .messages import Requests

SECONDS = float(os.environ.get("CAIRN_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("CAIRN_FUZZ_SEED", "1"))
SLOW = 5.0
PARENT = "projects/fuzz/locations/us-central1"

pytestmark = pytest.mark.timeout(SECONDS + 300)


@pytest.fixture
def names(server, pipeline_of):
    """One of each that can be made, so that requests reach what lies behind a name."""
    store = f"{PARENT}/metadataStores/default"
    job = {"pipelineSpec": pipeline_of("fuzzed", a="true")}
    spec = {"metrics": [{"metricId": "m"}], "parameters": [{"parameterId": "x", "doubleValueSpec": {"maxValue": 1}}]}
    study = server.post(f"/v1/{PARENT}/studies", {"displayName": "fuzzed", "studySpec": spec}).json["name"]
    server.post(f"/v1/{study}/trials:suggest", {"suggestionCount": 3})
    pools = {"workerPoolSpecs": [{"containerSpec": {"imageUri": "i", "command": ["true"]}}]}
    custom = {"displayName": "fuzzed", "jobSpec": pools}
    training = {"displayName": "fuzzed", "trainingTaskDefinition": CUSTOM_TASK, "trainingTaskInputs": pools}
    counts = {"maxTrialCount": 1, "parallelTrialCount": 1}
    tuning = {"displayName": "fuzzed", "studySpec": spec, "trialJobSpec": pools, **counts}
    made = {
        "customJobs": server.post(f"/v1/{PARENT}/customJobs", custom).json["name"],
        "trainingPipelines": server.post(f"/v1/{PARENT}/trainingPipelines", training).json["name"],
        "hyperparameterTuningJobs": server.post(f"/v1/{PARENT}/hyperparameterTuningJobs", tuning).json["name"],
        "studies": study,
        "trials": f"{study}/trials/1",
        "pipelineJobs": server.post(f"/v1/{PARENT}/pipelineJobs", job).json["name"],
        "artifacts": server.post(f"/v1/{store}/artifacts", {"schemaTitle": "system.Dataset"}).json["name"],
        "executions": server.post(f"/v1/{store}/executions", {"schemaTitle": "system.Run"}).json["name"],
        "contexts": server.post(f"/v1/{store}/contexts", {"schemaTitle": "system.Experiment"}, contextId="c").json[
            "name"
        ],
    }
    return {**{kind: [name] for kind, name in made.items()}, "locations": [PARENT], "metadataStores": [store]}


def sent(server, seed, method, rule, requests):
    """(what was asked, the answer, seconds)."""
    path = "/" + requests.path(rule).lstrip("/")
    query = urlencode(requests.query(method, rule))
    body = None
    if rule.verb not in ("GET", "DELETE"):
        body = json.dumps(requests.body(method, rule)).encode()
    asked = f"seed {seed}: {method.name} {rule.verb} {path}?{query} {body!r}"
    began = time.monotonic()
    answer = server.request(rule.verb, f"{path}?{query}" if query else path, body, timeout=30)
    return asked, answer, time.monotonic() - began


def test_no_request_is_a_defect_or_a_hang(server, names):
    served = [method for name, method in methods().items() if name in handlers() and method.rules]
    others = [method for name, method in methods().items() if name not in handlers() and method.rules]
    until, seed, met = time.monotonic() + SECONDS, SEED, set()
    while time.monotonic() < until or len(met) < min(len(served), 20):
        requests = Requests(seed, names)
        method = requests.random.choice(served if requests.random.random() < 0.9 else others)
        rule = requests.random.choice(method.rules)
        asked, answer, seconds = sent(server, seed, method, rule, requests)
        assert answer.status < 500 or answer.status == 501, f"{asked}\n→ {answer}"
        assert seconds < SLOW, asked
        if answer.status >= 400:
            error = answer.json["error"]
            assert error["code"] == answer.status, asked
            assert error["message"], asked
        if answer.status == 501:
            assert error["status"] == "UNIMPLEMENTED", f"{asked}\n→ {answer}"
        else:
            met.add(method.name)
        seed += 1
    assert server.get("/readyz").status == 200
    print(f"{seed - SEED} requests to {len(met)} methods")


def test_nothing_is_answered_to_who_is_not_known(serve, tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.wiring import open_cairn

    home = tmp_path / "closed"
    home.mkdir()
    with open_cairn(str(home)) as cairn:
        create_token(cairn.records, "somebody", {"*": "admin"})
    server = serve(home, CAIRN_SERVER_AUTHENTICATION="required", CAIRN_SERVER_REQUESTS_PER_SECOND="100000")
    until, seed = time.monotonic() + SECONDS / 4, SEED
    while time.monotonic() < until:
        requests = Requests(seed, {"locations": [PARENT]})
        method = requests.random.choice(list(methods().values()))
        if method.rules:
            asked, answer, _ = sent(server, seed, method, requests.random.choice(method.rules), requests)
            assert answer.status in (400, 401), f"{asked}\n→ {answer}"
            assert answer.status == 401 or "Host" in answer.error or "request" in answer.error.lower(), asked
        seed += 1
