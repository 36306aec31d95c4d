import pytest

from cairn.environments import uv_command
from cairn.environments.specification import UvSpec
from cairn.environments.uv_command import find_uv, index_options, run_uv, uv_variables
from cairn.errors import EnvironmentBuildError


def test_variables_in_an_index_url_come_from_the_step_then_from_the_shell(monkeypatch):
    monkeypatch.setenv("USER_A", "shell")
    monkeypatch.setenv("SECRET_B", "hidden")
    spec = UvSpec("3.11", index_url="https://${USER_A}:$SECRET_B@host/simple", variables=(("USER_A", "step"),))
    assert index_options(spec) == ["--default-index", "https://step:hidden@host/simple"]


def test_an_index_is_not_trusted_because_kfp_repeats_its_url():
    spec = UvSpec("3.11", trusted_hosts=("https://host/simple", "plain.host:8080"))
    assert index_options(spec) == ["--allow-insecure-host", "plain.host:8080"]


def test_pips_standard_variables_count_and_an_active_environment_does_not(monkeypatch, tmp_path):
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/a /b")
    monkeypatch.setenv("VIRTUAL_ENV", "/venv")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    variables = uv_variables(tmp_path, downloads=False)
    assert variables["UV_DEFAULT_INDEX"] == "https://pip/simple"
    assert variables["UV_FIND_LINKS"] == "/a,/b"
    assert variables["UV_CACHE_DIR"] == str(tmp_path)
    assert variables["UV_PYTHON_DOWNLOADS"] == "never"
    assert "VIRTUAL_ENV" not in variables
    assert "PYTHONPATH" not in variables


def test_the_machines_own_authorities_are_trusted_unless_others_are_named(monkeypatch, tmp_path):
    bundle = tmp_path / "bundle.crt"
    bundle.touch()
    monkeypatch.setattr(uv_command, "SYSTEM_BUNDLES", (str(bundle),))
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "UV_SYSTEM_CERTS"):
        monkeypatch.delenv(name, raising=False)
    assert uv_variables(tmp_path, downloads=False)["UV_SYSTEM_CERTS"] == "1"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/company.pem")
    named = uv_variables(tmp_path, downloads=False)
    assert named["SSL_CERT_FILE"] == "/company.pem"
    assert "UV_SYSTEM_CERTS" not in named


def test_what_the_user_tells_uv_wins_over_what_he_tells_pip(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv/simple")
    assert uv_variables(tmp_path, downloads=True)["UV_DEFAULT_INDEX"] == "https://uv/simple"


def test_a_failure_is_told_in_uvs_own_words_without_credentials(tmp_path):
    arguments = [
        "pip",
        "install",
        "--offline",
        "--default-index",
        "https://me:pa55word@localhost/simple",
        "cairn-nothing",
    ]
    lines = []
    with pytest.raises(EnvironmentBuildError) as raised:
        run_uv(
            [*arguments, "--target", str(tmp_path / "t")],
            variables=uv_variables(tmp_path / "cache", downloads=False),
            directory=tmp_path,
            progress=lines.append,
        )
    assert "cairn-nothing was not found" in str(raised.value)
    assert "pa55word" not in str(raised.value) + "".join(lines)


def test_uv_is_found_beside_cairn():
    assert find_uv().endswith("uv")
