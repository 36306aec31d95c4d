"""What masks leave and change."""

import msgspec
import pytest

from cairn.api.vertex import masks
from cairn.errors import InputRefused

JOB = "google.cloud.aiplatform.v1.PipelineJob"


def test_a_mask_leaves_what_it_names():
    job = {"name": "n", "pipelineSpec": msgspec.Raw(b'{"pipelineInfo":{"name":"x"},"root":{}}'), "labels": {"a": "b"}}
    assert masks.masked(JOB, job, "name,pipeline_spec.pipeline_info") == {
        "name": "n",
        "pipelineSpec": {"pipelineInfo": {"name": "x"}},
    }
    assert masks.masked(JOB, job, "*") == masks.masked(JOB, job, "") == job
    assert masks.masked(JOB, job, "labels,error") == {"labels": {"a": "b"}}
    with pytest.raises(InputRefused, match="no field 'nme'"):
        masks.masked(JOB, job, "nme")
    with pytest.raises(InputRefused, match="no field 'x'"):
        masks.masked(JOB, job, "runtimeConfig.x")


def test_a_mask_takes_what_it_names_and_clears_what_is_not_given():
    old = {"displayName": "a", "labels": {"x": "1", "y": "2"}, "error": {"code": 1, "message": "m"}}
    new = {"displayName": "b", "labels": {"x": "3"}, "serviceAccount": "s"}
    assert masks.merged(JOB, old, new, "displayName,error.message") == {
        "displayName": "b",
        "labels": {"x": "1", "y": "2"},
        "error": {"code": 1},
    }
    assert masks.merged(JOB, old, new, "labels.x") == {**old, "labels": {"x": "3", "y": "2"}}
    assert masks.merged(JOB, old, new, "") == {**old, **new}
    assert masks.merged(JOB, old, new, "*") == new
    assert old["labels"] == {"x": "1", "y": "2"}
