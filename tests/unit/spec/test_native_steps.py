"""Launchers of Google's pipeline components: recognised as real compilers wrote them, filled in, refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from cairn.errors import SpecError
from cairn.spec.load import load_file, load_text
from cairn.spec.native_calls import KnownCall, is_open, known_calls, settled
from cairn.spec.native_services import OWN_COMMAND
from cairn.spec.native_steps import options
from cairn.spec.placeholders import PlaceholderContext, compile_command
from cairn.spec.types import ContainerSpec, NativeSpec, Pipeline

JOBS = Path(__file__).parent / "jobs"


def native(pipeline: Pipeline, task: str) -> NativeSpec:
    assert pipeline.root.dag is not None
    found = pipeline.components[pipeline.root.dag.tasks[task].component].executor
    assert isinstance(found, NativeSpec)
    return found


def call(pipeline: Pipeline, task: str, **parameters: Any) -> KnownCall:
    return {one.path: one for one in known_calls(pipeline, parameters)}[task]


def message(pipeline: Pipeline, task: str, inputs: dict[str, Any], artifacts: dict[str, Any] | None = None) -> Any:
    """What the launcher of a task is told once everything is known."""
    named = {name: {"artifacts": [{"uri": uri, "name": name}]} for name, uri in (artifacts or {}).items()}
    context = PlaceholderContext(
        {
            "inputs": {"parameterValues": inputs, "artifacts": named},
            "outputs": {
                "parameters": {
                    name: {"outputFile": f"/out/{name}"} for name in ("gcp_resources", "score", "executor_input")
                },
                "artifacts": {"model_dir": {"artifacts": [{"uri": "/out/model_dir"}]}},
                "outputFile": "/out/executor_output.json",
            },
        },
        path_of=str,
    )
    words = compile_command(native(pipeline, task).arguments).resolve(context)
    return json.loads(options(words)["--payload"])


def training_inputs(pipeline: Pipeline, task: str = "training", **more: Any) -> dict[str, Any]:
    """A value for everything that the step still takes: its defaults, and what is given."""
    assert pipeline.root.dag is not None
    spec = pipeline.root.dag.tasks[task]
    declared = pipeline.components[spec.component].input_parameters
    found = {name: one.default for name, one in declared.items() if one.has_default}
    found.update({name: one.value for name, one in spec.parameters.items() if hasattr(one, "value")})
    return {**found, **more}


@pytest.mark.parametrize("name", ["launched_1", "launched_2"])
def test_what_the_launcher_is_told_is_what_the_compiler_meant(name: str) -> None:
    pipeline = load_file(JOBS / f"{name}.json")
    found = native(pipeline, "training")
    assert (found.type, found.refusal) == ("CustomJob", "")
    said = message(pipeline, "training", training_inputs(pipeline, max_epochs=3), {"data_dir": '/data/"of" mine'})
    pool = said["job_spec"]["worker_pool_specs"][0]
    assert pool["machine_spec"]["machine_type"] == "n1-standard-8"
    container = pool["container_spec"]
    assert container["image_uri"] == "example.com/demo/training:1"
    assert container["args"] == [
        'datamodule.data_dir=/data/"of" mine',
        "trainer.max_epochs=3",
        "--model",
        "/out/model_dir",
        "--score",
        "/out/score",
    ]
    component = pipeline.components["comp-training"]
    assert "worker_pool_specs" not in component.input_parameters, "it is in the launcher's words"
    assert pipeline.root.dag is not None
    assert "worker_pool_specs" not in pipeline.root.dag.tasks["training"].parameters
    assert {"score", "gcp_resources"} == set(component.output_parameters)


def test_a_lightweight_component_in_a_job_reads_its_own_executor_input() -> None:
    pipeline = load_file(JOBS / "launched_2.json")
    said = message(pipeline, "use", training_inputs(pipeline, "use", word='with "quotes"'), {"data": "/d"})
    container = said["job_spec"]["worker_pool_specs"][0]["container_spec"]
    at = container["args"].index("--executor_input")
    read = json.loads(container["args"][at + 1])
    assert read["inputs"]["parameterValues"]["word"] == 'with "quotes"'
    assert {"name": "COLOUR", "value": "blue"} in container["env"]


def test_pools_that_are_constants_stay_inputs() -> None:
    """And so a part of the cache key with a name."""
    pipeline = load_file(JOBS / "launched_2.json")
    assert pipeline.root.dag is not None
    task = pipeline.root.dag.tasks["custom-training-job"]
    assert "worker_pool_specs" in task.parameters
    said = call(pipeline, "custom-training-job").message
    assert said is not None
    assert said["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"] == ["constant", "/dev/null"]


def test_tasks_whose_words_differ_get_components_of_their_own() -> None:
    spec = json.loads((JOBS / "launched_2.json").read_text())
    for name in ("custom-training-job-2", "custom-training-job-3"):
        spec["root"]["dag"]["tasks"][name]["componentRef"]["name"] = "comp-custom-training-job"
    pipeline = load_text(json.dumps(spec), origin="shared")
    assert pipeline.root.dag is not None
    used = {name: task.component for name, task in pipeline.root.dag.tasks.items() if "custom" in name}
    assert used["custom-training-job"] == used["custom-training-job-3"] == "comp-custom-training-job"
    assert used["custom-training-job-2"] != "comp-custom-training-job"
    inputs = {**training_inputs(pipeline, "custom-training-job-2"), "pipelinechannel--word": "w"}
    inputs["pipelinechannel--machine"] = "e2-micro"
    pool, *_ = message(pipeline, "custom-training-job-2", inputs)["job_spec"]["worker_pool_specs"]
    assert pool["machine_spec"]["machine_type"] == "e2-micro"
    assert load_text(pipeline.text, origin="again") == pipeline


def test_what_is_known_before_the_run_is_told_and_the_rest_is_left_open() -> None:
    pipeline = load_file(JOBS / "launched_2.json")
    known = call(pipeline, "custom-training-job-2", word="w", machine="e2-micro").message
    assert known is not None
    pool, *_ = known["job_spec"]["worker_pool_specs"]
    assert pool["machine_spec"]["machine_type"] == "e2-micro"
    training = call(pipeline, "training", max_epochs=2).message
    assert training is not None
    container = training["job_spec"]["worker_pool_specs"][0]["container_spec"]
    assert "trainer.max_epochs=2" in container["args"]
    assert is_open(container["args"]), "where its outputs will be"
    assert not is_open(settled(training))


def test_pools_of_another_task_are_taken_when_it_runs() -> None:
    spec = json.loads((JOBS / "launched_2.json").read_text())
    task = spec["root"]["dag"]["tasks"]["custom-training-job"]
    task["inputs"]["parameters"]["worker_pool_specs"] = {"componentInputParameter": "pools"}
    spec["root"]["inputDefinitions"]["parameters"]["pools"] = {"parameterType": "LIST"}
    pipeline = load_text(json.dumps(spec), origin="p")
    assert native(pipeline, "custom-training-job").refusal == ""
    said = call(pipeline, "custom-training-job").message
    assert said is not None and is_open(said["job_spec"]["worker_pool_specs"])
    given = call(pipeline, "custom-training-job", pools=[{"container_spec": {"image_uri": "i"}}]).message
    assert given is not None and not is_open(given["job_spec"]["worker_pool_specs"])


def test_what_is_set_on_the_launching_task() -> None:
    """Variables are meant for what it starts; what it asks of the machine is its own, and it needs nothing."""
    spec = json.loads((JOBS / "launched_2.json").read_text())
    own = spec["deploymentSpec"]["executors"]["exec-training"]["container"]
    own["resources"] = {"resourceMemoryLimit": "2Gi"}
    own["env"] = [{"name": "SEED", "value": "7"}]
    pipeline = load_text(json.dumps(spec), origin="p")
    assert native(pipeline, "training").container.env == {"SEED": "7"}
    assert any("memory" in warning and "training" in warning for warning in pipeline.warnings)


def launched(*words: str, module: str = "v1.bigquery.query_job.launcher") -> Pipeline:
    spec = {
        "pipelineInfo": {"name": "p"},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"step": {"taskInfo": {"name": "step"}, "componentRef": {"name": "comp-step"}}}}},
        "components": {"comp-step": {"executorLabel": "exec-step"}},
        "deploymentSpec": {
            "executors": {
                "exec-step": {
                    "container": {
                        "image": "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0",
                        "command": ["python3", "-u", "-m", f"google_cloud_pipeline_components.container.{module}"],
                        "args": list(words),
                    }
                }
            }
        },
    }
    return load_text(json.dumps(spec), origin="p")


@pytest.mark.parametrize(
    ("kind", "module", "says", "instead"),
    [
        ("BigqueryQueryJob", "v1.bigquery.query_job.launcher", "BigqueryQueryJob needs BigQuery", "DuckDB"),
        ("DataprocSparkBatch", "v1.dataproc.create_spark_batch.launcher", "needs Dataproc", "pyspark"),
        ("DataflowJob", "preview.dataflow.flex_template.launcher", "needs Dataflow", "DirectRunner"),
        ("", "v1.dataflow.dataflow_launcher", "needs Dataflow", "DirectRunner"),
        ("AutoMLImageTrainingJob", "v1.automl_training_job.image.launcher", "needs AutoML", "CustomTrainingJobOp"),
        ("UploadModel", "v1.model.upload_model.launcher", "model registry", "artifact"),
        ("DeployModel", "v1.endpoint.deploy_model.launcher", "model registry", "artifact"),
        ("BatchPredictionJob", "v1.batch_prediction_job.launcher", "batch predictions", "artifact"),
        ("VertexNotificationEmail", "v1.vertex_notification_email.executor", "e-mail", "--notify"),
        ("", "_implementation.model.get_model.get_model", "model registry", "artifact"),
        ("", "experimental.notebooks.executor", "notebook", "papermill"),
        ("SomethingNew", "v2.something.launcher", "SomethingNew needs a service of Google Cloud", "component"),
    ],
)
def test_what_cairn_does_not_have_is_refused_by_name(kind: str, module: str, says: str, instead: str) -> None:
    words = ["--type", kind] if kind else []
    found = native(launched(*words, "--payload", "{}", module=module), "step")
    assert says in found.refusal
    assert instead in found.remedy


@pytest.mark.parametrize(
    ("cls", "method", "says"),
    [
        ("AutoMLTabularTrainingJob", "run", "AutoMLTabularTrainingJob.run needs AutoML"),
        ("TabularDataset", "create", "TabularDataset.create needs managed datasets"),
        ("Endpoint", "create", "Endpoint.create needs the model registry"),
    ],
)
def test_methods_of_the_client_are_refused_by_name(cls: str, method: str, says: str) -> None:
    words = ("--cls_name", cls, "--method_name", method)
    assert says in native(launched(*words, module="v1.aiplatform.remote_runner"), "step").refusal


def test_a_launcher_in_other_spellings() -> None:
    """Of 1.x: all words in the command; `--name=value`, as people write it."""
    found = launched("--type=Wait", '--payload={"resources": []}', module="v1.wait_gcp_resources.launcher")
    assert (native(found, "step").type, native(found, "step").refusal) == ("Wait", "")
    assert options(("-u", "--a", "1", "--b=2=3", "--c")) == {"--a": "1", "--b": "2=3", "--c": ""}


def test_a_component_that_does_its_work_itself_is_a_step_as_any_other() -> None:
    found = launched("--x", "1", module="experimental.sklearn.train_test_split_jsonl")
    assert isinstance(found.components["comp-step"].executor, ContainerSpec)


def test_a_placeholder_that_there_is_not_is_refused_with_its_place() -> None:
    with pytest.raises(SpecError, match="is no placeholder") as refused:
        launched("--type", "CustomJob", "--payload", "{{$.nothing}}", module="v1.custom_job.launcher")
    assert "exec-step" in refused.value.place


@pytest.mark.parametrize("payload", ["{nope", "[1]", ""])
def test_a_payload_that_is_none_is_known_as_such(payload: str) -> None:
    found = call(launched("--type", "CustomJob", "--payload", payload, module="v1.custom_job.launcher"), "step")
    assert found.message is None and found.problem


def test_a_step_of_cairns_own() -> None:
    spec = json.loads(launched().text)
    spec["deploymentSpec"]["executors"]["exec-step"]["container"] = {
        "image": "cairn",
        "command": [OWN_COMMAND],
        "args": ["--type", "Tune"],
    }
    assert native(load_text(json.dumps(spec), origin="p"), "step").type == "Tune"
