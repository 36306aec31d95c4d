"""`cairn.run` of functions, in a process that has kfp: what a notebook does."""

import json
import subprocess
import sysconfig
import textwrap
from pathlib import Path

import pytest

import cairn
from cairn.wiring import open_cairn

pytestmark = pytest.mark.network

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = [{sources!r}, {pipelines!r}]
sys.path.append({packages!r})
import cairn
import steps

found = {{}}
pipeline = cairn.run(steps.chain, {{"a": 4}})
found["pipeline"] = [pipeline.state, pipeline.outputs]
component = cairn.run(steps.add, {{"a": 1, "b": 1}})
found["component"] = [component.outputs, len(component.tasks)]
try:
    cairn.run(steps.chain, {{"c": 4}})
except cairn.errors.ParameterError as error:
    found["refused"] = error.message
def made(cfg):
    return getattr(steps, cfg["which"])
configured = cairn.run(made, {{"b": 2}}, config_dir={conf!r}, overrides=["which=add"])
found["configured"] = [configured.outputs, list(configured.configuration.overrides)]
try:
    cairn.run(made)
except cairn.errors.ConfigurationError as error:
    found["unconfigured"] = error.remedy
with cairn.wiring.open_cairn() as opened:
    found["source"] = opened.records.run(pipeline.uid).source
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def python_with_kfp(sdk_home, tmp_path_factory):
    with open_cairn(str(sdk_home)) as opened:
        return opened.environments.compile_environment(tmp_path_factory.mktemp("empty"), packages=("pip",)).python


def test_a_function_is_compiled_by_this_process_and_run(home, pipelines, python_with_kfp, tmp_path):
    script = tmp_path / "notebook.py"
    names = {
        "sources": str(Path(cairn.__file__).parent.parent),
        "pipelines": str(pipelines),
        "packages": sysconfig.get_paths()["purelib"],
        "conf": str(tmp_path / "conf"),
    }
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("which: chain\na: 5\n")
    script.write_text(textwrap.dedent(SCRIPT.format(**names)))
    done = subprocess.run([python_with_kfp, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["pipeline"] == ["SUCCEEDED", {"Output": 16}]
    assert found["component"] == [{"Output": 2}, 1]
    assert "no parameter" in found["refused"]
    assert found["configured"] == [{"Output": 7}, ["which=add"]]
    assert found["unconfigured"].startswith("give config_dir")
    assert found["source"] == str(pipelines / "steps.py")
