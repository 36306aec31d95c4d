"""Every form a pipeline comes in, and what it becomes."""

import json
import os
import subprocess
import sys
import time

import msgspec
import pytest
from tests.unit.spec.documents import PIPELINES, change, compiled, text_of

from cairn.errors import SpecError
from cairn.spec.load import load_file, load_text
from cairn.spec.types import (
    ComponentInput,
    Constant,
    FinalStatus,
    ParameterIterator,
    RetryPolicy,
    Selector,
    TaskOutput,
    TriggerStrategy,
)

OLD = {
    "pipelineSpec": {
        "schemaVersion": "2.0.0",
        "sdkVersion": "kfp-1.8.22",
        "pipelineInfo": {"name": "old"},
        "components": {
            "comp-echo": {
                "executorLabel": "exec-echo",
                "inputDefinitions": {"parameters": {"text": {"type": "STRING"}, "times": {"type": "INT"}}},
                "outputDefinitions": {
                    "artifacts": {
                        "log": {
                            "artifactType": {"schemaTitle": "system.Artifact"},
                            "customProperties": {"a": {"constantValue": {"stringValue": "b"}}},
                        }
                    }
                },
            }
        },
        "deploymentSpec": {"executors": {"exec-echo": {"container": {"image": "alpine", "command": ["echo"]}}}},
        "root": {
            "inputDefinitions": {"parameters": {"who": {"type": "STRING"}, "share": {"type": "DOUBLE"}}},
            "dag": {
                "tasks": {
                    "echo": {
                        "componentRef": {"name": "comp-echo"},
                        "taskInfo": {"name": "echo"},
                        "inputs": {
                            "parameters": {
                                "text": {"runtimeValue": {"runtimeParameter": "who"}},
                                "times": {"runtimeValue": {"constantValue": {"intValue": "3"}}},
                            }
                        },
                    }
                }
            },
        },
    },
    "runtimeConfig": {
        "gcsOutputDirectory": "gs://bucket/old",
        "parameters": {"who": {"stringValue": "world"}, "share": {"intValue": "2"}},
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
    },
    "displayName": "Old one",
    "serviceAccount": "robot@project",
}


def load(*documents):
    return load_text(text_of(list(documents)), origin="pipeline.json")


@pytest.mark.parametrize("name", ["training", "say"])
def test_reading_is_as_it_was(name):
    """A change to reading shows as a change to the golden file; CAIRN_REWRITE_GOLDEN=1 writes it anew."""
    found = json.loads(msgspec.json.encode(load_file(PIPELINES / f"{name}.yaml")))
    del found["text"]
    path = PIPELINES / f"{name}.golden.json"
    if os.environ.get("CAIRN_REWRITE_GOLDEN"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(path.read_text())


def test_every_construct_arrives():
    pipeline = load_file(PIPELINES / "training.yaml")
    tasks = pipeline.root.dag.tasks
    assert pipeline.display_name == "Training"
    assert pipeline.default_root == "gs://bucket/root"
    assert tasks["split"].retry == RetryPolicy(2, 5.0, 2.0, 60.0)
    assert tasks["split"].parameters["rows"] == ComponentInput("rows")
    assert tasks["split"].parameters["ratio"] == Constant(0.5)
    assert tasks["report"].strategy is TriggerStrategy.ALL_COMPLETED
    assert tasks["report"].parameters["status"] == FinalStatus("exit-handler-1")
    assert tasks["best"].parameters["scores"] == TaskOutput("for-loop-2", "pipelinechannel--train-Output")
    assert not tasks["best"].cache
    assert tasks["for-loop-2"].parallelism == 2
    assert tasks["for-loop-4"].iterator.raw == ({"a": "1", "b": "x"}, {"a": "2", "b": "y"})
    assert tasks["for-loop-2"].iterator == ParameterIterator(
        "pipelinechannel--rates-loop-item", input_name="pipelinechannel--rates"
    )
    branches = pipeline.components["comp-condition-branches-5"].dag
    assert branches.parameter_outputs["pipelinechannel--condition-branches-5-oneof-1"] == (
        Selector("condition-6", "pipelinechannel--inner-Output"),
        Selector("condition-7", "pipelinechannel--inner-2-Output"),
    )
    shell = pipeline.components["comp-shell"].platform
    assert shell.secret_env[0].keys == {"token": "TOKEN"}
    assert shell.volumes[0].source == Constant("volume")
    assert pipeline.warnings == ("tolerations have no effect on this machine (exec-shell)",)
    rows = pipeline.root.input_parameters["rows"].default
    assert rows == 10
    assert isinstance(rows, int)


def test_order_follows_from_data_without_dependent_tasks():
    documents = compiled()
    change(documents[0], "root/dag/tasks/best/dependentTasks", [])
    assert load(*documents).root.dag.tasks["best"].upstream == ("for-loop-2",)


def test_a_volume_named_by_a_task_is_waited_for():
    documents = compiled()
    change(
        documents[1],
        "platforms/kubernetes/deploymentSpec/executors/exec-shell/secretAsEnv/0/secretNameParameter",
        {"taskOutputParameter": {"producerTask": "say-3", "outputParameterKey": "Output"}},
    )
    pipeline = load(*documents)
    assert pipeline.components["comp-shell"].platform.secret_env[0].source == TaskOutput("say-3", "Output")
    assert pipeline.root.dag.tasks["shell"].upstream == ("split", "say-3")


def test_old_names_of_secrets_and_volumes_are_read():
    documents = compiled()
    executor = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-shell"]
    executor["secretAsVolume"] = [{"secretName": "keys", "mountPath": "/keys"}]
    executor["pvcMount"] = [
        {"constant": "v", "mountPath": "/v"},
        {"componentInputParameter": "name", "mountPath": "/n"},
        {"taskOutputParameter": {"producerTask": "say-3", "outputParameterKey": "Output"}, "mountPath": "/t"},
    ]
    platform = load(*documents).components["comp-shell"].platform
    assert platform.secret_volumes[0].source == Constant("keys")
    assert [volume.source for volume in platform.volumes] == [
        Constant("v"),
        ComponentInput("name"),
        TaskOutput("say-3", "Output"),
    ]


def test_the_text_read_again_is_the_same_pipeline_without_yaml():
    pipeline = load_file(PIPELINES / "training.yaml")
    assert load_text(pipeline.text, origin="records") == pipeline
    script = (
        "import sys; from cairn.spec.load import load_text; load_text(sys.stdin.read(), origin='x');"
        "print(sorted({'yaml', 'kfp', 'google.protobuf'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], input=pipeline.text, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_a_mapping_given_as_text_is_the_same_when_it_is_read_again():
    documents = compiled()
    change(
        documents[0], "root/dag/tasks/shell/inputs/parameters/name", {"runtimeValue": {"constant": {"b": 1, "a": 2}}}
    )
    pipeline = load(*documents)
    assert load_text(pipeline.text, origin="records") == pipeline


def test_yaml_and_json_give_the_same_pipeline():
    yaml = load_file(PIPELINES / "training.yaml")
    pipeline, platform = compiled()
    assert load(pipeline, platform) == yaml
    assert load({"pipeline_spec": pipeline, "platform_spec": platform}).components == yaml.components


def test_both_spellings_of_fields_are_read():
    def snake(value):
        if isinstance(value, dict):
            return {
                "".join(f"_{c.lower()}" if c.isupper() else c for c in key) if key in FIELDS else key: snake(below)
                for key, below in value.items()
            }
        return [snake(item) for item in value] if isinstance(value, list) else value

    from cairn.spec.schema import MESSAGES

    FIELDS = {field for message in MESSAGES.values() for field in message}
    documents = compiled()
    assert load(*snake(documents)).root == load(*documents).root


def test_a_pipeline_job_of_an_older_compiler_is_read():
    pipeline = load(OLD)
    assert pipeline.display_name == "Old one"
    assert pipeline.default_root == "gs://bucket/old"
    assert pipeline.failure_policy == "fast"
    assert pipeline.parameters == {"who": "world", "share": 2.0}
    assert pipeline.root.dag.tasks["echo"].parameters == {"text": ComponentInput("who"), "times": Constant(3)}
    assert pipeline.components["comp-echo"].output_artifacts["log"].metadata == {"a": "b"}
    assert pipeline.warnings == ("the service account has no effect on this machine",)


def test_a_pipeline_jobs_parameters_are_checked():
    with pytest.raises(SpecError, match="did you mean 'who'") as raised:
        load({**OLD, "runtimeConfig": {"parameterValues": {"whom": "x"}}})
    assert raised.value.place == "pipeline.json: runtimeConfig.parameterValues"


def test_a_single_component_is_a_pipeline_of_one_task():
    pipeline = load_file(PIPELINES / "say.yaml")
    assert list(pipeline.root.dag.tasks) == ["say"]


def test_constants_take_their_declared_types():
    documents = compiled()
    change(documents[0], "root/dag/tasks/split/inputs/parameters/rows", {"runtimeValue": {"constant": 3.0}})
    change(documents[0], "root/dag/tasks/split/inputs/parameters/ratio/runtimeValue/constant", 1)
    change(documents[0], "root/dag/tasks/shell/inputs/parameters/name", {"runtimeValue": {"constant": 2.0}})
    tasks = load(*documents).root.dag.tasks
    assert repr(tasks["split"].parameters["rows"].value) == "3"
    assert repr(tasks["split"].parameters["ratio"].value) == "1.0"
    assert tasks["shell"].parameters["name"].value == "2"


def test_retries_of_a_nested_pipeline_are_warned_about():
    documents = compiled()
    change(documents[0], "root/dag/tasks/for-loop-4/retryPolicy", {"maxRetryCount": 2})
    assert any("for-loop-4" in warning for warning in load(*documents).warnings)


def test_dates_and_words_of_yaml_stay_what_was_meant():
    text = "a: 2020-01-01\nb: 12:30\nc: 1e5\nd: 0x10\ne: off\nf: !!str 5\ng: 1_000\nh: &x {k: 1}\ni: {<<: *x, l: 2}\n"
    from cairn.spec.documents import parse_documents

    assert parse_documents(text, origin="x") == [
        {"a": "2020-01-01", "b": "12:30", "c": "1e5", "d": 16, "e": False, "f": "5", "g": 1000, "h": {"k": 1}}
        | {"i": {"l": 2, "k": 1}}
    ]


def test_reading_is_quick():
    """A pipeline of thirty tasks, YAML included: about 5 ms where this was written."""
    text = (PIPELINES / "training.yaml").read_text()
    load_text(text, origin="x")
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.1


def _seconds(text):
    start = time.perf_counter()
    load_text(text, origin="x")
    return time.perf_counter() - start
