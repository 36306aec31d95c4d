"""Google's prebuilt components, compiled by the package itself: the page's example, and every refusal by name."""

import json
import subprocess
from pathlib import Path

import pytest

from cairn.spec.load import load_text
from cairn.spec.types import NativeSpec

pytestmark = pytest.mark.network

PAGE = Path(__file__).parents[3] / "docs/prebuilt_components.md"
# Each component of the package by itself, with some value for each input that it needs.
COMPILE_ALL = """
import json, sys
from google_cloud_pipeline_components.v1.automl import training_job
from google_cloud_pipeline_components.v1 import (
    batch_predict_job, bigquery, custom_job, dataflow, dataproc, dataset, endpoint, hyperparameter_tuning_job,
    model, vertex_notification_email, wait_gcp_resources,
)
from kfp import dsl
from kfp.components import BaseComponent

VALUES = {"STRING": "x", "NUMBER_INTEGER": 1, "NUMBER_DOUBLE": 1.0, "BOOLEAN": False, "LIST": [], "STRUCT": {}}
found = {}
places = [training_job, batch_predict_job, bigquery, custom_job, dataflow, dataproc, dataset, endpoint,
          hyperparameter_tuning_job, model, vertex_notification_email, wait_gcp_resources]
for module in places:
    for name in dir(module):
        component = getattr(module, name)
        if isinstance(component, BaseComponent):
            found[name] = component.pipeline_spec
from google.protobuf import json_format
json.dump({name: json_format.MessageToDict(spec) for name, spec in found.items()}, sys.stdout)
"""
RUNS = {"CustomTrainingJobOp", "HyperparameterTuningJobRunOp", "WaitGcpResourcesOp"}


def test_the_pipeline_of_the_page_runs_as_it_says(new_installation, client_of, tmp_path):
    text = PAGE.read_text().split("<!-- example: pipeline.py -->\n```python\n")[1].partition("```")[0]
    (tmp_path / "pipeline.py").write_text(text)
    new_installation.variables["VIRTUAL_ENV"] = str(Path(client_of("components")).parents[1])
    report = tmp_path / "report"
    words = ("run", str(tmp_path / "pipeline.py"), f"report={report}", "epochs=5", "--image", "acme/*=host", "--json")
    ran = new_installation.cairn(*words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert report.read_text() == "done\n"
    (job,) = json.loads(new_installation.cairn("jobs", "list", "--json").stdout)
    assert (job["display_name"], job["state"]) == ("train", "SUCCEEDED")
    assert "training for 5 epochs" in new_installation.cairn("jobs", "logs", "latest").stdout
    assert f"custom job {job['job_id']} succeeded" in new_installation.cairn("runs", "logs", "latest").stdout


def test_every_component_of_the_package_runs_or_is_refused_by_name(client_of):
    done = subprocess.run(
        [client_of("components"), "-c", COMPILE_ALL], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    specs = json.loads(done.stdout)
    assert len(specs) > 60
    for name, spec in specs.items():
        # What the component by itself puts out: kfp names an artifact there that there is not (output__dataset).
        spec["root"]["dag"].pop("outputs", None)
        spec["root"].pop("outputDefinitions", None)
        natives = [
            one.executor
            for one in load_text(json.dumps(spec), origin=name).components.values()
            if isinstance(one.executor, NativeSpec)
        ]
        if name in RUNS:
            assert [one.refusal for one in natives] == [""], name
        elif natives:
            for one in natives:
                assert one.refusal and one.remedy, name
                assert "a service of Google Cloud" not in one.refusal, f"{name}: {one.refusal}"
    assert specs.keys() > RUNS
