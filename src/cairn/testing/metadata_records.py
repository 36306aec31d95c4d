"""The conformance suite of what clients write into a metadata store; `RecordsConformance` inherits it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.domain.runs import Run
from cairn.engine.ports import Batch, Fence, Lineage
from cairn.errors import AlreadyExists, Conflict, InputRefused, NotFound, PreconditionFailed
from cairn.filters.tree import Comparison
from cairn.metadata.editing import MetadataEditor
from cairn.metadata.service import MetadataService
from cairn.metadata.types import DEFAULT_STORE, StoreName
from cairn.records import Records

STORE = StoreName("demo", "here")
STORE_NAME = "projects/demo/locations/here/metadataStores/default"


def an_artifact(id_: str, **fields: Any) -> Artifact:
    return Artifact(id_, ArtifactType("system.Dataset"), f"gs://data/{id_}", **fields)


def an_execution(id_: str) -> Execution:
    return Execution(id_, "system.Run", ExecutionState.RUNNING)


class MetadataConformance:
    @pytest.fixture
    def editor(self, records: Records) -> MetadataEditor:
        return MetadataEditor(records)

    def test_what_a_client_writes_is_read_again(self, records: Records, editor: MetadataEditor) -> None:
        labels = {"team": "ml"}
        metadata = {"rows": 3, "nested": {"a": [1, None]}}
        artifact = an_artifact("data", metadata=metadata, labels=labels, description="d", state="PENDING")
        execution = replace(
            an_execution("run"), metadata=metadata, labels=labels, description="d", schema_version="2.0.0"
        )
        context = Context("exp", "system.Experiment", "E", metadata, description="d", labels=labels)
        service = MetadataService(records)
        made = editor.create_artifact(STORE, artifact)
        assert made.create_time and made == replace(
            artifact, create_time=made.create_time, update_time=made.create_time, foreign=True
        )
        assert service.artifact("data", STORE) == made
        assert editor.create_execution(STORE, execution) == service.execution("run", STORE)
        assert editor.create_context(STORE, context) == service.context("exp", STORE)
        assert editor.create_artifact(STORE, an_artifact("")).id
        for create, thing in (
            (editor.create_artifact, artifact),
            (editor.create_execution, execution),
            (editor.create_context, context),
        ):
            with pytest.raises(AlreadyExists):
                create(STORE, thing)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            service.artifact("data", DEFAULT_STORE)

    def test_a_change_is_of_what_was_read(self, records: Records, editor: MetadataEditor) -> None:
        first = editor.create_artifact(STORE, an_artifact("data", custom_path="/kept"))

        def renamed(name: str) -> Any:
            return lambda one: replace(one, display_name=name)

        second = editor.update_artifact(STORE, "data", renamed("b"), etag=str(first.update_time))
        assert second == replace(first, display_name="b", update_time=second.update_time)
        assert second.update_time > first.update_time
        with pytest.raises(Conflict):
            editor.update_artifact(STORE, "data", renamed("c"), etag=str(first.update_time))
        assert editor.update_artifact(STORE, "data", renamed("d"), etag="").display_name == "d"
        with pytest.raises(NotFound):
            editor.update_context(STORE, "none", renamed("x"), etag="")
        assert editor.update_context(STORE, "new", renamed("x"), etag="", or_create=True).display_name == "x"
        assert [one.id for one in records.contexts_by_id(STORE, ["none", "new"])] == ["new"]

    def test_events_of_a_client_do_not_displace_one_another(self, records: Records, editor: MetadataEditor) -> None:
        for name in ("a", "b", "c"):
            editor.create_artifact(STORE, an_artifact(name))
        editor.create_execution(STORE, an_execution("run"))
        inputs = [Event(name, "run", EventType.INPUT, labels=(("k", name),)) for name in ("a", "b")]
        editor.add_events(STORE, "run", inputs)
        editor.add_events(
            STORE, "run", [*inputs, Event("c", "run", EventType.INPUT), Event("a", "run", EventType.OUTPUT)]
        )
        graph = MetadataService(records).execution_inputs_and_outputs("run", STORE)
        assert sorted((one.artifact_id, one.type.value, one.labels) for one in graph.events) == [
            ("a", "INPUT", (("k", "a"),)),
            ("a", "OUTPUT", ()),
            ("b", "INPUT", (("k", "b"),)),
            ("c", "INPUT", ()),
        ]
        with pytest.raises(NotFound, match="'gone'"):
            editor.add_events(
                STORE, "run", [Event("a", "run", EventType.OUTPUT), Event("gone", "run", EventType.INPUT)]
            )

    def test_contexts_are_families_without_circles(self, records: Records, editor: MetadataEditor) -> None:
        for name in ("top", "middle", "low"):
            editor.create_context(STORE, Context(name, "system.Experiment"))
        editor.add_children(STORE, "top", ["middle", "middle"])
        editor.add_children(STORE, "middle", ["low"])
        for parent, child in (("low", "top"), ("top", "top"), ("low", "middle")):
            with pytest.raises(PreconditionFailed, match="itself"):
                editor.add_children(STORE, parent, [child])
        asked = f'parent_contexts:"{STORE_NAME}/contexts/top"'
        assert [one.id for one in editor.contexts(STORE, text=asked).items] == ["middle"]
        assert [one.id for one in editor.contexts(STORE, text='child_contexts:"low"').items] == ["middle"]
        elsewhere = asked.replace("demo", "other")
        assert editor.contexts(STORE, text=elsewhere).items == ()
        editor.remove_children(STORE, "top", ["middle"])
        assert MetadataService(records).context("middle", STORE).parents == ()
        for number in range(10):
            editor.create_context(STORE, Context(f"parent-{number}", "system.Experiment"))
            editor.add_children(STORE, f"parent-{number}", ["middle"])
        with pytest.raises(PreconditionFailed, match="10 parents"):
            editor.add_children(STORE, "top", ["middle"])

    def test_lists_are_filtered_ordered_and_paged(self, editor: MetadataEditor) -> None:
        editor.create_context(STORE, Context("exp", "system.Experiment"))
        for number in range(5):
            title = "system.Model" if number % 2 else "system.Dataset"
            artifact = replace(an_artifact(f"a{number}", metadata={"n": number}), type=ArtifactType(title))
            editor.create_artifact(STORE, replace(artifact, display_name=f"d{4 - number}"))
        editor.add_to_context(STORE, "exp", ["a1", "a2", "a2"], [])

        def ids(**asked: Any) -> list[str]:
            found, token = list[str](), ""
            while True:
                page = editor.artifacts(STORE, size=2, token=token, **asked)
                found += [one.id for one in page.items]
                token = page.next_token
                if not token:
                    return found

        assert ids() == ["a4", "a3", "a2", "a1", "a0"]
        assert ids(order="display_name") == ["a4", "a3", "a2", "a1", "a0"]
        assert ids(order="create_time") == ["a0", "a1", "a2", "a3", "a4"]
        either = '(schema_title="system.Model" OR schema_title="system.Dataset" OR schema_title="system.Model")'
        assert ids(text=either) == ["a4", "a3", "a2", "a1", "a0"]
        assert ids(text=f"{either} AND metadata.n.number_value > 1", order="createTime") == ["a2", "a3", "a4"]
        assert ids(text=f'in_context("{STORE_NAME}/contexts/exp")') == ["a2", "a1"]
        assert ids(text=f'{either} AND in_context("{STORE_NAME}/contexts/exp") AND uri="gs://data/a2"') == ["a2"]
        assert ids(text=f'name="{STORE_NAME}/artifacts/a3" OR name=a0') == ["a3", "a0"]
        assert ids(text='NOT uri="gs://data/a*"') == []
        for wrong in ("nothing=1", "in_context=x", "name:*", "parent_contexts:x"):
            with pytest.raises(InputRefused):
                ids(text=wrong)

    def test_what_a_run_needs_is_not_deleted(
        self, records: Records, editor: MetadataEditor, run: Run, fence: Fence
    ) -> None:
        used, alone = editor.create_artifact(DEFAULT_STORE, an_artifact("used")), an_artifact("alone")
        editor.create_artifact(DEFAULT_STORE, alone)
        execution = an_execution("task")
        event = Event("used", "task", EventType.INPUT, "data")
        lineage = Lineage((execution,), (), (event,), ("train",))
        pipeline = Context("train", "system.Pipeline")
        records.commit(Batch(fences={run.uid: fence}, contexts=[pipeline], lineage=[lineage]))
        for noun, id_ in (("artifact", "used"), ("execution", "task"), ("context", "train")):
            with pytest.raises(PreconditionFailed, match="run"):
                editor.delete(noun, DEFAULT_STORE, id_)  # type: ignore[arg-type]
            assert editor.purge(noun, DEFAULT_STORE, f"name={id_}", force=True) == (0, [])  # type: ignore[arg-type]
        with pytest.raises(PreconditionFailed):
            editor.delete("artifact", DEFAULT_STORE, "alone", etag="1")
        editor.delete("artifact", DEFAULT_STORE, "alone")
        records.release(fence)
        records.delete_run(run.uid)
        assert records.artifacts_by_id(DEFAULT_STORE, ["used", "alone"]) == [used]

    def test_what_is_deleted_leaves_what_it_was_joined_to(self, records: Records, editor: MetadataEditor) -> None:
        for name in ("a", "b"):
            editor.create_artifact(STORE, an_artifact(name))
        editor.create_execution(STORE, an_execution("run"))
        editor.create_context(STORE, Context("exp", "system.Experiment"))
        editor.create_context(STORE, Context("child", "system.ExperimentRun"))
        editor.add_children(STORE, "exp", ["child"])
        editor.add_to_context(STORE, "child", ["a", "b"], ["run"])
        editor.add_events(STORE, "run", [Event(name, "run", EventType.INPUT) for name in ("a", "b")])
        service = MetadataService(records)
        editor.delete("context", STORE, "exp")
        assert service.context("child", STORE).parents == ()
        editor.delete("artifact", STORE, "a")
        graph = service.context_lineage("child", STORE)
        assert [one.artifact_id for one in graph.events] == ["b"] and [one.id for one in graph.artifacts] == ["b"]
        editor.delete("execution", STORE, "run")
        graph = service.context_lineage("child", STORE)
        assert (graph.executions, graph.events, len(graph.artifacts)) == ((), (), 1)
        with pytest.raises(NotFound):
            editor.delete("execution", STORE, "run")
        assert editor.purge("artifact", STORE, 'uri="gs://data/*"', force=False) == (1, ["b"])
        assert editor.purge("artifact", STORE, 'uri="gs://data/*"', force=True) == (1, [])
        with pytest.raises(InputRefused):
            editor.purge("artifact", STORE, " ", force=True)
        assert records.verify() == []

    def test_a_store_is_created_once_and_emptied(self, editor: MetadataEditor, run: Run) -> None:
        assert run.project == DEFAULT_STORE.project
        with pytest.raises(NotFound):
            editor.store(STORE)
        editor.create_artifact(STORE, an_artifact("a"))
        assert editor.create_store(STORE, "ours") == editor.store(STORE)
        with pytest.raises(AlreadyExists):
            editor.create_store(STORE)
        editor.drop_store(STORE)
        assert editor.artifacts(STORE).items == ()
        with pytest.raises(NotFound):
            editor.drop_store(STORE)
        editor.create_store(DEFAULT_STORE)
        with pytest.raises(PreconditionFailed, match="runs"):
            editor.drop_store(DEFAULT_STORE)

    def test_a_run_keeps_what_a_client_wrote_into_its_pipelines_context(
        self, records: Records, editor: MetadataEditor, run: Run
    ) -> None:
        def change(one: Context) -> Context:
            return replace(one, metadata={"mine": 1})

        editor.update_context(DEFAULT_STORE, "train", change, etag="", or_create=True)
        records.create_run(
            replace(run, uid="another", job_id="another"), "{}", [Context("train", "system.Pipeline", "T")]
        )
        found = MetadataService(records).context("train")
        assert (found.metadata, found.display_name) == ({"mine": 1}, "T")

    def test_artifacts_that_a_filter_leaves_out_are_not_followed(
        self, records: Records, editor: MetadataEditor
    ) -> None:
        for name in ("a", "b", "c", "d"):
            editor.create_artifact(STORE, an_artifact(name))
        for made, of in (("b", "a"), ("c", "b"), ("d", "a")):
            editor.create_execution(STORE, an_execution(f"{of}-{made}"))
            editor.add_events(
                STORE, f"{of}-{made}", [Event(of, "", EventType.INPUT), Event(made, "", EventType.OUTPUT)]
            )
        service = MetadataService(records)

        def reached(**asked: Any) -> list[str]:
            return [one.id for one in service.artifact_lineage("a", store=STORE, **asked).artifacts]

        assert reached() == ["a", "b", "c", "d"]
        assert reached(max_hops=0) == ["a"] and reached(max_hops=2) == ["a", "b", "d"]
        where = Comparison(("name",), "!=", "b")
        assert reached(where=where) == ["a", "d"]
