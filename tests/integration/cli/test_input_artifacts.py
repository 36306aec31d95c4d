"""`cairn run --artifact`: a pipeline that takes an artifact is given a recorded one."""

import json

import pytest

DATASET = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
HOST = ("--image", "*=host")


def document(name: str, command: str, **component) -> dict:
    """One shell step; `component` gives its inputs and outputs, which are the pipeline's own inputs too."""
    inputs = component.get("inputDefinitions", {})
    bound = {kind: {key: {f"componentInput{kind[:-1].title()}": key} for key in inputs[kind]} for kind in inputs}
    return {
        "components": {"comp-step": {"executorLabel": "exec-step", **component}},
        "deploymentSpec": {
            "executors": {"exec-step": {"container": {"image": "shell", "command": ["sh", "-c", command]}}}
        },
        "pipelineInfo": {"name": name},
        "root": {
            "dag": {
                "tasks": {
                    "step": {"componentRef": {"name": "comp-step"}, "taskInfo": {"name": "step"}}
                    | ({"inputs": bound} if bound else {})
                }
            },
            **({"inputDefinitions": inputs} if inputs else {}),
        },
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }


@pytest.fixture
def made(cli) -> dict:
    """A recorded dataset that holds `seven`; and the pipeline that copies one is beside it."""
    make = document(
        "make",
        "printf seven > \"{{$.outputs.artifacts['data'].path}}\"",
        outputDefinitions={"artifacts": {"data": DATASET}},
    )
    take = document(
        "take",
        "cat \"{{$.inputs.artifacts['data'].path}}\" > \"{{$.outputs.parameters['said'].output_file}}\"",
        inputDefinitions={"artifacts": {"data": DATASET}},
        outputDefinitions={"parameters": {"said": {"parameterType": "STRING"}}},
    )
    for name, spec in (("make", make), ("take", take)):
        (cli.work / f"{name}.json").write_text(json.dumps(spec))
    run = cli("run", "make.json", *HOST, "--json").json
    [artifact] = cli("artifacts", "list", "--run", run["run_id"], "--type", "system.Dataset", "--json").json
    return artifact


def test_a_recorded_artifact_is_read_by_the_step_and_stands_in_the_lineage(cli, made):
    for reference in (made["id"], made["id"][:8], made["uri"]):
        done = cli("run", "take.json", "--artifact", f"data={reference}", *HOST, "--no-cache", "--json")
        assert done.status == 0, done.err
        assert done.json["tasks"][0]["outputs"] == {"said": "seven"}
    lineage = cli("artifacts", "show", made["id"], "--json").json["lineage"]
    assert sorted(event["type"] for event in lineage["events"]) == ["INPUT"] * 3 + ["OUTPUT"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the run is given none"),
        (("--artifact", "data=nothing-like-it"), "there is no artifact"),
        (("--artifact", "date={id}"), "did you mean"),
        (("--artifact", "data={id}", "--artifact", "data={id}"), "one artifact is wanted, not 2"),
        (("--artifact", "data"), "names no artifact"),
        (("data=7",), "--artifact NAME=ID"),
    ],
)
def test_what_does_not_fit_is_refused(cli, made, arguments, said):
    given = [argument.format(id=made["id"]) for argument in arguments]
    done = cli("run", "take.json", *given, *HOST, "--json")
    assert done.status == 2, done.err
    assert said in done.err
    assert done.json["state"] == "REJECTED"
