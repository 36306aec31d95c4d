import os

import pytest

from cairn.config import container_engine
from cairn.config.container_engine import socket_of, user_of
from cairn.config.settings import DockerSettings
from cairn.errors import ConfigurationError


def test_what_is_configured_comes_before_what_the_shell_says(tmp_path):
    around = {"DOCKER_HOST": "unix:///run/shell.sock", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert socket_of(DockerSettings(socket="unix:///run/mine.sock"), around) == "/run/mine.sock"
    assert socket_of(DockerSettings(socket="/run/mine.sock"), around) == "/run/mine.sock"
    assert socket_of(DockerSettings(), around) == "/run/shell.sock"


def test_where_nothing_is_said_the_usual_places_are_looked_at(tmp_path, monkeypatch):
    usual = tmp_path / "usual.sock"
    monkeypatch.setattr(container_engine, "_USUAL", str(usual))
    around = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert socket_of(DockerSettings(), around) == str(usual)
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman" / "podman.sock").touch()
    assert socket_of(DockerSettings(), around) == f"{tmp_path}/podman/podman.sock"
    (tmp_path / "docker.sock").touch()
    assert socket_of(DockerSettings(), around) == f"{tmp_path}/docker.sock"
    usual.touch()
    assert socket_of(DockerSettings(), around) == str(usual)


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:2375", "ssh://me@there", "docker.sock"])
def test_an_engine_elsewhere_is_refused_with_its_place(address):
    with pytest.raises(ConfigurationError, match="no socket of this machine") as raised:
        socket_of(DockerSettings(), {"DOCKER_HOST": address})
    assert raised.value.place == "DOCKER_HOST"
    with pytest.raises(ConfigurationError) as raised:
        socket_of(DockerSettings(socket=address), {})
    assert "[docker] socket" in raised.value.place


def test_outputs_are_ours(tmp_path, monkeypatch):
    socket = tmp_path / "engine.sock"
    socket.touch()
    owner = socket.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1000)
    monkeypatch.setattr(os, "getgid", lambda: 77)
    inside = "0:0" if owner else f"{owner + 1000}:77"
    assert user_of(DockerSettings(), str(socket)) == inside
    assert user_of(DockerSettings(), str(tmp_path / "none")) == f"{owner + 1000}:77"
    assert user_of(DockerSettings(user="image"), str(socket)) == ""
    assert user_of(DockerSettings(user="5:6"), str(socket)) == "5:6"
