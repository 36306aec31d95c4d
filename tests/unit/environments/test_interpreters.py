import pytest

from cairn.environments import interpreters


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("python:3.11", "3.11"),
        ("python:3.9-slim-bullseye", "3.9"),
        ("public.ecr.aws/docker/library/python:3.12", "3.12"),
        ("registry.access.redhat.com/ubi9/python-311:latest", "3.11"),
        ("us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-14.py310:latest", "3.10"),
        ("gcr.io/deeplearning-platform-release/sklearn-cpu.1-3:py311", "3.11"),
        ("quay.io/x/python3.10:1", "3.10"),
        ("python:3.11@sha256:3111111111", "3.11"),
        ("localhost:5000/python:3.8.18", "3.8"),
        ("python", ""),
        ("python:alpine3.9", ""),
        ("alpine:3.18", ""),
        ("gcr.io/acme/mypy3:12", ""),
        ("pytorch/pytorch:2.3.1", ""),
        ("x@sha256:python-311", ""),
    ],
)
def test_an_images_name_says_which_python_it_brings(image, version):
    assert interpreters.version_of_image(image) == version


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        ("python:3.11", True),
        ("a.io/library/python@sha256:1", True),
        ("registry.access.redhat.com/ubi9/python-311:latest", True),
        ("gcr.io/acme/trainer:3", False),
        ("us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-14.py310:latest", False),
    ],
)
def test_only_python_images_hold_nothing_else_that_a_step_could_miss(image, plain):
    assert interpreters.is_plain_python(image) is plain


def test_the_nearest_version_is_taken_the_newer_of_two(monkeypatch):
    monkeypatch.setattr(interpreters, "installed", lambda: {"3.7": "a", "3.9": "b", "3.11": "c", "3.13": "d"})
    assert [interpreters.nearest(wanted) for wanted in ("3.8", "3.10", "3.12", "3.14", "3.13")] == [
        "3.9", "3.11", "3.13", "3.13", "3.13",
    ]  # fmt: skip


def test_interpreters_of_virtual_environments_and_shims_do_not_count(tmp_path, monkeypatch):
    for directory in ("venv/bin", "shims", "real/bin"):
        (tmp_path / directory).mkdir(parents=True)
        python = tmp_path / directory / "python3.77"
        python.write_text("#!/bin/sh\n")
        python.chmod(0o755)
    (tmp_path / "venv/pyvenv.cfg").touch()
    path = ":".join(str(tmp_path / directory) for directory in ("venv/bin", "shims", "real/bin"))
    monkeypatch.setenv("PATH", path)
    interpreters.installed.cache_clear()
    try:
        assert interpreters.installed()["3.77"] == str(tmp_path / "real/bin/python3.77")
    finally:
        interpreters.installed.cache_clear()
