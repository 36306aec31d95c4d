"""Where something is submitted to: flags over configuration over the shell."""

import pytest

from cairn.domain.configuration import TargetConfiguration
from cairn.errors import ConfigurationError, InputRefused
from cairn.submit.targets import Kind, target_of


def test_vertex_takes_project_and_region_of_the_shell_where_nobody_says():
    shell = {"GOOGLE_CLOUD_PROJECT": "shell", "GOOGLE_CLOUD_REGION": "us-east1"}
    target = target_of(TargetConfiguration(to="vertex", project="said"), environ=shell)
    assert (target.kind, target.project, target.region) == (Kind.VERTEX, "said", "us-east1")
    assert target_of(TargetConfiguration(to="vertex"), project="of-run", environ=shell).project == "of-run"
    assert target_of(TargetConfiguration(to="vertex"), environ={}).region == ""


def test_another_cairn_is_asked_in_its_own_places():
    shell = {"GOOGLE_CLOUD_PROJECT": "shell", "GOOGLE_CLOUD_REGION": "us-east1"}
    target = target_of(TargetConfiguration(to="https://cairn.example.com:8080/"), environ=shell)
    assert target.kind is Kind.CAIRN and target.url == "https://cairn.example.com:8080"
    assert (target.project, target.region) == ("default", "us-central1")


def test_kubeflow_is_where_its_endpoint_says():
    target = target_of(TargetConfiguration(to="kfp"), environ={"KF_PIPELINES_ENDPOINT": "http://kfp:80"})
    assert target.url == "http://kfp:80"
    assert target_of(TargetConfiguration(to="kfp", host="https://own"), environ={}).url == "https://own"


@pytest.mark.parametrize("to", ["", "sagemaker", "ftp://host", "http://host/path", "https://"])
def test_what_is_no_target_is_refused_with_the_forms_that_are(to):
    with pytest.raises(InputRefused) as raised:
        target_of(TargetConfiguration(to=to), environ={})
    assert raised.value.place == "--to" and "vertex, kfp" in raised.value.remedy


def test_files_are_absolute_and_must_be_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.json").write_text("{}")
    target = target_of(TargetConfiguration(to="vertex", credentials="key.json"), environ={})
    assert target.credentials == str(tmp_path / "key.json")
    with pytest.raises(ConfigurationError) as raised:
        target_of(TargetConfiguration(to="vertex", credentials="missing.json"), environ={})
    assert "missing.json cannot be read" in raised.value.message
