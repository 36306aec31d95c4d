"""Planning: no environment is built here."""

import json
from pathlib import Path

import pytest

from cairn.config.home import Home
from cairn.config.settings import EnvironmentsSettings
from cairn.environments import interpreters
from cairn.environments.service import UvEnvironments
from cairn.environments.specification import HostSpec
from cairn.errors import ConfigurationError, UnsupportedFeature
from cairn.spec.types import ContainerSpec

COMPILED = {
    (entry["kfp"], entry["variant"]): entry
    for entry in json.loads((Path(__file__).parent / "kfp_commands.json").read_text())
}


def container(version, variant, image="python:3.11", **env):
    entry = COMPILED[version, variant]
    return ContainerSpec(image, tuple(entry["command"]), tuple(entry["args"]), env)


@pytest.fixture
def environments(tmp_path, monkeypatch):
    monkeypatch.setattr(
        interpreters, "installed", lambda: {"3.11": "/usr/bin/python3.11", "3.13": "/usr/bin/python3.13"}
    )
    return UvEnvironments(Home.open(tmp_path))


def plan(environments, spec, images=(), *, strict=False, in_place=False):
    return environments.plan("comp-train", spec, images, strict=strict, in_place=in_place)


def test_a_lightweight_component_becomes_a_call_in_an_environment(environments):
    planned = plan(environments, container("2.14.6", "packages"))
    assert planned.call.source == "SOURCE"
    assert planned.call.arguments[-1] == "add"
    assert planned.environment_spec.python == "3.11"
    assert planned.environment_spec.packages[0] == "pandas==2.2.0"
    assert planned.warnings == ()
    assert environments.find(planned) is None


def test_image_mappings_do_not_touch_lightweight_components(environments):
    assert plan(environments, container("2.2.0", "plain"), [("*", "host")]).call is not None


def test_an_older_kfps_module_is_executed_without_its_install_script(environments):
    planned = plan(environments, container("2.0.1", "plain"))
    assert planned.call is None
    assert planned.command[:2] == ("sh", "-ec")
    assert "pip" not in planned.command[2]
    assert planned.command[3] == "SOURCE"


def test_kfp_is_brought_where_the_image_was_expected_to_have_it(environments):
    assert plan(environments, container("2.1.3", "no_kfp")).environment_spec.brought == "kfp==2.17.0"


def test_a_python_that_the_machine_lacks_is_said_or_refused(environments):
    spec = container("2.2.0", "plain", image="python:3.10-slim")
    planned = plan(environments, spec)
    assert planned.environment_spec.python == "3.11"
    assert "3.10" in planned.warnings[0]
    with pytest.raises(UnsupportedFeature, match=r"3\.10"):
        plan(environments, spec, strict=True)


def test_what_an_image_holds_besides_python_is_said_to_be_missing(environments):
    assert "is missing" in plan(environments, container("2.2.0", "plain", image="gcr.io/acme/trainer")).warnings[0]


def test_a_container_component_without_a_mapping_is_refused_with_both_remedies(environments):
    with pytest.raises(UnsupportedFeature) as raised:
        plan(environments, ContainerSpec("gcr.io/a/b:1", ("echo", "hi")))
    assert "--image 'gcr.io/a/b:1=host'" in str(raised.value)
    assert "--image 'gcr.io/a/b:1=project:DIR'" in str(raised.value)
    assert "comp-train" in str(raised.value)


def test_on_the_host_a_command_is_executed_as_it_stands(environments):
    planned = plan(environments, ContainerSpec("alpine", ("echo", "hi")), [("*", "host")])
    assert planned.environment_spec == HostSpec()
    assert (planned.call, planned.command) == (None, None)
    found = environments.find(planned)
    assert (found.key, found.identity) == ("host", "")


def test_a_project_is_planned_from_a_snapshot(environments, tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "requirements.txt").write_text("humanize\n")
    spec = ContainerSpec("acme", ("python", "train.py"))
    snapshot = plan(environments, spec, [("acme", f"project:{root}")]).environment_spec
    assert snapshot.snapshot != str(root)
    assert snapshot.uv.brought == ""
    direct = plan(environments, spec, [("acme", f"project:{root}")], in_place=True).environment_spec
    assert (direct.snapshot, direct.digest) == (str(root), snapshot.digest)


def test_a_containerised_component_gets_kfp_beside_its_project(environments, tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    spec = container("2.1.3", "containerized", image="acme")
    assert plan(environments, spec, [("acme", f"project:{root}")]).environment_spec.uv.brought == "kfp==2.17.0"


def test_credentials_in_an_index_url_are_in_no_key_and_no_plan(environments):
    entry = COMPILED["2.2.0", "index"]
    command = [word.replace("https://a.", "https://$PIP_USER:$PIP_PASS@a.") for word in entry["command"]]
    one, two = (
        plan(environments, ContainerSpec("python:3.11", tuple(command), tuple(entry["args"]), {"PIP_PASS": secret}))
        for secret in ("hush1", "hush2")
    )
    assert one.environment_spec.key == two.environment_spec.key
    assert "hush" not in one.environment_spec.index_url


def test_what_the_home_configures_is_part_of_the_key(tmp_path):
    spec = container("2.2.0", "plain")
    (tmp_path / "pins.txt").write_text("pandas<2\n")
    usual = UvEnvironments(Home.open(tmp_path))
    pinned = UvEnvironments(Home.open(tmp_path), EnvironmentsSettings(constraints=str(tmp_path / "pins.txt")))
    assert plan(usual, spec).environment_spec.key != plan(pinned, spec).environment_spec.key
    with pytest.raises(ConfigurationError, match=r"nowhere\.txt"):
        plan(UvEnvironments(Home.open(tmp_path), EnvironmentsSettings(overrides="/nowhere.txt")), spec)
