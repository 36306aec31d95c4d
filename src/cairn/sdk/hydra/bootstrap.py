# cairn.hydra, protocol 1: engine/cache.py has what that is for, and a line to add to when this file is changed.
"""Runs a Hydra program as a step of a pipeline, and gives it its values without a letter of them changed.

Cairn put this text into the component's command (docs/hydra_components.md). It needs Python 3.8 and nothing else; the
program needs hydra-core 1.1 or newer. The values are written as a configuration file that Hydra composes last:

    python main.py --config-dir DIRECTORY OVERRIDES… +cairn_values=values

Options: --spec JSON (what the component says of its inputs), --executor-input JSON (KFP's ExecutorInput), both also as
@FILE; --artifact KEY PATH and --output KEY PATH (the path that a key is set to).
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path[:1] == [""]:
    sys.path.remove("")  # a logging.py or json/ in the program's folder is not meant for us

import functools
import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

GROUP = "cairn_values"
EXACT = "hydra_exact"  # the component's own input: JSON of the values that KFP's numbers would alter
HOLES = ""  # in it, by input: [where, where KFP has it, whether its text is JSON] of what comes from elsewhere
LOG_VARIABLE = "CAIRN_LOG_DIRECTORY"
FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT")
# OmegaConf takes a text "???" for a missing value wherever it stands, but not where an interpolation gives it; from 2.4
# on not there either, but a backslash before it escapes it.
MISSING_TEXT = "${oc.decode:'\"???\"'}"
_MISSING = re.compile(r"\\*\?\?\?")
# A mapping that is merged onto this one replaces it, whatever its declared type; null would have to be Optional.
NOTHING = "${oc.create:{}}"
LONGEST_KEY = 1000  # characters of a YAML key that is not marked as one
_INTERPOLATION = re.compile(r"(\\*)[$](?=\{)")


class Refused(Exception):
    """Why the program cannot be started: the message is for the user."""


# --- values as YAML that OmegaConf reads back as they were -----------------------------------------------------------


def yaml_value(value: Any) -> str:
    """One value, in one line of flow style."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return yaml_float(value)
    if isinstance(value, str):
        return quoted(escaped(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_value, value)) + "]"
    return "{" + ", ".join(yaml_key(key) + ": " + yaml_value(inner) for key, inner in value.items()) + "}"


def yaml_float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def yaml_key(key: str) -> str:
    text = quoted(key)
    return text if len(text) < LONGEST_KEY else "? " + text + " "


def escaped(text: str) -> str:
    """An interpolation is none behind a backslash, and each backslash before it has to be doubled."""
    if _MISSING.fullmatch(text):
        return "\\" + text if escapes_missing() else MISSING_TEXT if text == "???" else text
    return _INTERPOLATION.sub(lambda found: found.group(1) * 2 + "\\$", text)


@functools.lru_cache(None)
def escapes_missing() -> bool:
    """Whether the program's OmegaConf knows `\\???`."""
    try:
        major, minor = importlib.metadata.version("omegaconf").split(".")[:2]
        return (int(major), int(minor)) >= (2, 4)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False


def quoted(text: str) -> str:
    """A YAML scalar in double quotes, in ASCII: nothing in it is read as anything but text."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(one: str) -> str:
    code = ord(one)
    if one in '"\\':
        return "\\" + one
    if 32 <= code < 127:
        return one
    if 0xD800 <= code < 0xE000:
        raise Refused(f"a text holds a lone surrogate (U+{code:04X}), which no file can hold")
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


class Leaf:
    def __init__(self, text: str) -> None:
        self.text = text


def planted(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """(dotted key, text of its value) as nested mappings."""
    tree: dict[str, Any] = {}
    for key, text in pairs:
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = Leaf(text)
    return tree


def document(tree: dict[str, Any], level: int = 0) -> list[str]:
    """Nested mappings as blocks, what is in them as values: `tree` holds Leaf and dict."""
    lines = []
    for key, inner in tree.items():
        start = "  " * level + quoted(key) + ":"
        if isinstance(inner, Leaf):
            lines.append(start + " " + inner.text)
        else:
            lines.append(start)
            lines.extend(document(inner, level + 1))
    return lines


# --- what the component was given ------------------------------------------------------------------------------------


def given_values(spec: dict[str, Any], executor_input: dict[str, Any]) -> dict[str, Any]:
    """name → value, of the inputs that have one: exact ones first, then KFP's, then the component's own defaults."""
    parameters = (executor_input.get("inputs") or {}).get("parameterValues") or {}
    exact = json.loads(parameters.get(EXACT) or "{}")
    for name, holes in exact.pop(HOLES, {}).items():
        for where, there, is_json in holes:
            fill(exact[name], where, at(parameters[name], there), is_json)
    found = {}
    for name, one in spec["inputs"].items():
        if name in exact:
            found[name] = exact[name]
        elif parameters.get(name) is not None:
            found[name] = converted(parameters[name], one["type"])
        elif "default" in one:
            found[name] = one["default"]
    return found


def at(value: Any, where: list[Any]) -> Any:
    for key in where:
        value = value[key]
    return value


def fill(value: Any, where: list[Any], found: Any, is_json: bool) -> None:
    """KFP puts what comes from elsewhere into a list or mapping as text, numbers as JSON."""
    at(value, where[:-1])[where[-1]] = json.loads(found) if is_json and isinstance(found, str) else found


def converted(value: Any, kind: str) -> Any:
    """KFP's numbers are doubles: some backends give 1 for 1.0, others 1.0 for 1."""
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def resets(spec: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    """Keys of mappings that are replaced: Hydra would merge what is given into what there is."""
    for name, value in values.items():
        for below in spec["inputs"][name].get("replaced", ()):
            inner = value
            for part in below:
                inner = inner.get(part) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                yield ".".join([spec["inputs"][name]["key"], *below])


def write_configuration(
    directory: str, spec: dict[str, Any], values: dict[str, Any], paths: list[tuple[str, str]]
) -> None:
    """`directory`/cairn_values/values.yaml, and reset.yaml beside it."""
    group = os.path.join(directory, GROUP)
    os.makedirs(group, exist_ok=True)
    pairs = []
    for name, value in values.items():
        try:
            pairs.append((spec["inputs"][name]["key"], yaml_value(value)))
        except (Refused, RecursionError) as error:
            reason = error if isinstance(error, Refused) else "it is nested too deeply"
            raise Refused(f"the input {name} cannot be written: {reason}") from None
    pairs += [(key, yaml_value(path)) for key, path in paths]
    logs = os.environ.get(LOG_VARIABLE)
    if logs:
        outputs = os.path.join(logs, "hydra")
        pairs += [("hydra.run.dir", yaml_value(outputs)), ("hydra.sweep.dir", yaml_value(outputs))]
    empty = [(key, quoted(NOTHING)) for key in resets(spec, values)]
    head = ["# @package _global_"]
    defaults = ["defaults:", "  - reset", "  - _self_"]
    _write(os.path.join(group, "reset.yaml"), [*head, *(document(planted(empty)) or ["{}"])])
    _write(os.path.join(group, "values.yaml"), [*head, *defaults, *document(planted(pairs))])


def _write(path: str, lines: list[str]) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


# --- the program -----------------------------------------------------------------------------------------------------


def command(spec: dict[str, Any], values: dict[str, Any], directory: str) -> list[str]:
    """The program as its user would start it. An override gives way to an input that sets the same key."""
    overrides = [text for text, inputs in spec["overrides"] if not any(name in values for name in inputs)]
    flags = [*spec["flags"], "--config-dir", directory]
    return [sys.executable, *spec["program"], *flags, *overrides, "+" + GROUP + "=values"]


def enter(spec: dict[str, Any]) -> None:
    """Go where the program is: the working directory, or where the image is said to keep it. Raises Refused."""
    file = spec["program"][0]
    if file == "-m" and not spec["directory"]:
        return
    for place in filter(None, (os.getcwd(), spec["directory"])):
        if os.path.exists(os.path.join(place, spec["file"])):
            os.chdir(place)
            return
    places = " nor in ".join(filter(None, (os.getcwd(), spec["directory"])))
    raise Refused(
        f"there is no {spec['file']} in {places}: the image has to hold the program there (on Cairn: --image "
        "'IMAGE=project:DIR'; elsewhere its WORKDIR, or directory= of the component)"
    )


def run(words: list[str]) -> int:
    """The program's exit status, as `subprocess` gives it. What a signal tells us is told to the program."""
    told: list[int] = []
    child: list[subprocess.Popen[bytes]] = []
    alone = not os.environ.get("CAIRN_RUN")  # Cairn tells every process of a step itself

    def hear(number: int, _frame: Any) -> None:
        if not child:
            told.append(number)
        elif alone:
            child[0].send_signal(number)

    for name in FORWARDED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), hear)
    child.append(subprocess.Popen(words))
    for number in told:
        child[0].send_signal(number)
    return child[0].wait()


def leave(status: int) -> None:
    """End as the program has ended."""
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


# --- metrics ---------------------------------------------------------------------------------------------------------


def numbers(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The numbers of a JSON object by dotted name. What JSON has no number for (NaN) is left out."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found.update(numbers(inner, prefix + key + "."))
        elif is_number(inner):
            found[prefix + key] = inner
    return found


def is_number(value: Any) -> bool:
    """Whether a protobuf Struct can hold it."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON has no words for (a threshold of infinity)."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, (int, float)) and not isinstance(value, bool) and not is_number(value) else value


def report_metrics(spec: dict[str, Any], executor_input: dict[str, Any], paths: dict[str, str]) -> None:
    """What metrics files hold becomes the artifacts' metadata, told as KFP's own executor tells it."""
    outputs = executor_input.get("outputs") or {}
    described = {}
    for name, (key, whole) in spec["metrics"].items():
        metadata = _metrics(paths.get(key, ""), whole)
        listed = ((outputs.get("artifacts") or {}).get(name) or {}).get("artifacts") or []
        if metadata and listed:
            merged = dict(listed[0].get("metadata") or {}, **metadata)
            described[name] = {"artifacts": [dict(listed[0], metadata=merged)]}
    target = local_path(outputs.get("outputFile") or "")
    if described and target:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            json.dump({"artifacts": described}, file)


def _metrics(path: str, whole: bool) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}  # a file of another kind, or none: the artifact stays what it is
    if not isinstance(value, dict):
        return {}
    return finite(value) if whole else numbers(value)


def local_path(uri: str) -> str:
    """Where KFP's and Vertex's mounts have a bucket's file."""
    for scheme, mount in (("gs://", "/gcs/"), ("s3://", "/s3/"), ("minio://", "/minio/")):
        if uri.startswith(scheme):
            return mount + uri[len(scheme) :]
    return uri


# --- the step --------------------------------------------------------------------------------------------------------


def read_arguments(
    words: list[str],
) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]:
    """(spec, executor input, [(key, path)] of artifacts and of outputs)."""
    texts = {"--spec": "", "--executor-input": ""}
    paths: dict[str, list[tuple[str, str]]] = {"--artifact": [], "--output": []}
    rest = iter(words)
    for word in rest:
        if word in texts:
            texts[word] = next(rest)
        elif word in paths:
            paths[word].append((next(rest), next(rest)))
        else:
            raise Refused(f"{word!r} is no option of the bootstrap")
    spec, executor_input = (json.loads(_text(text)) for text in texts.values())
    return spec, executor_input, paths["--artifact"], paths["--output"]


def _text(text: str) -> str:
    if not text.startswith("@"):
        return text
    with open(text[1:], encoding="utf-8") as file:
        return file.read()


def main(words: list[str]) -> None:
    try:
        spec, executor_input, artifacts, outputs = read_arguments(words)
        enter(spec)
        for _, path in outputs:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        values = given_values(spec, executor_input)
        kept = os.environ.get(LOG_VARIABLE)
        directory = os.path.join(kept, "config") if kept else tempfile.mkdtemp(prefix="hydra-values-")
        write_configuration(directory, spec, values, [*artifacts, *outputs])
        words = command(spec, values, directory)
    except (Refused, OSError) as error:
        sys.exit(f"cairn.hydra: {error}")
    status = run(words)
    if status == 0:
        report_metrics(spec, executor_input, dict(outputs))
    leave(status)


if __name__ == "__main__":
    main(sys.argv[1:])
