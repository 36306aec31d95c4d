"""The command line in this process: what needs no engine."""

import json
import re
import subprocess
import sys

import click
import pytest

from cairn import __version__
from cairn.cli import commands, main
from cairn.errors import FenceLost


def run(capsys, *arguments):
    status = main.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"cairn {__version__}\n", "")
    assert run(capsys, "version")[1] == f"cairn {__version__}\n"
    assert json.loads(run(capsys, "version", "--json")[1])["cairn"] == __version__


@pytest.mark.parametrize("module", ["cairn", "cairn.cli.main"])
def test_it_is_run_as_a_module_too(module):
    ended = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, f"cairn {__version__}\n")


def every_command(group, path=()):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


ALL = dict(every_command(commands.cairn))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_and_its_line_in_the_list(capsys, path):
    status, out, _ = run(capsys, *path, "--help")
    assert status == 0
    assert out.startswith(f"Usage: cairn {' '.join(path)}")
    assert ALL[path].help


@pytest.mark.parametrize("path", [path for path in ALL if not isinstance(ALL[path], click.Group)], ids=" ".join)
def test_every_command_speaks_json(path):
    options = {option for parameter in ALL[path].params for option in parameter.opts}
    assert "--json" in options or path in {("completion",), ("runs", "debug"), ("exec",)}


def test_hydra_options_stand_in_the_help_of_run(capsys):
    told = run(capsys, "run", "--help")[1]
    assert all(option in told for option in ("--config-dir", "--config-name", "--config-import", "--cfg", "--multirun"))


def test_a_defect_is_told_in_a_line_and_its_trace_is_kept(capsys, cairn_home, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("cairn.wiring.open_cairn", broken)
    status, out, err = run(capsys, "runs", "list", "--json")
    assert status == 70
    assert "a defect of Cairn: ZeroDivisionError: of ours" in err
    assert "Traceback" not in err
    assert json.loads(out)["error"]["message"].startswith("a defect")
    traces = list((cairn_home / "defects").iterdir())
    assert len(traces) == 1
    assert "ZeroDivisionError: of ours" in traces[0].read_text()
    assert str(traces[0]) in err


def test_an_error_of_ours_has_its_own_status(capsys, cairn_home, monkeypatch):
    def lost(*_args, **_kwargs):
        raise FenceLost(place="run 1", remedy="stop")

    monkeypatch.setattr("cairn.wiring.open_cairn", lost)
    status, out, err = run(capsys, "runs", "list")
    assert (status, out) == (FenceLost.exit_status, "")
    assert err == "error: run 1: Another engine has taken this run over.\n  → stop\n"
    assert not (cairn_home / "defects").exists()


@pytest.mark.parametrize("group", [(), ("runs",), ("cache",)])
def test_a_group_alone_shows_its_help(capsys, group):
    status, out, err = run(capsys, *group)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: ")
    assert "error" not in err
    assert "→" not in err


def test_a_variable_that_sets_nothing_is_mentioned(capsys, cairn_home, monkeypatch):
    monkeypatch.setenv("CAIRN_RUNS_CACHE", "false")
    status, _, err = run(capsys, "runs", "list")
    assert status == 0
    assert "CAIRN_RUN_CACHE?" in err


def test_an_interrupt_outside_of_a_run(capsys, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("cairn.wiring.open_cairn", interrupted)
    assert run(capsys, "runs", "list")[0] == 130


@pytest.mark.parametrize("module", ["rich", "logging", "asyncio", "urllib.request", "importlib.metadata"])
def test_what_starting_a_run_must_not_import(module):
    code = (
        "import sys; from cairn.cli.main import main; main(['run', 'nowhere.yaml']);"
        f"sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0, module


def test_every_command_is_shown_under_a_heading(capsys):
    shown = run(capsys, "--help")[1]
    headings = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert headings == ["Options", "Pipelines", "Training", "Results", "Clients", "This home"]
    for name in commands.cairn.entries:
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name
