"""kfp_commands.json holds what twelve releases of kfp.dsl, 2.0.1 to 2.17.0, compiled for one function."""

import json
from pathlib import Path

import msgspec
import pytest

from cairn.environments.command_shape import Containerized, Install, Lightweight, read_install_script, recognise

COMPILED = json.loads((Path(__file__).parent / "kfp_commands.json").read_text())
PLAIN = next(entry for entry in COMPILED if (entry["kfp"], entry["variant"]) == ("2.2.0", "plain"))


@pytest.mark.parametrize("entry", COMPILED, ids=lambda entry: f"{entry['kfp']}-{entry['variant']}")
def test_what_each_generation_of_kfp_compiles_is_taken_apart(entry):
    shape = recognise(tuple(entry["command"]), tuple(entry["args"]))
    assert type(shape).__name__ == entry["shape"]
    assert shape.module == entry["module"]
    assert shape.arguments == ("--executor_input", "{{$}}", "--function_to_execute", "add")
    if isinstance(shape, Lightweight):
        assert shape.source == "SOURCE"
        assert shape.install == msgspec.convert(entry["install"], Install)


def test_further_arguments_of_the_user_pass_through():
    shape = recognise(tuple(PLAIN["command"]), (*PLAIN["args"], "--mine", "1"))
    assert shape.arguments[-2:] == ("--mine", "1")


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        (2, "--quiet", "--quiet --target /tmp/x"),
        (2, "python3 -m pip", "python3.9 -m pip"),
        (2, ' && "$0" "$@"', ' ; "$0" "$@"'),
        (2, "'kfp==2.2.0'", "'kfp==2.2.0' && rm -rf /"),
        (2, "'kfp==2.2.0'", "$(cat packages)"),
        (2, "'kfp==2.2.0'", "`cat packages`"),
        (2, "'kfp==2.2.0'", "'kfp==2.2.0' > log"),
        (2, "'kfp==2.2.0'", "'kfp==2.2.0' -r more.txt"),
        (2, "'kfp==2.2.0'", "'kfp==2.2.0"),
        (4, "-ec", "-c"),
        (5, "mktemp -d", "mktemp -d /x"),
        (5, "python3 -m kfp", "python3 -u -m kfp"),
        (5, '"$@"', '"$@"; echo done'),
    ],
)
def test_a_command_that_deviates_in_one_token_is_the_users_own(place, old, new):
    command = list(PLAIN["command"])
    assert old in command[place]
    command[place] = command[place].replace(old, new, 1)
    assert recognise(tuple(command), tuple(PLAIN["args"])) is None


@pytest.mark.parametrize(
    "command", [(), ("echo", "hi"), ("sh", "-c", "echo hi"), ("sh", "-ec", "x"), ("python3", "-m", "kfp.dsl.other")]
)
def test_other_commands_are_the_users_own(command):
    assert recognise(command, ()) is None


def test_containerised_components_are_told_by_their_module():
    shape = recognise(("python3", "-m", "kfp.dsl.executor_main"), ("--executor_input", "{{$}}"))
    assert shape == Containerized("kfp.dsl.executor_main", ("--executor_input", "{{$}}"))


def test_options_may_stand_among_the_packages():
    script = PLAIN["command"][2].replace("'kfp==2.2.0'", "'--index-url' 'https://i/simple' '--pre' '-U' 'kfp==2.2.0'")
    install = read_install_script(script)
    assert (install.index_url, install.prerelease) == ("https://i/simple", True)
    assert install.bare[0] == "kfp==2.2.0"
