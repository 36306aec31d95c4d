"""Steps' configuration in a pipeline's document: what is written, who gets a copy, what stays as it was."""

import copy
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.spec.documents import PIPELINES, compiled, text_of

from cairn.domain.configuration import StepConfiguration as Step
from cairn.errors import ConfigurationError
from cairn.spec.load import load_file, load_text
from cairn.spec.native_calls import known_calls
from cairn.spec.stepping import configured_document, with_steps
from cairn.spec.types import ComponentSpec, Pipeline, ResourceSpec, RetryPolicy, TaskSpec


def _task(component, **more):
    return {"componentRef": {"name": component}, "taskInfo": {"name": component}, **more}


def _dag(**tasks):
    return {"dag": {"tasks": {name.replace("_", "-"): task for name, task in tasks.items()}}}


def _shared():
    """`train` and `again` are of one component, and `other`, of another one, runs the same executor; both nested
    pipelines are one component too."""
    return {
        "pipelineInfo": {"name": "shared"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": {
            "comp-train": {"executorLabel": "exec-train"},
            "comp-train-2": {"executorLabel": "exec-other"},
            "comp-other": {"executorLabel": "exec-train"},
            "comp-inner": _dag(train=_task("comp-train"), load_data=_task("comp-other")),
        },
        "deploymentSpec": {
            "executors": {
                "exec-train": {"container": {"image": "a:1", "env": [{"name": "A", "value": "1"}]}},
                "exec-other": {"container": {"image": "b:1"}},
            }
        },
        "root": _dag(
            train=_task("comp-train", cachingOptions={"enableCache": True, "cacheKey": "mine"}),
            again=_task("comp-train"),
            other=_task("comp-other"),
            second=_task("comp-train-2"),
            inner=_task("comp-inner"),
            inner_2=_task("comp-inner"),
        ),
    }


def _loaded(document):
    return load_text(json.dumps(document), origin="p.json")


def _leaves(pipeline: Pipeline) -> dict[str, tuple[TaskSpec, ComponentSpec]]:
    """By path; without the component's name, which a copy does not keep."""
    found, waiting = {}, [("", pipeline.root)]
    for path, component in waiting:
        for name, task in component.dag.tasks.items():
            inner = pipeline.components[task.component]
            if inner.dag is not None:
                waiting.append((f"{path}{name}/", inner))
            else:
                plain = msgspec.structs.replace(task, component="")
                found[path + name] = (plain, msgspec.structs.replace(inner, name=""))
    return found


def _stepped(steps, document=None):
    return with_steps(_loaded(document or _shared()), steps)


def _executor(pipeline, path):
    return _leaves(pipeline)[path][1].executor


def test_everything_that_can_be_said_of_a_step_is_in_the_pipeline_that_is_read_again():
    said = Step(
        cpu="2", memory="4Gi", memory_limit="8Gi", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=2,
        image="c:2", environment={"A": "2", "B": "x"}, caching=False, retries=3, backoff_seconds=1.5,
        timeout_seconds=60,
    )  # fmt: skip
    changed = _stepped({"train": said})
    task, component = _leaves(changed)["train"]
    assert component.executor.resources == ResourceSpec("2", "2", "4Gi", "8Gi", "NVIDIA_TESLA_T4", "2")
    assert component.executor.image == "c:2"
    assert component.executor.env == {"A": "2", "B": "x"}
    assert component.platform.active_deadline_seconds == 60
    assert (task.cache, task.cache_key) == (False, "")
    assert task.retry == RetryPolicy(3, 1.5)
    # The text is what was changed: read elsewhere, it is the same pipeline.
    assert load_text(changed.text, origin="x") == changed
    assert changed.digest != _loaded(_shared()).digest
    container = json.loads(changed.text)["pipelineSpec"]["deploymentSpec"]["executors"]["exec-train-2"]["container"]
    assert container["resources"] == {
        "resourceCpuRequest": "2", "cpuRequest": 2.0, "resourceCpuLimit": "2", "cpuLimit": 2.0,
        "resourceMemoryRequest": "4Gi", "memoryRequest": 4.294967296,
        "resourceMemoryLimit": "8Gi", "memoryLimit": 8.589934592,
        "accelerator": {**dict.fromkeys(("type", "resourceType"), "NVIDIA_TESLA_T4"), "count": "2",
                        "resourceCount": "2"},
    }  # fmt: skip


def test_a_step_that_shares_its_component_gets_one_of_its_own_and_the_others_keep_theirs():
    document = json.loads(_stepped({"train": Step(image="c:2")}).text)
    tasks = document["root"]["dag"]["tasks"]
    # comp-train-2 is taken.
    assert tasks["train"]["componentRef"]["name"] == "comp-train-3"
    assert tasks["again"]["componentRef"]["name"] == "comp-train"
    assert document["components"]["comp-train-3"]["executorLabel"] == "exec-train-2"
    before = _shared()
    for name, component in before["components"].items():
        assert document["components"][name] == component
    assert document["deploymentSpec"]["executors"]["exec-train"] == before["deploymentSpec"]["executors"]["exec-train"]


def test_a_step_that_shares_nothing_is_changed_where_it_is():
    document = json.loads(_stepped({"second": Step(image="c:2")}).text)
    assert document["components"] == _shared()["components"]
    assert document["deploymentSpec"]["executors"]["exec-other"] == {"container": {"image": "c:2"}}


def test_steps_of_one_nested_pipeline_are_configured_and_those_of_its_twin_are_not():
    changed = _stepped({"inner/train": Step(image="c:2")})
    images = {path: component.executor.image for path, (_, component) in _leaves(changed).items()}
    assert images.pop("inner/train") == "c:2"
    assert images["inner-2/train"] == images["train"] == "a:1"
    assert "comp-inner-2" in changed.components


def test_where_all_users_say_the_same_nothing_is_copied():
    changed = _stepped({"*": Step(environment={"B": "x"})})
    assert set(changed.components) == set(_shared()["components"])
    assert all(component.executor.env["B"] == "x" for _, component in _leaves(changed).values())
    assert _executor(changed, "train").env == {"A": "1", "B": "x"}


def test_the_later_of_two_that_match_wins_field_by_field():
    changed = _stepped(
        {
            "*": Step(image="c:1", environment={"A": "9", "B": "x"}),
            "tr*": Step(image="c:2"),
            "train": Step(environment={"B": "y"}),
        }
    )
    assert _executor(changed, "train").image == "c:2"
    assert _executor(changed, "train").env == {"A": "9", "B": "y"}
    assert _executor(changed, "again").image == "c:1"


@pytest.mark.parametrize("key", ["inner/load-data", "inner/load_data", "inner/load*"])
def test_a_step_is_named_as_its_function_too(key):
    assert _executor(_stepped({key: Step(image="c:2")}), "inner/load-data").image == "c:2"


def test_loops_conditions_and_exit_handlers_need_not_be_named():
    pipeline = load_file(PIPELINES / "training.yaml")
    short = with_steps(pipeline, {"train": Step(image="c:2"), "inner/say": Step(cpu="2")})
    written = with_steps(
        pipeline,
        {"for-loop-2/train": Step(image="c:2"), "condition-branches-5/condition-6/inner/say": Step(cpu="2")},
    )
    assert short.text == written.text != pipeline.text
    images = {
        path for path, (_, component) in _leaves(short).items() if getattr(component.executor, "image", "") == "c:2"
    }
    assert images == {"for-loop-2/train"}


def test_a_platform_configuration_stays_and_goes_with_a_copy():
    pipeline = load_text(text_of(compiled()), origin="p.yaml")
    changed = with_steps(pipeline, {"shell": Step(image="c:2", timeout_seconds=90)})
    before, after = _leaves(pipeline)["shell"][1].platform, _leaves(changed)["shell"][1].platform
    assert after == msgspec.structs.replace(before, active_deadline_seconds=90)
    assert before.secret_env
    assert changed.warnings == pipeline.warnings != ()


def test_a_machine_type_is_what_its_step_requests_and_takes_the_limits_away():
    document = _shared()
    container = document["deploymentSpec"]["executors"]["exec-other"]["container"]
    container["resources"] = {
        "resourceCpuLimit": "1",
        "cpuLimit": 1.0,
        "resourceMemoryLimit": "1Gi",
        "memoryLimit": 1.1,
    }
    changed = _stepped({"second": Step(machine_type="n1-standard-8", accelerator_type="NVIDIA_TESLA_T4")}, document)
    assert _executor(changed, "second").resources == ResourceSpec("8000m", "", "30720Mi", "", "NVIDIA_TESLA_T4", "1")
    changed = _stepped({"second": Step(machine_type="a2-highgpu-2g", cpu="3")}, document)
    assert _executor(changed, "second").resources == ResourceSpec("3", "3", "174080Mi", "", "NVIDIA_TESLA_A100", "2")
    changed = _stepped({"second": Step(machine_type="a2-highgpu-2g", accelerator_count=0)}, document)
    assert _executor(changed, "second").resources.accelerator_type == ""


def test_retries_and_accelerators_can_be_taken_away():
    document = _shared()
    document["root"]["dag"]["tasks"]["second"]["retryPolicy"] = {"maxRetryCount": 2}
    container = document["deploymentSpec"]["executors"]["exec-other"]["container"]
    container["resources"] = {"accelerator": {"type": "NVIDIA_L4", "count": "1"}}
    assert _executor(_stepped({"second": Step(accelerator_count=3)}, document), "second").resources == ResourceSpec(
        accelerator_type="NVIDIA_L4", accelerator_count="3"
    )
    changed = _stepped({"second": Step(retries=0, accelerator_count=0)}, document)
    assert _leaves(changed)["second"][0].retry is None
    assert _executor(changed, "second").resources == ResourceSpec()


def test_a_pipeline_job_in_snake_case_is_configured_as_it_is_spelled():
    spec = {
        "pipeline_info": {"name": "job"},
        "schema_version": "2.1.0",
        "components": {"comp-a": {"executor_label": "exec-a"}},
        "deployment_spec": {"executors": {"exec-a": {"container": {"image": "a:1"}}}},
        "root": {
            "dag": {"tasks": {"a": {"component_ref": {"name": "comp-a"}, "caching_options": {"enable_cache": True}}}}
        },
    }
    document = {"pipeline_spec": spec, "runtime_config": {"gcs_output_directory": "gs://b/r"}}
    changed = _stepped({"a": Step(image="c:2", caching=False, timeout_seconds=5)}, document)
    written = json.loads(changed.text)
    assert written["pipeline_spec"]["root"]["dag"]["tasks"]["a"]["caching_options"] == {"enable_cache": False}
    assert _executor(changed, "a").image == "c:2"
    assert _leaves(changed)["a"][1].platform.active_deadline_seconds == 5
    assert changed.default_root == "gs://b/r"


def test_a_custom_job_has_its_machine_its_replicas_and_its_time_out_in_its_own_words():
    document = _shared()
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": 1,
        "containerSpec": {"imageUri": "a:1", "env": [{"name": "A", "value": "1"}]},
    }
    document["deploymentSpec"]["executors"]["exec-other"] = {
        "customJob": {"customJob": {"jobSpec": {"workerPoolSpecs": [pool]}}}
    }
    said = Step(
        machine_type="n1-standard-8", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1, replicas=4, image="c:2",
        environment={"B": "x"}, timeout_seconds=60,
    )  # fmt: skip
    changed = _stepped({"second": said}, document)
    pools = _executor(changed, "second").job.pools
    assert [(pool.replicas, pool.container.image) for pool in pools] == [(1, "c:2"), (3, "c:2")]
    executors = json.loads(changed.text)["deploymentSpec"]["executors"].values()
    (job,) = [
        found["customJob"]["customJob"]["jobSpec"]
        for found in executors
        if "customJob" in found and len(found["customJob"]["customJob"]["jobSpec"]["workerPoolSpecs"]) > 1
    ]
    machine = {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    container = {"imageUri": "c:2", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "x"}]}
    assert job["workerPoolSpecs"] == [
        {"machineSpec": machine, "replicaCount": 1, "containerSpec": container},
        {"machineSpec": machine, "replicaCount": 3, "containerSpec": container},
    ]
    assert job["scheduling"] == {"timeout": "60s"}
    with pytest.raises(ConfigurationError) as refused:
        _stepped({"second": Step(cpu="4")}, document)
    assert refused.value.place == "cairn.steps.second.cpu"
    assert "machine_type" in refused.value.remedy


@pytest.mark.parametrize(
    ("key", "step", "place", "message"),
    [
        ("trane", Step(cpu="1"), "cairn.steps.trane", "no step 'trane' (did you mean 'train'?)"),
        ("tranes*", Step(), "cairn.steps.tranes*", "no step 'tranes*'"),
        ("inner", Step(cpu="1"), "cairn.steps.inner", "is a pipeline inside the pipeline"),
        ("train", Step(cpu="lots"), "cairn.steps.train.cpu", "'lots' is no amount of CPU"),
        ("train", Step(memory_limit="4Gb"), "cairn.steps.train.memory_limit", "no amount of memory"),
        ("train", Step(machine_type="n1-standart-8"), "cairn.steps.train.machine_type", "did you mean 'n1-standard-8'"),
        ("train", Step(replicas=2), "cairn.steps.train.replicas", "2 replicas are wanted"),
        ("train", Step(accelerator_count=1), "cairn.steps.train.accelerator_count", "of no type"),
        ("train", Step(cpu="4", cpu_limit="2"), "cairn.steps.train.cpu_limit", "2 is less than the 4"),
    ],
)
def test_what_cannot_be_is_refused_with_file_key_and_remedy(key, step, place, message):
    with pytest.raises(ConfigurationError) as refused:
        _stepped({key: step})
    assert refused.value.place == place
    assert message in refused.value.message
    assert refused.value.remedy


def test_an_importer_is_left_out_of_patterns_and_refused_by_name():
    pipeline = load_file(PIPELINES / "training.yaml")
    changed = with_steps(pipeline, {"*": Step(cpu="2")})
    assert _executor(changed, "importer") == _executor(pipeline, "importer")
    with pytest.raises(ConfigurationError, match="runs no container"):
        with_steps(pipeline, {"importer": Step(cpu="2")})


def test_the_document_given_is_left_as_it_was():
    document = _shared()
    before = copy.deepcopy(document)
    configured_document(document, {"*": Step(image="c", timeout_seconds=1), "train": Step(caching=False)})
    assert document == before


_names = st.sampled_from(["a", "b", "load-data", "inner", "for-loop-1"])


@st.composite
def _documents(draw):
    """Pipelines of up to three levels whose tasks, components and executors are shared at random."""
    executors = {f"exec-{n}": {"container": {"image": f"i:{n}"}} for n in range(draw(st.integers(1, 3)))}
    components = {
        f"comp-{n}": {"executorLabel": draw(st.sampled_from(sorted(executors)))} for n in range(draw(st.integers(1, 3)))
    }
    for level in range(draw(st.integers(0, 2))):
        tasks = draw(st.dictionaries(_names, st.sampled_from(sorted(components)), min_size=1, max_size=4))
        components[f"comp-dag-{level}"] = {"dag": {"tasks": {name: _task(of) for name, of in tasks.items()}}}
    tasks = draw(st.dictionaries(_names, st.sampled_from(sorted(components)), min_size=1, max_size=5))
    return {
        "pipelineInfo": {"name": "drawn"},
        "schemaVersion": "2.1.0",
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": {name: _task(of) for name, of in tasks.items()}}},
    }


_steps = st.builds(
    Step,
    cpu=st.sampled_from([None, "2", "500m"]),
    environment=st.sampled_from([{}, {"X": "1"}]),
    caching=st.sampled_from([None, True]),
    retries=st.sampled_from([None, 2]),
    timeout_seconds=st.sampled_from([None, 30]),
)


def _without_loops(path):
    *blocks, name = path.split("/")
    return "/".join([*(block for block in blocks if block != "for-loop-1"), name])


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_whatever_is_configured_every_other_task_keeps_its_definition(data):
    document = data.draw(_documents())
    pipeline = _loaded(document)
    before = _leaves(pipeline)
    steps = data.draw(st.dictionaries(st.sampled_from(sorted(before)), _steps, max_size=3))
    # A path without its loops names every step that it leads to.
    touched = {path for path in before if {path, _without_loops(path)} & set(steps)}
    changed = with_steps(pipeline, steps)
    after = _leaves(changed)
    assert list(after) == list(before)
    assert {path: after[path] for path in before if path not in touched} == {
        path: before[path] for path in before if path not in touched
    }
    for path in set(steps):
        task, component = after[path]
        if steps[path].cpu:
            assert component.executor.resources.cpu_request in {step.cpu for step in steps.values()}
        if steps[path].environment:
            assert component.executor.env == {"X": "1"}
        if steps[path].timeout_seconds:
            assert component.platform.active_deadline_seconds == 30
        if steps[path].retries:
            assert task.retry is not None
    assert with_steps(pipeline, steps).text == changed.text


JOBS = PIPELINES.parent / "jobs"
ON_A_GPU = Step(
    machine_type="a2-highgpu-1g", accelerator_type="NVIDIA_TESLA_A100", accelerator_count=1, image="trainer:2",
    environment={"B": "x"}, timeout_seconds=60,
)  # fmt: skip


@pytest.mark.parametrize(
    ("file", "step"),
    [
        ("launched_1", "training"),  # text of schema 2.0, of the task
        ("launched_2", "custom-training-job"),  # a constant of the task
        ("launched_2", "training"),  # the default of its component
    ],
)
def test_a_step_that_launches_a_custom_job_is_configured_in_its_worker_pools(file, step):
    pipeline = load_file(JOBS / f"{file}.json")
    changed = with_steps(pipeline, {step: ON_A_GPU})
    before, after = (_launched(one, step) for one in (pipeline, changed))
    pool, old = (one["job_spec"]["worker_pool_specs"][0] for one in (after, before))
    assert pool["machine_spec"]["machine_type"] == "a2-highgpu-1g"
    assert pool["machine_spec"]["accelerator_type"] == "NVIDIA_TESLA_A100"
    assert pool["machine_spec"]["accelerator_count"] == 1
    assert pool["container_spec"]["image_uri"] == "trainer:2"
    assert {"name": "B", "value": "x"} in pool["container_spec"]["env"]
    for part in ("command", "args"):
        assert pool["container_spec"][part] == old["container_spec"][part]
    assert after["job_spec"]["scheduling"]["timeout"] == "60s"
    for other in {call.path for call in known_calls(pipeline, {})} - {step}:
        assert _launched(pipeline, other) == _launched(changed, other)
    # In snake_case, as the launcher hands it to its client: a message with both spellings would be refused there.
    assert "machineType" not in changed.text
    assert "imageUri" not in changed.text


def test_a_custom_job_executor_is_configured_in_its_worker_pools():
    pipeline = load_file(JOBS / "executors_1.json")
    changed = with_steps(pipeline, {"training": ON_A_GPU})
    before, after = _leaves(pipeline), _leaves(changed)
    executor = after["training"][1].executor
    assert executor.resources.machine_type == "a2-highgpu-1g"
    assert (executor.resources.accelerator_type, executor.resources.accelerator_count) == ("NVIDIA_TESLA_A100", "1")
    assert executor.image == "trainer:2"
    assert executor.env == {**before["training"][1].executor.env, "B": "x"}
    of_before = before["training"][1].executor
    assert (executor.command, executor.args) == (of_before.command, of_before.args)
    assert after["training"][1].platform.active_deadline_seconds == 60
    several = _leaves(with_steps(pipeline, {"training": Step(replicas=3)}))["training"][1].executor
    assert [pool.replicas for pool in several.job.pools] == [1, 2]


def _launched(pipeline, path):
    """What the launcher of a step is told, as far as it is known."""
    return next(call.message for call in known_calls(pipeline, {}) if call.path == path)


def test_what_a_launching_step_cannot_be_is_refused():
    pipeline = load_file(JOBS / "launched_2.json")
    with pytest.raises(ConfigurationError, match="the step is a custom job") as refused:
        with_steps(pipeline, {"training": Step(cpu="4")})
    assert (refused.value.place, refused.value.remedy) == ("cairn.steps.training.cpu", "say its machine_type")
    document = json.loads(pipeline.text)
    task = document["root"]["dag"]["tasks"]["training"]
    task.setdefault("inputs", {}).setdefault("parameters", {})["worker_pool_specs"] = {
        "componentInputParameter": "pools"
    }
    document["root"]["inputDefinitions"]["parameters"]["pools"] = {"parameterType": "LIST"}
    with pytest.raises(ConfigurationError, match="known only when it runs"):
        with_steps(load_text(json.dumps(document), origin="p"), {"training": Step(image="x")})
