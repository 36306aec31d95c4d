"""What a client program is asked to send."""

import base64
import json
import sys
import zlib
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cairn.api.vertex.pipeline_job_request import configuration_of
from cairn.domain.configuration import Configuration, RunConfiguration, ScheduleConfiguration
from cairn.domain.runs import RunSettings, Submission
from cairn.errors import InputRefused
from cairn.spec.load import load_text
from cairn.submit import clients
from cairn.submit.limits import Subject
from cairn.submit.requests import request_of
from cairn.submit.targets import Kind, Target

KUBEFLOW = Target(Kind.KUBEFLOW, url="http://kfp")
CAIRN = Target(Kind.CAIRN, url="http://cairn", project="default", region="us-central1")
VERTEX = Target(Kind.VERTEX, project="p", region="us-central1")


def task(component):
    return {"componentRef": {"name": component}, "taskInfo": {"name": component}}


PIPELINE = load_text(
    json.dumps(
        {
            "pipelineInfo": {"name": "1 Demo"},
            "schemaVersion": "2.1.0",
            "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "gcr.io/a/b", "command": ["x"]}}}},
            "components": {
                "comp-a": {"executorLabel": "exec-a"},
                "comp-inner": {"dag": {"tasks": {"a": task("comp-a")}}},
            },
            "root": {"dag": {"tasks": {"inner": task("comp-inner")}}},
        }
    ),
    origin="demo.json",
)
SAID = Configuration("/home/me/conf", "config", ("lr=1", "+x=é"), "d" * 32, "lr: 1\n")


def request(target, submission=None, **said):
    return request_of(Subject(PIPELINE, submission or Submission(), RunConfiguration(**said), target))


def test_no_cache_is_written_into_the_pipeline_for_kubeflow_nested_tasks_too():
    off = Submission(settings=RunSettings(use_cache=False))
    sent = request(KUBEFLOW, off)
    inner = sent.pipeline["components"]["comp-inner"]["dag"]["tasks"]["a"]
    assert inner["cachingOptions"] == sent.pipeline["root"]["dag"]["tasks"]["inner"]["cachingOptions"]
    assert inner["cachingOptions"] == {"enableCache": False}
    assert request(VERTEX, off).caching is False and request(VERTEX).caching is None


def test_job_ids_are_valid_and_never_the_same():
    ids = {request(VERTEX).job_id for _ in range(5)}
    assert len(ids) == 5 and all(each.startswith("run-1-demo-") for each in ids)
    assert request(VERTEX, Submission(job_id="mine")).job_id == "mine"


def test_another_cairn_is_told_the_whole_configuration_but_where_it_lay():
    sent = request(CAIRN, Submission(configuration=SAID))
    told = configuration_of(sent.headers)
    assert told == Configuration("", "config", SAID.overrides, SAID.digest, SAID.text)
    assert sent.labels == {"cairn-configuration": "d" * 32}


@pytest.mark.parametrize(
    "text",
    [
        "no base64",
        base64.b64encode(b"not deflated").decode(),
        base64.b64encode(zlib.compress(b'{"directory": 1}')).decode(),
        base64.b64encode(zlib.compress(b"{}" + b" " * (1 << 21))).decode(),  # more than it seems
        base64.b64encode(zlib.compress(b"{}")[:-6]).decode(),
        base64.b64encode(zlib.compress(b'{"directory": "", "name": "c", "more": ' + b"[" * 500_000)).decode(),
        base64.b64encode(zlib.compress(b'{"directory": "", "name": "a\\u0000"}')).decode(),
    ],
)
def test_what_is_no_configuration_is_refused_by_the_server(text):
    with pytest.raises(InputRefused) as raised:
        configuration_of({"x-cairn-configuration": text})
    assert raised.value.place == "x-cairn-configuration"
    assert configuration_of({}) is None


def test_a_run_of_another_home_is_in_no_sweep_of_this_one():
    said = b'{"directory": "/etc", "name": "c", "sweep": "mine", "job": 3}'
    told = configuration_of({"x-cairn-configuration": base64.b64encode(zlib.compress(said)).decode()})
    assert told == Configuration("", "c")


def test_a_configuration_too_long_for_a_header_is_told_without_its_text():
    import random

    long = "".join(chr(random.Random(1).randrange(32, 1000)) for _ in range(5)) + "".join(
        f"{random.Random(n).random()}\n" for n in range(2000)
    )
    sent = request(CAIRN, Submission(configuration=Configuration("/c", "config", ("a=1",), "e" * 32, long)))
    told = configuration_of(sent.headers)
    assert (told.overrides, told.digest, told.text) == (("a=1",), "e" * 32, "")
    assert len(sent.headers["x-cairn-configuration"]) < 6000


def test_google_is_told_its_digest_and_kubeflow_in_the_description():
    submission = Submission(configuration=SAID, description="mine")
    sent = request(VERTEX, submission)
    assert sent.labels == {"cairn-configuration": "d" * 32} and sent.headers == {}
    assert request(KUBEFLOW, submission).description == f"mine\nconfiguration config {'d' * 32} lr=1 +x=é"


def test_cron_of_kubeflow_begins_with_seconds():
    schedule = ScheduleConfiguration(cron="30 3 * * 1", max_concurrent=2)
    assert request(KUBEFLOW, schedule=schedule).schedule["cron"] == "0 30 3 * * 1"
    assert request(VERTEX, schedule=schedule).schedule == {"cron": "30 3 * * 1", "max_concurrent": 2}


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
@example(["é😀", "\\😀", "\\ud83d\\ude00", "1e+22 \\", 1e22, -5e-324, 1.5e300, "\u2028\x00\ufeff"])
def test_a_reader_of_yaml_is_given_every_value_as_it_is(document):
    sys.path.insert(0, str(Path(clients.__file__).parent))
    try:
        from cairn.submit.clients.vertex_jobs import as_yaml
    finally:
        del sys.path[0]
    text = as_yaml({"value": document})
    assert text.isascii()
    assert repr(yaml.safe_load(text)) == repr({"value": document})
