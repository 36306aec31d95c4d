"""Compiled pipelines, each broken in one place: refused in time, with the place and what is wrong in the words."""

# ruff: noqa: E501 - one row of a table is one line

import time

import pytest
from tests.unit.spec.documents import DELETE, change, compiled, text_of

from cairn.errors import InputRefused
from cairn.spec.load import load_file, load_text

TASKS = "root/dag/tasks"
SHELL = "deploymentSpec/executors/exec-shell/container"
K8S = "platforms/kubernetes/deploymentSpec/executors/exec-shell"
BRANCH = "components/comp-condition-branches-5/dag/tasks"
RATES = f"{TASKS}/for-loop-2"

# name, changes to the pipeline (path → value), the place that must be named, words that must be said
BROKEN = [
    # the document
    ("misspelt_field", {"component": {}}, "", "did you mean 'components'"),
    ("no_schema_version", {"schemaVersion": DELETE}, "schemaVersion", "missing"),
    ("newer_schema", {"schemaVersion": "3.0.0"}, "schemaVersion", "newer than Cairn reads"),
    ("newer_minor_schema", {"schemaVersion": "2.2.0"}, "schemaVersion", "newer"),
    ("strange_schema", {"schemaVersion": "two"}, "schemaVersion", "no schema version"),
    ("schema_is_a_number", {"schemaVersion": 2.1}, "schemaVersion", "text is wanted"),
    ("no_info", {"pipelineInfo": DELETE}, "pipelineInfo.name", "no name"),
    ("null_name", {"pipelineInfo/name": None}, "pipelineInfo.name", "no name"),
    ("blank_name", {"pipelineInfo/name": "  "}, "pipelineInfo.name", "no name"),
    ("name_with_control_characters", {"pipelineInfo/name": "a\nb"}, "pipelineInfo.name", "no name for a pipeline"),
    ("no_root", {"root": DELETE}, "root", "missing"),
    ("root_is_a_leaf", {"root": {"executorLabel": "exec-say"}}, "root", "no dag"),
    ("root_is_a_list", {"root": []}, "root", "mapping"),
    ("empty_dag", {"root/dag/tasks": {}}, "root.dag.tasks", "no tasks"),
    ("dag_and_executor", {"root/executorLabel": "exec-say"}, "root", "only one of"),
    ("both_spellings", {"schema_version": "2.1.0"}, "schemaVersion", "twice"),
    # names
    ("task_named_to_escape", {f"{TASKS}/..x": {}}, "root.dag.tasks", "letters, digits"),
    ("component_named_to_escape", {"components/../x": {}}, "components", "letters, digits"),
    ("empty_task_name", {f"{TASKS}/": {}}, "root.dag.tasks", "empty name"),
    ("endless_task_name", {f"{TASKS}/{'x' * 300}": {}}, "root.dag.tasks", "300 characters"),
    ("bell_in_parameter_name", {"root/inputDefinitions/parameters/a\x07": {}}, "root.inputDefinitions", "letters"),
    ("nul_in_artifact_name", {"root/inputDefinitions/artifacts/a\0b": {}}, "root.inputDefinitions", "letters"),
    ("hidden_output_name", {"root/outputDefinitions/parameters/.x": {}}, "root.outputDefinitions", "letters"),
    ("backslash_in_component", {"components/a\\b": {}}, "components", "letters"),
    ("component_called_root", {"components/root": {"executorLabel": "exec-say"}}, "components.root", "root"),
    # references
    ("unknown_component", {f"{TASKS}/split/componentRef/name": "comp-splt"}, "split.componentRef.name", "comp-split"),
    ("no_component", {f"{TASKS}/split/componentRef": DELETE}, "split.componentRef.name", "names no component"),
    ("unknown_executor", {"components/comp-split/executorLabel": "exec-x"}, "comp-split.executorLabel", "no executor"),
    ("neither_dag_nor_executor", {"components/comp-split/executorLabel": DELETE}, "components.comp-split", "neither"),
    ("unknown_dependency", {f"{TASKS}/best/dependentTasks/0": "splat"}, "best.dependentTasks", "'split'"),
    ("unknown_producer", {f"{TASKS}/best/inputs/parameters/scores/taskOutputParameter/producerTask": "for-loop-3"},
     "best.inputs.parameters.scores", "no task 'for-loop-3'"),
    ("unknown_output", {f"{TASKS}/best/inputs/parameters/scores/taskOutputParameter/outputParameterKey": "Outptu"},
     "best.inputs.parameters.scores.taskOutputParameter", "puts out no parameter"),
    ("producer_inside_another_dag", {f"{TASKS}/best/dependentTasks/1": "train"}, "best.dependentTasks", "train"),
    ("unknown_enclosing_input", {f"{TASKS}/split/inputs/parameters/rows/componentInputParameter": "row"},
     "split.inputs.parameters.rows.componentInputParameter", "did you mean 'rows'"),
    ("final_status_of_nobody", {f"{TASKS}/report/inputs/parameters/status/taskFinalStatus/producerTask": "x"},
     "report.inputs.parameters.status", "no task 'x'"),
    ("tasks_in_a_circle", {f"{TASKS}/split/dependentTasks": ["best"]}, "root.dag.tasks", "→"),
    ("task_waits_for_itself", {f"{TASKS}/split/dependentTasks": ["split"]}, "root.dag.tasks.split", "split → split"),
    ("component_in_itself", {"components/comp-inner/dag/tasks/say-4/componentRef/name": "comp-inner"},
     "components.comp-inner", "comp-inner → comp-inner"),
    ("components_in_a_circle", {"components/comp-inner/dag/tasks/say-4/componentRef/name": "comp-condition-6"},
     "components.", "circle"),
    # inputs and outputs
    ("required_input_missing", {f"{TASKS}/split/inputs/parameters/rows": DELETE}, "split.inputs.parameters", "'rows'"),
    ("required_artifact_missing", {f"{TASKS}/shell/inputs/artifacts": DELETE}, "shell.inputs.artifacts", "'data'"),
    ("undeclared_input", {f"{TASKS}/split/inputs/parameters/rowz": {"runtimeValue": {"constant": 1}}},
     "split.inputs.parameters.rowz", "did you mean 'rows'"),
    ("undeclared_input_of_a_dag", {f"{RATES}/inputs/parameters/pipelinechannel--x": {"runtimeValue": {"constant": 1}}},
     "for-loop-2.inputs.parameters.pipelinechannel--x", "no such input"),
    ("undeclared_artifact", {f"{TASKS}/shell/inputs/artifacts/dota": {"componentInputArtifact": "d"}},
     "shell.inputs.artifacts.dota", "did you mean 'data'"),
    ("parameter_given_as_artifact", {f"{TASKS}/shell/inputs/artifacts/name": {"componentInputArtifact": "name"}},
     "shell.inputs.artifacts.name", "is a parameter"),
    ("artifact_given_as_parameter", {f"{TASKS}/shell/inputs/parameters/data": {"componentInputParameter": "name"}},
     "shell.inputs.parameters.data", "is an artifact"),
    ("artifact_read_as_parameter", {f"{TASKS}/shell/inputs/parameters/name": {
        "taskOutputParameter": {"producerTask": "split", "outputParameterKey": "data"}}},
     "shell.inputs.parameters.name", "is an artifact, not a parameter"),
    ("parameter_read_as_artifact", {f"{TASKS}/shell/inputs/artifacts/data/taskOutputArtifact/outputArtifactKey": "count"},
     "shell.inputs.artifacts.data", "is a parameter, not an artifact"),
    ("input_from_nowhere", {f"{TASKS}/split/inputs/parameters/rows": {}}, "split.inputs.parameters.rows", "does not say"),
    ("input_from_two_places", {f"{TASKS}/split/inputs/parameters/rows/runtimeValue": {"constant": 1}},
     "split.inputs.parameters.rows", "only one of"),
    ("list_where_a_number_is_wanted", {f"{TASKS}/split/inputs/parameters/rows/componentInputParameter": "rates"},
     "split.inputs.parameters.rows", "LIST is given"),
    ("text_where_a_number_is_wanted", {f"{TASKS}/split/inputs/parameters/ratio/runtimeValue/constant": "half"},
     "split.inputs.parameters.ratio.runtimeValue.constant", "'half'"),
    ("fraction_where_an_integer_is_wanted", {f"{TASKS}/split/inputs/parameters/rows": {"runtimeValue": {"constant": 1.5}}},
     "split.inputs.parameters.rows", "whole number"),
    ("truth_where_a_number_is_wanted", {f"{TASKS}/split/inputs/parameters/ratio/runtimeValue/constant": True},
     "split.inputs.parameters.ratio", "a number is wanted"),
    ("null_where_a_value_is_wanted", {f"{TASKS}/split/inputs/parameters/ratio/runtimeValue/constant": None},
     "split.inputs.parameters.ratio", "null"),
    ("no_constant", {f"{TASKS}/split/inputs/parameters/ratio/runtimeValue": {}}, "ratio.runtimeValue", "no constant"),
    ("mapping_where_a_list_is_wanted", {"root/inputDefinitions/parameters/rates/defaultValue": {"a": 1}},
     "root.inputDefinitions.parameters.rates.defaultValue", "a list is wanted"),
    ("default_of_another_type", {"root/inputDefinitions/parameters/rows/defaultValue": "ten"},
     "root.inputDefinitions.parameters.rows.defaultValue", "whole number"),
    ("unknown_parameter_type", {"root/inputDefinitions/parameters/rows/parameterType": "INTEGER"},
     "root.inputDefinitions.parameters.rows.parameterType", "NUMBER_INTEGER"),
    ("no_parameter_type", {"root/inputDefinitions/parameters/rows/parameterType": DELETE},
     "root.inputDefinitions.parameters.rows", "no parameterType"),
    ("output_of_nobody", {"root/dag/outputs/parameters/Output/valueFromParameter/producerSubtask": "bust"},
     "root.dag.outputs.parameters.Output", "'best'"),
    ("output_that_nobody_makes", {"root/dag/outputs/parameters/Output/valueFromParameter/outputParameterKey": "x"},
     "root.dag.outputs.parameters.Output", "puts out no parameter 'x'"),
    ("output_without_source", {"root/dag/outputs/parameters/Output": {}}, "root.dag.outputs.parameters.Output", "any task"),
    ("declared_output_unresolved", {"root/outputDefinitions/parameters/More": {"parameterType": "STRING"}},
     "root.outputDefinitions.parameters.More", "no task gives it"),
    ("output_of_another_type", {"root/outputDefinitions/parameters/Output/parameterType": "BOOLEAN"},
     "root.dag.outputs.parameters.Output", "NUMBER_DOUBLE"),
    # loops, conditions, policies
    ("loop_over_nothing", {f"{RATES}/parameterIterator/items": {}}, "for-loop-2.parameterIterator.items", "iterate over"),
    ("loop_over_unknown_input", {f"{RATES}/parameterIterator/items/inputParameter": "rates"},
     "for-loop-2.parameterIterator.items.inputParameter", "no input 'rates'"),
    ("loop_item_for_nobody", {f"{RATES}/parameterIterator/itemInput": "item"},
     "for-loop-2.parameterIterator.itemInput", "no input 'item'"),
    ("raw_items_are_no_json", {f"{TASKS}/for-loop-4/parameterIterator/items/raw": "[1,"}, "items.raw", "not JSON"),
    ("raw_items_are_no_list", {f"{TASKS}/for-loop-4/parameterIterator/items/raw": "1"}, "items.raw", "list"),
    ("raw_items_hold_nan", {f"{TASKS}/for-loop-4/parameterIterator/items/raw": "[NaN]"}, "items.raw", "NaN"),
    ("two_iterators", {f"{RATES}/artifactIterator": {"itemInput": "x"}}, "for-loop-2", "only one of"),
    ("negative_parallelism", {f"{RATES}/iteratorPolicy/parallelismLimit": -1}, "iteratorPolicy.parallelismLimit", "negative"),
    ("condition_of_unknown_input", {f"{BRANCH}/condition-6/triggerPolicy/condition": "inputs.parameter_values['x'] == 1"},
     "condition-6.triggerPolicy.condition", "no input 'x'"),
    ("condition_with_open_quote", {f"{BRANCH}/condition-6/triggerPolicy/condition": "'a == 'b'"}, "condition", "quote"),
    ("condition_with_open_bracket", {f"{BRANCH}/condition-6/triggerPolicy/condition": "(1 == 1"}, "condition", "("),
    ("condition_is_no_expression", {f"{BRANCH}/condition-6/triggerPolicy/condition": "1 == =="}, "condition", "CEL"),
    ("condition_nested_too_deep", {f"{BRANCH}/condition-6/triggerPolicy/condition": "(" * 90 + "true" + ")" * 90},
     "condition", "deeply"),
    ("unknown_strategy", {f"{TASKS}/report/triggerPolicy/strategy": "ALL_UPSTREAM_TASKS_COMPLETE"},
     "report.triggerPolicy.strategy", "ALL_UPSTREAM_TASKS_COMPLETED"),
    ("negative_retries", {f"{TASKS}/split/retryPolicy/maxRetryCount": -1}, "retryPolicy.maxRetryCount", "negative"),
    ("retries_out_of_range", {f"{TASKS}/split/retryPolicy/maxRetryCount": 2**40}, "maxRetryCount", "out of range"),
    ("duration_without_unit", {f"{TASKS}/split/retryPolicy/backoffDuration": "5"}, "backoffDuration", "'30s'"),
    ("negative_duration", {f"{TASKS}/split/retryPolicy/backoffDuration": "-5s"}, "backoffDuration", "negative"),
    ("caching_is_text", {f"{TASKS}/split/cachingOptions/enableCache": "true"}, "cachingOptions.enableCache", "true or false"),
    ("selector_of_unknown_form", {
        "components/comp-for-loop-4/dag/tasks/say-2/inputs/parameters/text/parameterExpressionSelector": "eval(x)"},
     "say-2.inputs.parameters.text.parameterExpressionSelector", "parseJson"),
    # executors
    ("no_image", {f"{SHELL}/image": DELETE}, "exec-shell.container.image", "no image"),
    ("command_is_text", {f"{SHELL}/command": "sh -c"}, "exec-shell.container.command", "list is wanted"),
    ("number_in_command", {f"{SHELL}/args/0": 3}, "exec-shell.container.args[0]", "text is wanted"),
    ("nul_in_command", {f"{SHELL}/args/0": "a\0b"}, "exec-shell.container.args[0]", "NUL"),
    ("unknown_placeholder", {f"{SHELL}/args/0": "{{$.foo}}"}, "exec-shell.container.args[0]", "{{$.foo}} is no placeholder"),
    ("placeholder_of_unknown_input", {f"{SHELL}/args/0": "{{$.inputs.parameters['nome']}}"},
     "exec-shell.container.args[0]", "did you mean 'name'"),
    ("placeholder_of_unknown_artifact", {f"{SHELL}/args/0": "{{$.inputs.artifacts['dato'].uri}}"},
     "exec-shell.container.args[0]", "did you mean 'data'"),
    ("placeholder_of_unknown_output", {f"{SHELL}/args/0": "{{$.outputs.parameters['o'].output_file}}"},
     "exec-shell.container.args[0]", "an output parameter"),
    ("placeholder_of_unknown_field", {f"{SHELL}/args/0": "{{$.inputs.artifacts['data'].size}}"}, "args[0]", "no placeholder"),
    ("if_present_of_unknown_input", {f"{SHELL}/args/0": '{"IfPresent": {"InputName": "x", "Then": "y"}}'}, "args[0]", "'x'"),
    ("if_present_without_then", {f"{SHELL}/args/0": '{"IfPresent": {"InputName": "extra"}}'}, "args[0]", "Then"),
    ("concat_of_a_number", {f"{SHELL}/args/0": '{"Concat": [1]}'}, "args[0]", "neither text"),
    ("placeholder_of_a_channel_nobody_gives", {f"{SHELL}/args/0": "{{$.inputs.parameters['pipelinechannel--x']}}"},
     "shell.inputs.parameters", "not given"),
    ("bad_placeholder_in_environment", {f"{SHELL}/env": [{"name": "A", "value": "{{$.bar}}"}]}, "container.env.A", "{{$.bar}}"),
    ("variable_without_name", {f"{SHELL}/env": [{"value": "x"}]}, "container.env[0].name", "environment variable"),
    ("bad_placeholder_in_constant", {f"{TASKS}/shell/inputs/parameters/name": {"runtimeValue": {"constant": "{{$.x}}"}}},
     "shell.inputs.parameters.name.runtimeValue.constant", "no placeholder"),
    ("constant_of_unknown_channel", {f"{TASKS}/shell/inputs/parameters/name": {
        "runtimeValue": {"constant": "{{$.inputs.parameters['pipelinechannel--y']}}"}}},
     "shell.inputs.parameters.name.runtimeValue.constant", "not given"),
    ("bad_placeholder_in_importer", {"deploymentSpec/executors/exec-importer/importer/metadata/x": ["{{$.y}}"]},
     "exec-importer.importer.metadata", "{{$.y}}"),
    ("importer_without_uri", {"deploymentSpec/executors/exec-importer/importer/artifactUri": DELETE},
     "exec-importer.importer.artifactUri", "no URI"),
    ("importer_of_unknown_parameter", {"deploymentSpec/executors/exec-importer/importer/artifactUri": {
        "runtimeParameter": "url"}}, "exec-importer.importer.artifactUri", "'url'"),
    ("resolver", {"deploymentSpec/executors/exec-importer": {"resolver": {}}}, "exec-importer.resolver", "not supported"),
    ("executor_of_nothing", {"deploymentSpec/executors/exec-importer": {}}, "executors.exec-importer", "no container"),
    ("check_before_caching", {f"{SHELL}/lifecycle": {"preCacheCheck": {"command": ["x"]}}}, "preCacheCheck", "not supported"),
    ("cpu_is_no_quantity", {f"{SHELL}/resources": {"resourceCpuLimit": "two"}}, "resources.resourceCpuLimit", "'two'"),
    ("memory_is_no_quantity", {f"{SHELL}/resources": {"resourceMemoryLimit": "4GB"}}, "resourceMemoryLimit", "'4Gi'"),
    ("half_a_gpu", {f"{SHELL}/resources": {"accelerator": {"resourceCount": "0.5"}}}, "resourceCount", "'0.5'"),
    ("negative_cpu", {f"{SHELL}/resources": {"cpuLimit": -1}}, "resources.cpuLimit", "negative"),
]  # fmt: skip

PLATFORM = [
    ("unknown_platform", {"platforms/openshift": {}}, "platforms.openshift", "kubernetes is right"),
    ("unknown_executor", {"platforms/kubernetes/deploymentSpec/executors/exec-shel": {}}, "exec-shel", "'exec-shell'"),
    ("unknown_setting", {f"{K8S}/nodeSelektor": {}}, "exec-shell", "did you mean 'nodeSelector'"),
    ("setting_of_wrong_type", {f"{K8S}/secretAsEnv": {}}, "exec-shell.secretAsEnv", "list is wanted"),
    ("init_containers", {f"{K8S}/initContainers": [{}]}, "exec-shell.initContainers", "not supported"),
    ("secret_without_name", {f"{K8S}/secretAsEnv/0": {"keyToEnv": []}}, "secretAsEnv[0]", "secretName"),
    ("secret_without_key", {f"{K8S}/secretAsEnv/0/keyToEnv/0/secretKey": DELETE}, "keyToEnv[0]", "secretKey"),
    ("volume_without_name", {f"{K8S}/pvcMount/0": {"mountPath": "/x"}}, "pvcMount[0]", "does not name a volume"),
    ("volume_mounted_nowhere", {f"{K8S}/pvcMount/0/mountPath": "data"}, "pvcMount[0].mountPath", "absolute"),
    ("volume_mounted_over_everything", {f"{K8S}/pvcMount/0/mountPath": "/"}, "pvcMount[0].mountPath", "absolute"),
    ("volume_path_that_escapes", {f"{K8S}/pvcMount/0/subPath": "../x"}, "pvcMount[0].subPath", "leads out"),
    ("empty_dir_that_escapes", {f"{K8S}/emptyDirMounts": [{"volumeName": "../x", "mountPath": "/x"}]}, "volumeName", "../x"),
    ("negative_deadline", {f"{K8S}/activeDeadlineSeconds": -1}, "activeDeadlineSeconds", "negative"),
    ("field_of_no_pod", {f"{K8S}/fieldPathAsEnv": [{"name": "A", "fieldPath": "spec.x"}]}, "fieldPath", "spec.x"),
    ("name_from_unknown_input", {f"{K8S}/secretAsEnv/0/secretNameParameter": {"componentInputParameter": "nam"}},
     "root.dag.tasks.shell", "'nam'"),
    ("name_from_unknown_task", {f"{K8S}/pvcMount/0/pvcNameParameter": {
        "taskOutputParameter": {"producerTask": "nobody", "outputParameterKey": "x"}}}, "root.dag.tasks.shell", "nobody"),
    ("workspace_of_wrong_type", {"platforms/kubernetes/pipelineConfig/workspace": 3}, "pipelineConfig.workspace", "mapping"),
]  # fmt: skip

DEEP = "[" * 100 + "]" * 100
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{this}: &{this} [{','.join([f'*{before}'] * 10)}]\n"
    for this, before in zip("bcdefghij", "abcdefghi", strict=True)
)
TEXTS = [
    ("nothing", "", "", "is empty"),
    ("only_a_comment", "# hello\n", "", "is empty"),
    ("a_word", "hello", "", "no pipeline"),
    ("a_list", "[1]", "", "no pipeline"),
    ("a_mapping_of_something", "a: 1", "", "neither `root` nor `pipelineSpec`"),
    ("an_argo_workflow", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "", "kfp 2"),
    ("a_v1_component", "name: x\nimplementation: {container: {image: x}}\n", "", "KFP v1"),
    ("no_yaml", "root: [1", "pipeline.yaml:2", "not valid YAML"),
    ("no_json", '{"root": [1}', "pipeline.yaml:1", "not valid JSON"),
    ("nested_100_deep", f"root: {DEEP}", "pipeline.yaml:1", "nested deeper than 100"),
    ("nested_100_deep_in_json", f'{{"root": {DEEP}}}', "pipeline.yaml", "nested deeper than 100"),
    ("nested_100_000_deep", '{"a":' * 100_000, "pipeline.yaml", "nested deeper than 100"),
    ("alias_bomb", BOMB, "pipeline.yaml:7", "too many values"),
    ("alias_to_itself", "root: &a [*a]", "pipeline.yaml:1", "stands for nothing"),
    ("key_twice", "root: {}\nroot: {}\n", "pipeline.yaml:2", "'root' stands twice"),
    ("key_twice_in_json", '{"root": {}, "root": {}}', "pipeline.yaml", "'root' stands twice"),
    ("number_as_key", "root: {1: a}", "pipeline.yaml:1", "not text"),
    ("list_as_key", "? [a]\n: b\n", "pipeline.yaml:1", "not text"),
    ("nan", "root: {a: .nan}", "pipeline.yaml:1", "not a number"),
    ("nan_in_json", '{"root": NaN}', "pipeline.yaml", "not a number"),
    ("infinity", '{"root": 1e999}', "pipeline.yaml", "too large"),
    ("endless_number", "root: " + "9" * 5000, "pipeline.yaml:1", "too many digits"),
    ("python_object", "root: !!python/object/apply:os.system [ls]", "pipeline.yaml:1", "not known"),
    ("half_a_surrogate", '{"root": {"executorLabel": "\\ud800"}}', "pipeline.yaml", "surrogate"),
    ("three_documents", "root: {}\n---\nplatforms: {}\n---\nx: 1\n", "", "3 documents"),
    ("second_document_is_no_platform", "root: {}\n---\nx: 1\n", "", "no `platforms`"),
    ("over_the_size_limit", "#" * (32 * 1024 * 1024 + 1), "pipeline.yaml", "larger than 32 MiB"),
]


def refused(text: str) -> str:
    start = time.perf_counter()
    with pytest.raises(InputRefused) as raised:
        load_text(text, origin="pipeline.yaml")
    assert time.perf_counter() - start < 5
    assert raised.value.exit_status == 2
    assert raised.value.place.startswith("pipeline.yaml")
    return str(raised.value)


@pytest.mark.parametrize(("changes", "place", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_pipeline_is_refused_with_its_place(changes, place, words):
    documents = compiled()
    for path, value in changes.items():
        if path == "components/../x":
            documents[0]["components"]["../x"] = value
        else:
            change(documents[0], path, value)
    text = refused(text_of(documents))
    assert place in text.splitlines()[0]
    assert words in text


@pytest.mark.parametrize(("changes", "place", "words"), [row[1:] for row in PLATFORM], ids=[row[0] for row in PLATFORM])
def test_broken_platform_configuration_is_refused_with_its_place(changes, place, words):
    documents = compiled()
    for path, value in changes.items():
        change(documents[1], path, value)
    text = refused(text_of(documents))
    assert place in text.splitlines()[0]
    assert words in text


@pytest.mark.parametrize(("text", "place", "words"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_text_that_is_no_pipeline_is_refused(text, place, words):
    said = refused(text)
    assert said.startswith(place or "pipeline.yaml")
    assert words in said


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    start = time.perf_counter()
    with pytest.raises(InputRefused, match="larger than 32 MiB"):
        load_file(path)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "no.yaml", lambda path: f"{path}/a\0b"])
def test_what_is_no_file_is_refused(tmp_path, make):
    with pytest.raises(InputRefused):
        load_file(make(tmp_path))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(b"root: \xff\xfe")
    with pytest.raises(InputRefused, match="UTF-8"):
        load_file(path)


def test_too_many_conditions_are_refused():
    documents = compiled()
    task = documents[0]["components"]["comp-condition-branches-5"]["dag"]["tasks"]["condition-6"]
    for number in range(600):
        documents[0]["components"]["comp-condition-branches-5"]["dag"]["tasks"][f"more-{number}"] = task
    assert "500 are the most" in refused(text_of(documents))


def test_the_pipeline_that_is_broken_here_is_whole_without():
    assert load_text(text_of(compiled()), origin="pipeline.yaml").name == "training"
