from pathlib import Path

import msgspec
import pytest

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.runs import Run, TaskOutputs, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.errors import ConfigurationError
from cairn.spec.load import load_file
from cairn.sweeps.metrics import parse_address, read_metric

PIPELINE = load_file(str(Path(__file__).parents[2] / "integration" / "cli" / "pipelines" / "swept.yaml"))


def run(**outputs):
    return Run("u", "j", "swept", "d", RunState.SUCCEEDED, outputs=outputs)


def task(path, **metadata):
    artifacts = {
        name: (Artifact(f"id-{name}", ArtifactType("system.Metrics", "0.0.1"), f"/{name}", metadata=values),)
        for name, values in metadata.items()
    }
    return TaskRecord(
        "u", path, path, f"comp-{path}", "leaf", TaskState.SUCCEEDED, "t", outputs=TaskOutputs(artifacts=artifacts)
    )


def read(text, ended=None, tasks=()):
    return read_metric(parse_address(text, PIPELINE), ended or run(), tasks, None)


def test_an_output_of_the_pipeline():
    assert read("score", run(score=2.5)) == 2.5
    assert read("score", run(score=True)) == 1.0
    assert read("score", run()) is None
    assert read("score", run(score="2.5")) is None, "text is no number"


def test_a_metric_of_a_step_in_any_of_its_artifacts_or_in_one():
    tasks = [task("score", metrics={"accuracy": 0.5, "top.5": 0.7}), task("load", metrics={"accuracy": 0.1})]
    assert read("score.accuracy", tasks=tasks) == 0.5
    assert read("score/metrics.accuracy", tasks=tasks) == 0.5
    assert read("score.top.5", tasks=tasks) == 0.7
    assert read("score.loss", tasks=tasks) is None
    assert read("score.accuracy", tasks=[task("load", metrics={"accuracy": 0.1})]) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scores", ("no output parameter 'scores'", "score")),
        ("scor.accuracy", ("no step 'scor'", "score")),
        ("score/metric.accuracy", ("no output artifact 'metric'", "metrics")),
        ("score.", ("names no metric", "STEP.METRIC")),
    ],
)
def test_what_the_pipeline_cannot_give_is_refused_with_what_it_can(text, words):
    with pytest.raises(ConfigurationError) as refused:
        parse_address(text, PIPELINE)
    assert refused.value.place == "cairn.sweep.metric"
    assert all(word in str(refused.value) for word in words)


def test_an_output_that_is_no_number_is_refused():
    output = msgspec.structs.replace(PIPELINE.root.output_parameters["score"], type="STRING")
    root = msgspec.structs.replace(PIPELINE.root, output_parameters={"score": output})
    with pytest.raises(ConfigurationError, match="STRING"):
        parse_address("score", msgspec.structs.replace(PIPELINE, root=root))
