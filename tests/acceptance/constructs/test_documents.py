"""The kinds of file that `cairn run` takes, and what the compiler makes of the sources in this folder."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.network

HERE = Path(__file__).resolve().parent
PIPELINES = HERE / "pipelines"
COMPILED = PIPELINES / "compiled"


def test_a_pipeline_job_brings_its_own_parameters(cli, tmp_path) -> None:
    (spec,) = yaml.safe_load_all((COMPILED / "parameter_types.yaml").read_text())
    job = {
        "displayName": "a job",
        "pipelineSpec": spec,
        "runtimeConfig": {
            "parameterValues": {"text": "from the job", "whole": 3, "items": [1, 2]},
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        },
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    outcome = cli.run(path)
    assert outcome.exit == 0, outcome
    assert (outcome.outputs["text"], outcome.outputs["whole"], outcome.outputs["items"]) == ("from the job", 3, [1, 2])
    given = cli.run(path, "text=given")
    assert (given.outputs["text"], given.outputs["whole"]) == ("given", 3)


def test_a_compiled_pipeline_may_be_json(cli, tmp_path) -> None:
    documents = list(yaml.safe_load_all((COMPILED / "branches.yaml").read_text()))
    path = tmp_path / "branches.json"
    path.write_text(json.dumps(documents[0]))
    assert cli.run(path, "kind=a").outputs == {"Output": "took a"}


def test_documents_of_schema_2_0_0_run(cli, tmp_path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("content")
    options = ("--image", "shell=host")
    outcome = cli.run(HERE / "documents" / "old_schema.yaml", *options, parameters={"source": str(source), "times": 6})
    assert outcome.exit == 0, outcome
    assert outcome.task("count")["outputs"] == {"total": 12, "line": "0.5 it's content"}
    assert outcome.task("condition-1/inner")["outputs"] == {"shown": "value 12"}
    less = cli.run(HERE / "documents" / "old_schema.yaml", *options, parameters={"source": str(source), "times": 5})
    assert less.states["condition-1/inner"] == "SKIPPED"


def test_artifacts_keep_schemas_of_their_own(cli) -> None:
    outcome = cli.run(HERE / "documents" / "schemas.yaml", "--image", "shell=host")
    assert outcome.exit == 0, outcome
    given = outcome.outputs["seen"]["inputs"]["artifacts"]
    types = {name: value["artifacts"][0]["type"] for name, value in given.items()}
    assert types["shelf"] == {"schemaTitle": "acme.Shelf", "schemaVersion": "1.2.3"}
    assert types["instance"]["instanceSchema"].startswith("title: acme.Instance")
    assert types["linked"]["schemaUri"] == "https://acme.example/schemas/linked.yaml"
    assert Path(given["shelf"]["artifacts"][0]["uri"]).read_text() == "shelf\n"


def test_parameters_on_the_command_line_are_read_by_their_declared_type(cli) -> None:
    outcome = cli.run("parameter_types", "text=7", "whole=8", "ratio=1", "flag=true", "items=[1]", 'table={"a": null}')
    assert outcome.exit == 0, outcome
    outputs = {**outcome.outputs}
    assert outputs.pop("seen") == "str,int,float,bool,list,dict"
    assert outputs == {"text": "7", "whole": 8, "ratio": 1.0, "flag": True, "items": [1], "table": {"a": None}}


@pytest.mark.parametrize(
    ("argument", "said"),
    [("whole=x", "whole"), ("whole=1.5", "whole"), ("flag=2", "flag"), ("items={}", "items"), ("wohle=1", "wohle")],
)
def test_a_parameter_that_does_not_fit_is_refused_by_name(cli, argument, said) -> None:
    outcome = cli.run("parameter_types", argument)
    assert (outcome.exit, outcome.state) == (2, "REJECTED"), outcome
    assert said in outcome.stderr


@pytest.mark.xdist_group("compiling")
def test_a_python_file_runs_directly_and_one_of_its_pipelines_can_be_named(cli, tmp_path) -> None:
    source = tmp_path / "pipelines.py"
    shutil.copy(PIPELINES / "conditions.py", source)
    outcome = cli.run(f"{source}:branches", "kind=a")
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"Output": "took a"}
    several = cli.run(source)
    assert (several.exit, several.state) == (2, "REJECTED"), several
    assert "branches" in several.stderr
    absent = cli.run(f"{source}:branch")
    assert absent.exit == 2, absent
    assert "branches" in absent.stderr
    single = tmp_path / "single.py"
    shutil.copy(PIPELINES / "caching.py", single)
    assert cli.run(single).exit == 0


@pytest.mark.xdist_group("compiling")
def test_an_error_in_a_python_file_is_shown_at_the_users_line(cli, tmp_path) -> None:
    source = tmp_path / "broken.py"
    source.write_text("from kfp import dsl\n\n\n@dsl.pipeline\ndef broken():\n    undefined_thing()\n")
    outcome = cli.run(source)
    assert (outcome.exit, outcome.state) == (2, "REJECTED"), outcome
    assert "undefined_thing" in outcome.stderr
    assert "broken.py" in outcome.stderr
    assert "6" in outcome.stderr


@pytest.mark.xdist_group("compiling")
def test_the_compiled_pipelines_are_what_kfp_makes_of_their_sources() -> None:
    command = [_uv(), "run", "--no-project", "--quiet", "--python", "3.11"]
    command += ["--with", "kfp==2.17.0", "--with", "kfp-kubernetes==2.17.0"]
    command += ["python", str(HERE / "regenerate.py"), "--check"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, f"run regenerate.py: {process.stdout}{process.stderr[-2000:]}"


def _uv() -> str:
    found = shutil.which("uv")
    if found:
        return found
    from uv import find_uv_bin

    return find_uv_bin()
