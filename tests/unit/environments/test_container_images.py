import pytest

from cairn.environments.container_images import _facts, repository_of
from cairn.environments.images import container_of
from cairn.environments.inside_image import _PLANNED
from cairn.errors import UnsupportedFeature


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("alpine", "alpine"),
        ("python:3.12", "python"),
        ("gcr.io:443/acme/train", "gcr.io:443/acme/train"),
        ("gcr.io:443/acme/train:v3", "gcr.io:443/acme/train"),
        ("gcr.io/acme/train:v3@sha256:00", "gcr.io/acme/train"),
    ],
)
def test_a_port_is_no_tag(name, repository):
    assert repository_of(name) == repository


def test_the_digest_is_the_one_of_the_registry_that_was_asked_for():
    known = ["b.io/x@sha256:bb", "a.io/x@sha256:aa"]
    assert _facts("b.io/x:v1", {"Id": "sha256:00", "RepoDigests": known}).digest == "sha256:bb"
    assert _facts("c.io/x:v1", {"Id": "sha256:00", "RepoDigests": known}).digest == "sha256:aa"
    assert _facts("c.io/x:v1", {"Id": "sha256:00", "RepoDigests": []}).digest == "sha256:00"
    assert _facts("x", {"Id": "00", "RepoDigests": None, "Config": None}).id == "sha256:00"


def test_what_an_image_says_may_be_missing():
    facts = _facts("x", {"Id": "sha256:00", "Config": {"Entrypoint": None, "Cmd": ["c"], "Env": ["A=b=c", "D="]}})
    assert facts.entrypoint == ()
    assert facts.command == ("c",)
    assert dict(facts.variables) == {"A": "b=c", "D": ""}


def test_the_first_mapping_that_matches_decides_else_the_executor():
    images = [("a/*", "host"), ("b/*", "docker"), ("*", "docker:other:v1")]
    assert container_of("a/x", images, "docker") is None
    assert container_of("b/x", images, "process") == "b/x"
    assert container_of("c/x", images, "process") == "other:v1"
    assert container_of("c/x", [], "process") is None
    assert container_of("c/x", [], "docker") == "c/x"
    with pytest.raises(UnsupportedFeature):
        container_of("c/x", [("*", "docker:")], "docker")


@pytest.mark.parametrize(
    ("line", "name", "version", "place"),
    [
        (" + kfp==2.17.0", "kfp", "2.17.0", None),
        (" ~ torch==2.1.0+cu118", "torch", "2.1.0+cu118", None),
        (" + six @ https://x.example/six-1.0.whl", "six", None, "https://x.example/six-1.0.whl"),
        (" + six==1.0 (from file:///six-1.0.whl)", "six", "1.0", "file:///six-1.0.whl"),
    ],
)
def test_what_uv_plans_is_read(line, name, version, place):
    plan = _PLANNED.match(line)
    assert (plan["name"], plan["version"], plan["url"] or plan["source"]) == (name, version, place)


@pytest.mark.parametrize("line", [" - kfp==2.14.0", "Resolved 3 packages in 1ms", "Would install 2 packages"])
def test_what_uv_says_besides_is_no_plan(line):
    assert _PLANNED.match(line) is None
