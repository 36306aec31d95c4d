"""Artifacts, executions, contexts and lineage; experiments equal to what was logged."""

import os
import tempfile

from connection import BUCKET, connect, passed, unique, until
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import PipelineState
from kfp import compiler
from pipelines import arithmetic

connect()

# artifacts
artifact = aiplatform.Artifact.create(
    schema_title="system.Dataset",
    display_name=unique("data"),
    uri=BUCKET + "/data.csv",
    metadata={"rows": 12, "k": "v"},
)
same = aiplatform.Artifact.get(artifact.resource_name)
assert same.uri == BUCKET + "/data.csv" and same.metadata["rows"] == 12, same.metadata
artifact.update(metadata={"rows": 13})
assert aiplatform.Artifact(artifact.resource_name).metadata["rows"] == 13
found = aiplatform.Artifact.list(filter=f'display_name="{artifact.display_name}"')
assert [each.resource_name for each in found] == [artifact.resource_name]
assert aiplatform.Artifact.get_with_uri(uri=artifact.uri).uri == artifact.uri
passed("artifacts")

# executions and lineage
model = aiplatform.Artifact.create(schema_title="system.Model", display_name=unique("model"), uri=BUCKET + "/model")
with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name=unique("training")) as execution:
    execution.assign_input_artifacts([artifact])
    execution.assign_output_artifacts([model])
assert [each.resource_name for each in execution.get_input_artifacts()] == [artifact.resource_name]
assert [each.resource_name for each in execution.get_output_artifacts()] == [model.resource_name]
assert aiplatform.Execution.get(execution.resource_name).state.name == "COMPLETE"
passed("executions, lineage")

# contexts
context = aiplatform.Context.create(
    schema_title="system.Experiment", resource_id=unique("context"), display_name="context", metadata={"a": 1}
)
context.add_artifacts_and_executions(
    artifact_resource_names=[artifact.resource_name, model.resource_name],
    execution_resource_names=[execution.resource_name],
)
graph = context.query_lineage_subgraph()
assert {each.name for each in graph.artifacts} == {artifact.resource_name, model.resource_name}
assert {each.name for each in graph.executions} == {execution.resource_name}
assert len(graph.events) == 2
inside = aiplatform.Artifact.list(filter=f'in_context("{context.resource_name}")')
assert {each.resource_name for each in inside} == {artifact.resource_name, model.resource_name}
context.update(metadata={"a": 2})
assert aiplatform.Context.get(context.resource_name).metadata["a"] == 2
passed("contexts")

# experiments
name = unique("experiment")
connect(experiment=name, experiment_tensorboard=False)  # TensorBoard comes with a later version
logged = {}
for number in range(3):
    run = f"run-{number}"
    aiplatform.start_run(run)
    parameters = {"rate": 0.1 * (number + 1), "layers": number, "kind": f"k{number}"}
    values = {"loss": 1.0 / (number + 1), "steps": 100 * number}
    aiplatform.log_params(parameters)
    aiplatform.log_metrics(values)
    aiplatform.end_run()
    logged[run] = (parameters, values)
frame = aiplatform.get_experiment_df(name)
assert len(frame) == 3, frame
for _, row in frame.iterrows():
    parameters, values = logged[row["run_name"]]
    assert row["experiment_name"] == name and row["state"] == "COMPLETE", row
    for key, value in parameters.items():
        assert row["param." + key] == value, (key, row)
    for key, value in values.items():
        assert row["metric." + key] == value, (key, row)
with aiplatform.start_run("run-1", resume=True) as resumed:
    assert resumed.get_params() == {**logged["run-1"][0]}
    assert resumed.get_metrics() == {**logged["run-1"][1]}
passed("experiments")

# submit(experiment=)
path = os.path.join(tempfile.mkdtemp(), "arithmetic.json")
compiler.Compiler().compile(arithmetic, path)
job = aiplatform.PipelineJob(
    display_name=unique("in-experiment"), job_id=unique("in-experiment"), template_path=path, pipeline_root=BUCKET + "/root", enable_caching=False,  # noqa: E501
    parameter_values={"numbers": [5], "factor": 4},
)  # fmt: skip
job.submit(experiment=name)
until(lambda: job.state == PipelineState.PIPELINE_STATE_SUCCEEDED, 90)
assert job.get_associated_experiment().name == name
rows = aiplatform.get_experiment_df(name)
mine = rows[rows["run_type"] == "system.PipelineRun"]
assert len(mine) == 1 and mine.iloc[0]["run_name"] in (job.name, job.display_name), rows
assert mine.iloc[0]["param.factor"] == 4, mine.iloc[0]
assert mine.iloc[0]["metric.half"] == 10.0, mine.iloc[0]
passed("submit(experiment=)")

experiment = aiplatform.Experiment(name)
aiplatform.ExperimentRun("run-2", experiment=name).delete()
assert len(aiplatform.get_experiment_df(name)) == 3
experiment.delete()
passed("delete")
