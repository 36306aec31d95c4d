"""Words that are longer than the kernel passes on: from files where the program allows that, else with a reason.

Linux takes no argument and no variable of 128 KiB or more (MAX_ARG_STRLEN, execve(2)). The values of a Python component
are one argument: a list of some thousand results is longer.
"""

from __future__ import annotations

import json
import os
from typing import Dict, List, Mapping, Sequence

MAX_ARGUMENT = 128 * 1024 - 1  # bytes of one argument, its end not counted
FILE_OPTIONS = ("--spec", "--executor-input")  # of the bootstrap in cairn.sdk.hydra: each may be @FILE
# `python -m MODULE` with arguments of any length: the name of a file is what it is given.
FROM_FILE = """import json, os, runpy, sys
with open(sys.argv[1], encoding="utf-8", errors="surrogateescape") as file:
    module, *sys.argv[1:] = json.load(file)
sys.path[0] = os.getcwd()
del file
runpy._run_module_as_main(module)"""
# What kfp compiles for a lightweight component (`cairn.environments.command_shape`): the runtime, and with which words.
_RUNTIMES = ("kfp.dsl.executor_main", "kfp.components.executor_main", "kfp.v2.components.executor_main")
_WRITTEN = 'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py"'
_ARGUMENTS = '--component_module_path "$program_path/ephemeral_component.py" "$@"'
_MARK = "_KFP_RUNTIME=true"
_MODULE_OPTION = "--component_module_path"


def is_long(word: str) -> bool:
    return len(word) * 4 > MAX_ARGUMENT and len(os.fsencode(word)) > MAX_ARGUMENT


def through_files(words: Sequence[str], directory: str) -> List[str]:
    """`words`, or others that do the same and are short enough. Files are made in `directory`, which both sides see."""
    words = list(words)
    if not any(map(is_long, words)):
        return words
    if words[1:2] == ["-c"] and words[3:4] == [FILE_OPTIONS[0]]:
        return _options(words, directory)
    if words[:2] == ["sh", "-ec"] and len(words) > 3 and _runtime(words[2]):
        source = os.path.join(directory, "ephemeral_component.py")
        _write(source, words[3])
        mark = f"export {_MARK}; " if _MARK in words[2] else ""
        module = module_command("python3", _runtime(words[2]), [_MODULE_OPTION, source, *words[4:]], directory)
        return ["sh", "-ec", f'{mark}exec "$@"', "sh", *module]
    if words[1:2] == ["-m"] and len(words) > 3 and words[2] in _RUNTIMES:
        return module_command(words[0], words[2], words[3:], directory)
    return words


def module_command(python: str, module: str, arguments: Sequence[str], directory: str) -> List[str]:
    """`PYTHON -m MODULE ARGUMENT…` for arguments of any length."""
    if not any(map(is_long, arguments)):
        return [python, "-m", module, *arguments]
    path = os.path.join(directory, "arguments.json")
    _write(path, json.dumps([module, *arguments]))
    return [python, "-c", FROM_FILE, path]


def too_long(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """Why the kernel does not execute this; "" where no single word is to blame."""
    entries: Dict[str, str] = {f"argument {number}": word for number, word in enumerate(words)}
    entries.update({f"variable {name}": f"{name}={value}" for name, value in variables.items()})
    for what, word in entries.items():
        if is_long(word):
            return f"its {what} has {len(os.fsencode(word))} bytes; the kernel takes {MAX_ARGUMENT}. Pass it in a file"
    return ""


def _runtime(program: str) -> str:
    """Which of kfp's runtimes a script of `sh -ec` runs; "" for one that is not kfp's."""
    text = " ".join(program.split())
    for module in _RUNTIMES:
        if text in (f"{_WRITTEN} {mark}python3 -m {module} {_ARGUMENTS}" for mark in ("", _MARK + " ")):
            return module
    return ""


def _options(words: List[str], directory: str) -> List[str]:
    """A program that `cairn.hydra` has made reads its values from files that it is told as @FILE."""
    for place in range(4, len(words)):
        if words[place - 1] in FILE_OPTIONS and is_long(words[place]):
            path = os.path.join(directory, words[place - 1].lstrip("-") + ".json")
            _write(path, words[place])
            words[place] = "@" + path
    return words


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
    os.chmod(path, 0o644)  # the step's user may be another
