"""Artifacts, executions, contexts and their lineage."""

from connection import connect, passed, unique
from google.api_core import exceptions
from google.cloud import aiplatform, aiplatform_v1
from google.cloud.aiplatform.metadata import context as contexts
from google.cloud.aiplatform.metadata.schema.system import artifact_schema, execution_schema
from google.cloud.aiplatform_v1.types import Execution as Message

connect()
State = Message.State

# artifacts
uri = f"gs://somewhere/{unique('data')}"
data = aiplatform.Artifact.create(
    schema_title="system.Dataset",
    uri=uri,
    display_name="rows",
    description="what came in",
    metadata={"rows": 3, "ratio": 0.25, "clean": True, "source": "a:b", "nested": {"list": [1, None, "x"]}},
)
assert data.schema_version == "0.0.1" and data.state.name == "LIVE", data.to_dict()
read = aiplatform.Artifact(data.resource_name)
assert read.to_dict() == data.to_dict()
assert read.metadata["nested"] == {"list": [1.0, None, "x"]}, read.metadata
named = artifact_schema.Model(uri=uri + "/model", artifact_id=unique("model"), metadata={"depth": 2}).create()
assert aiplatform.Artifact.get(named.name).uri == uri + "/model"
try:
    aiplatform.Artifact.create(schema_title="system.Model", resource_id=named.name)
    raise AssertionError("a taken id was given again")
except exceptions.Conflict:
    pass
passed("artifacts are created and read")

data.update(metadata={"rows": 4, "more": "yes"}, description="changed")
again = aiplatform.Artifact(data.name)
assert again.metadata["rows"] == 4 and again.metadata["more"] == "yes" and again.metadata["ratio"] == 0.25
assert again.description == "changed" and again.display_name == "rows"
code = 0
try:
    read.update(metadata={"rows": 5})  # made from what was read before the change
except exceptions.GoogleAPICallError as error:
    code = error.code
assert code == 409, code
passed("artifacts are updated, a stale one is not")


def found(text, **more):
    return [one.name for one in aiplatform.Artifact.list(filter=text, **more)]


assert aiplatform.Artifact.get_with_uri(uri=uri).name == data.name
mine = f'uri="{uri}"'
assert found(mine) == [data.name]
assert found(f'{mine} AND schema_title="system.Dataset"') == [data.name]
assert found(f'{mine} AND (schema_title="system.Model" OR display_name="row*")') == [data.name]
assert found(f"{mine} AND metadata.rows.number_value > 3.5 AND metadata.clean.bool_value = true") == [data.name]
assert found(f"{mine} AND NOT metadata.rows.number_value = 4") == []
assert found(f'{mine} AND create_time > "2020-01-01T00:00:00Z" AND state = LIVE') == [data.name]
assert set(found(f'uri="{uri}*"')) == {data.name, named.name}
assert found(f'uri="{uri}*"', order_by="create_time") == [data.name, named.name]
assert found(f'uri="{uri}*"', order_by="createTime desc") == [named.name, data.name]
for wrong in ("nothing = 1", "display_name", '(uri="x"'):
    try:
        found(wrong)
        raise AssertionError(wrong)
    except exceptions.BadRequest:
        pass
passed("artifacts are listed with filters")

# executions
with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="train") as execution:
    execution.assign_input_artifacts([data, named])
    execution.assign_input_artifacts([data])
    made = aiplatform.Artifact.create(schema_title="system.Model", uri=uri + "/made", display_name="made")
    execution.assign_output_artifacts([made])
    execution.update(metadata={"epochs": 3})
assert execution.state is State.COMPLETE
read = aiplatform.Execution(execution.resource_name)
assert read.state is State.COMPLETE and read.metadata == {"epochs": 3.0}, read.to_dict()
assert sorted(one.name for one in read.get_input_artifacts()) == sorted([data.name, named.name])
assert [one.name for one in read.get_output_artifacts()] == [made.name]
try:
    with aiplatform.start_execution(schema_title="system.Run", display_name="breaks") as broken:
        raise KeyError("on purpose")
except KeyError:
    pass
assert aiplatform.Execution(broken.name).state is State.FAILED
custom = execution_schema.CustomJobExecution(execution_id=unique("custom"), display_name="job").create()
assert [one.name for one in aiplatform.Execution.list(filter=f'name="{custom.resource_name}"')] == [custom.name]
passed("executions join artifacts")

report = aiplatform.Artifact.create(schema_title="system.Artifact", uri=uri + "/report")
with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="report") as reporting:
    reporting.assign_input_artifacts([made])
    reporting.assign_output_artifacts([report])
client = data.api_client
graph = client.query_artifact_lineage_subgraph(artifact=data.resource_name)
assert {one.name for one in graph.artifacts} == {one.resource_name for one in (data, made, report)}, graph
assert {one.display_name for one in graph.executions} == {"train", "report"}
request = aiplatform_v1.QueryArtifactLineageSubgraphRequest(
    artifact=data.resource_name, max_hops=2, filter='schema_title="system.Model"'
)
graph = client.query_artifact_lineage_subgraph(request)
assert {one.name for one in graph.artifacts} == {data.resource_name, made.resource_name}, graph
passed("lineage is followed")

# contexts
family = unique("family")
parent = contexts.Context.create(
    schema_title="system.Experiment", resource_id=family, display_name="parent", metadata={"a": 1}
)
children = [
    contexts.Context.get_or_create(f"{family}-{name}", schema_title="system.ExperimentRun", display_name=name)
    for name in ("one", "two")
]
assert contexts.Context.get_or_create(f"{family}-one", schema_title="x", display_name="x").display_name == "one"
parent.add_context_children(children)
parent.add_context_children(children[:1])
listed = contexts.Context.list(filter=f'parent_contexts:"{parent.resource_name}"')
assert sorted(one.name for one in listed) == [f"{family}-one", f"{family}-two"]
assert list(contexts.Context(f"{family}-one").parent_contexts) == [parent.resource_name]
listed = contexts.Context.list(filter=f'child_contexts:"{children[0].resource_name}"')
assert [one.name for one in listed] == [family]
try:
    children[0].add_context_children([parent])
    raise AssertionError("a circle was accepted")
except exceptions.ClientError:
    pass
children[0].add_artifacts_and_executions([made.resource_name], [execution.resource_name])
graph = children[0].query_lineage_subgraph()
assert {one.name for one in graph.artifacts} >= {made.resource_name} and len(graph.executions) == 1
inside = f'in_context("{children[0].resource_name}")'
assert found(inside) == [made.name] and found(f'{inside} AND schema_title="system.Dataset"') == []
assert [one.name for one in children[0].get_artifacts()] == [made.name]
assert [one.name for one in aiplatform.Execution.list(filter=inside)] == [execution.name]
parent.update(metadata={"b": 2})
assert contexts.Context(family).metadata == {"a": 1.0, "b": 2.0}
client.remove_context_children(context=parent.resource_name, child_contexts=[children[1].resource_name])
assert [one.name for one in contexts.Context.list(filter=f'parent_contexts:"{parent.resource_name}"')] == [
    children[0].name
]
passed("contexts are families and hold what belongs to them")

# paging, schemas, stores
stem = unique("many")
for number in range(7):
    aiplatform.Artifact.create(schema_title="system.Artifact", uri=f"gs://{stem}", display_name=f"n{number}")
request = aiplatform_v1.ListArtifactsRequest(
    parent=data.resource_name.partition("/artifacts/")[0],
    filter=f'uri="gs://{stem}"',
    page_size=3,
    order_by="display_name",
)
pages = list(client.list_artifacts(request).pages)
assert [len(page.artifacts) for page in pages] == [3, 3, 1]
assert [one.display_name for page in pages for one in page.artifacts] == [f"n{number}" for number in range(7)]
parent_name = request.parent
titles = [one.schema for one in client.list_metadata_schemas(parent=parent_name)]
assert any("system.Dataset" in one for one in titles), titles
schema = client.create_metadata_schema(
    parent=parent_name,
    metadata_schema=aiplatform_v1.MetadataSchema(
        schema_version="0.0.2",
        schema=f"title: {stem}.Thing\ntype: object\n",
        schema_type="ARTIFACT_TYPE",
    ),
)
assert client.get_metadata_schema(name=schema.name).schema == schema.schema
[store] = client.list_metadata_stores(parent=parent_name.rpartition("/metadataStores")[0])
assert store.name == parent_name
passed("pages, schemas and stores")

# deletion
request = aiplatform_v1.PurgeArtifactsRequest(parent=parent_name, filter=f'uri="gs://{stem}"')
answer = client.purge_artifacts(request).result()
assert answer.purge_count == 7 and len(answer.purge_sample) == 7, answer
assert len(found(f'uri="gs://{stem}"')) == 7
request.force = True
assert client.purge_artifacts(request).result().purge_count == 7
assert found(f'uri="gs://{stem}"') == []
parent.delete()
assert contexts.Context.get(family) is None
assert list(contexts.Context(f"{family}-one").parent_contexts) == []
execution.delete()
assert found(inside) == [made.name]
for one in (data, named, made, report, reporting, broken, custom, *children):
    one.delete()
assert aiplatform.Artifact.get(data.name) is None
passed("what is deleted is gone, and what was joined to it stays")
