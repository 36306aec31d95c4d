"""Container components on this machine itself and in a project's directory; every placeholder."""

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

PROJECT = Path(__file__).resolve().parent / "project"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def test_every_placeholder_stands_for_what_it_names(cli, home) -> None:
    outcome = cli.run("placeholders", "--image", "shell=host", parameters={"items": [1, "two", 2.5], "ratio": 0.25})
    assert outcome.exit == 0, outcome
    assert outcome.outputs["length"] == 9  # an output file read by its declared type
    lines = outcome.outputs["lines"].split("\n")
    assert lines[:7] == ['it\'s "q" $HOME', "12", "0.25", "true", '[1, "two", 2.5]', '{"k": "v", "n": 1}', lines[6]]
    assert lines[6] == 'glued:it\'s "q" $HOME:12'
    data_path, data_uri, label, made_path, made_uri, parameter_file = lines[7:13]
    assert data_path == data_uri
    assert Path(data_path).read_text() == "grüße\n2"
    assert label == 'label\'s "metadata"'
    assert made_path == made_uri
    assert Path(made_path).parent.is_dir()
    assert Path(parameter_file).name == "lines"
    job_name, resource_name, job_id, task_name, task_id, root, created, scheduled = lines[13:21]
    assert job_name == outcome.record["job_id"]
    assert resource_name.endswith(job_name)
    assert job_id == outcome.run_id
    assert task_name == "container-placeholders"
    assert re.fullmatch(UUID, task_id)
    assert task_id != job_id
    assert made_uri.startswith(root)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert scheduled == created
    executor_input = json.loads(lines[21])
    assert executor_input["inputs"]["parameterValues"]["table"] == {"k": "v", "n": 1}
    assert executor_input["inputs"]["artifacts"]["data"]["artifacts"][0]["metadata"] == {"wrote": label}
    assert executor_input["outputs"]["parameters"]["lines"]["outputFile"] == parameter_file
    assert executor_input["outputs"]["artifacts"]["made"]["artifacts"][0]["type"]["schemaTitle"] == "system.Dataset"
    assert json.loads(f'"{lines[22]}"') == lines[21]  # escaped once for the inside of a JSON string
    assert json.loads(f'"{lines[23]}"') == lines[5]


def test_placeholders_in_arguments_are_the_tasks_own(cli) -> None:
    outcome = cli.run("placeholder_arguments")
    assert outcome.exit == 0, outcome
    run_id, job_id = outcome.run_id, outcome.record["job_id"]
    assert outcome.outputs["Output"] == [job_id, run_id, "job-names", f"prefix-{run_id}-suffix"]


def test_an_image_can_stand_for_a_project_directory(cli) -> None:
    outcome = cli.run("project_mapped", "--image", f"gcr.io/acme/*=project:{PROJECT}", parameters={"word": "hey"})
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"Output": "HEY! plain"}
    assert not (PROJECT / "scratch.txt").exists()  # the step worked in a snapshot


def test_without_a_mapping_a_container_is_refused_before_anything_starts(cli) -> None:
    outcome = cli.run("project_mapped")
    assert (outcome.exit, outcome.state) == (2, "REJECTED"), outcome
    assert "gcr.io/acme/trainer:1" in outcome.stderr
    assert "=host" in outcome.stderr
    assert "=project:" in outcome.stderr


def test_the_first_mapping_that_matches_wins(cli) -> None:
    outcome = cli.run("project_mapped", "--image", f"*trainer*=project:{PROJECT}", "--image", "*=host")
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"Output": "HELLO! plain"}
