from cairn.environments.step_variables import for_environment, for_host

SHELL = {
    "PATH": "/venv/bin:/usr/bin", "VIRTUAL_ENV": "/venv", "PYTHONPATH": "/mine", "HOME": "/home/me", "CAIRN_HOME": "/c",
    "HTTPS_PROXY": "http://p", "AWS_PROFILE": "x", "MY_SETTING": "1", "TEAM_A": "a",
}  # fmt: skip


def test_a_step_sees_its_own_programs_and_not_the_active_environment():
    variables = for_environment("/env", (), SHELL)
    assert variables["PATH"] == "/env/bin:/usr/bin"
    assert variables["VIRTUAL_ENV"] == "/env"
    assert "PYTHONPATH" not in variables


def test_a_step_inherits_the_way_to_the_network_and_credentials_and_what_is_configured():
    variables = for_environment("/env", ("TEAM_*",), SHELL)
    assert set(variables) == {"PATH", "VIRTUAL_ENV", "HOME", "HTTPS_PROXY", "AWS_PROFILE", "TEAM_A"}


def test_a_command_on_the_host_sees_the_shell_without_cairns_own():
    assert for_host(SHELL) == {name: value for name, value in SHELL.items() if name != "CAIRN_HOME"}
