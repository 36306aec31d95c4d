"""Steps of a plain pipeline see the home's buckets under /gcs where an input or their code names one."""

import json

import pytest

READ = 'mkdir -p "$(dirname "$1")"; cat "/$0/data/file" > "$1"'
DATA = "gcs"  # written so that the command names no bucket by itself


@pytest.fixture
def home(cli, tmp_path, has_mounts):
    home = cli.at(tmp_path / "home")
    bucket = home.home / "buckets" / "gs" / "data"
    bucket.mkdir(parents=True)
    (bucket / "file").write_text("of the bucket")
    return home


@pytest.fixture
def has_mounts(missing_service):
    from cairn.executors.process import ProcessExecutor

    if not ProcessExecutor().can_mount():
        missing_service("mount namespaces", "the kernel refuses them to this user")


def pipeline(path, kind, words):
    document = {
        "pipelineInfo": {"name": "buckets"},
        "schemaVersion": "2.1.0",
        "components": {
            "comp-read": {
                "executorLabel": "exec-read",
                "inputDefinitions": {"parameters": {"where": {"parameterType": kind}}},
                "outputDefinitions": {"parameters": {"said": {"parameterType": "STRING"}}},
            }
        },
        "deploymentSpec": {"executors": {"exec-read": {"container": {"image": "busybox", "command": words}}}},
        "root": {
            "inputDefinitions": {"parameters": {"where": {"parameterType": kind}}},
            "dag": {
                "tasks": {
                    "read": {
                        "componentRef": {"name": "comp-read"},
                        "taskInfo": {"name": "read"},
                        "inputs": {"parameters": {"where": {"componentInputParameter": "where"}}},
                    }
                },
                "outputs": {
                    "parameters": {
                        "said": {"valueFromParameter": {"outputParameterKey": "said", "producerSubtask": "read"}}
                    }
                },
            },
            "outputDefinitions": {"parameters": {"said": {"parameterType": "STRING"}}},
        },
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("kind", "value", "script"),
    [
        ("STRING", "gs://data/file", READ),
        ("STRING", "/gcs/data/file", READ),
        ("LIST", '["gs://data/file"]', READ),
        ("STRUCT", '{"train": {"from": "gs://data/file"}}', READ),
        ("STRING", "nothing", READ.replace("/$0/data", "/gcs/data")),
    ],
)
def test_a_bucket_that_a_step_names_is_there(home, tmp_path, kind, value, script):
    words = ["sh", "-c", script, DATA, "{{$.outputs.parameters['said'].output_file}}"]
    path = pipeline(tmp_path / "pipeline.json", kind, words)
    ran = home("run", path, f"where={value}", "--image", "*=host", "--json")
    assert ran.status == 0, ran.err
    assert ran.json["outputs"] == {"said": "of the bucket"}


def test_a_step_that_names_none_sees_none(home, tmp_path):
    words = ["sh", "-c", READ, DATA, "{{$.outputs.parameters['said'].output_file}}"]
    path = pipeline(tmp_path / "pipeline.json", "STRING", words)
    assert home("run", path, "where=nothing", "--image", "*=host").status == 1
