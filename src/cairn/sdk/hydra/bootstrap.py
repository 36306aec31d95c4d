"""Runs a Hydra program as a step of a pipeline, and gives it its values without a letter of them changed.

Cairn put this text into the component's command (docs/hydra_components.md). It needs Python 3.8 and nothing else; the
program needs hydra-core 1.1 or newer. The values are written as a configuration file that Hydra composes last:

    python main.py --config-dir DIRECTORY OVERRIDES… +cairn_values=values

Options: --spec JSON (what the component says of its inputs), --executor-input JSON (KFP's ExecutorInput; `@FILE` reads
either from a file), --artifact KEY PATH and --output KEY PATH (the path that a key is set to).
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile

GROUP = "cairn_values"
EXACT = "hydra_exact"  # the component's own input: JSON of the values that KFP's numbers would alter
PROGRAM_DIRECTORY = "directory"
FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT")
MISSING = "???"
# OmegaConf takes a text "???" for a value that is missing, wherever it stands; what an interpolation gives it takes as is.
MISSING_TEXT = "${oc.decode:'\"???\"'}"
_INTERPOLATION = re.compile(r"(\\*)\$(?=\{)")


class Refused(Exception):
    """Why the program cannot be started: the message is for the user."""


# --- values as YAML that OmegaConf reads back as they were -----------------------------------------------------------


def yaml_value(value):
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
        return quoted(MISSING_TEXT if value == MISSING else escaped(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_value, value)) + "]"
    return "{" + ", ".join(yaml_key(key) + ": " + yaml_value(inner) for key, inner in value.items()) + "}"


def yaml_float(value):
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def yaml_key(key):
    text = quoted(key)
    return text if len(text) < 1000 else "? " + text + " "  # YAML's limit of a key that is not marked as one


def escaped(text):
    """An interpolation is none behind a backslash, and each backslash before it has to be doubled."""
    return _INTERPOLATION.sub(lambda found: found.group(1) * 2 + "\\$", text)


def quoted(text):
    """A YAML scalar in double quotes, in ASCII: nothing in it is read as anything but text."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(one):
    code = ord(one)
    if one in '"\\':
        return "\\" + one
    if 32 <= code < 127:
        return one
    if 0xD800 <= code < 0xE000:
        raise Refused("a text holds a lone surrogate (U+%04X), which no file can hold" % code)
    if code < 256:
        return "\\x%02x" % code
    return "\\u%04x" % code if code < 65536 else "\\U%08x" % code


def document(tree, level=0):
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


class Leaf:
    def __init__(self, text):
        self.text = text


def planted(pairs):
    """(dotted key, text of its value) as nested mappings."""
    tree = {}
    for key, text in pairs:
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = Leaf(text)
    return tree


# --- what the component was given ------------------------------------------------------------------------------------


def given_values(spec, executor_input):
    """name → value, of the inputs that have one: exact ones first, then KFP's, then the component's own defaults."""
    parameters = (executor_input.get("inputs") or {}).get("parameterValues") or {}
    exact = json.loads(parameters.get(EXACT) or "{}")
    found = {}
    for name, one in spec["inputs"].items():
        if name in exact:
            found[name] = exact[name]
        elif parameters.get(name) is not None:
            found[name] = converted(parameters[name], one["type"])
        elif "default" in one:
            found[name] = one["default"]
    return found


def converted(value, kind):
    """KFP's numbers are doubles: 1.0 arrives as 1 and 1 as 1.0 on some backends."""
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def resets(spec, values):
    """Keys of mappings that are replaced: Hydra would merge what is given into what there is."""
    for name, value in values.items():
        key = spec["inputs"][name]["key"]
        for below in spec["inputs"][name].get("replaced", ()):
            inner = value
            for part in below:
                inner = inner.get(part) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                yield ".".join([key, *below])


def write_configuration(directory, spec, values, paths):
    """`directory`/cairn_values/values.yaml, and reset.yaml beside it."""
    group = os.path.join(directory, GROUP)
    os.makedirs(group, exist_ok=True)
    pairs = [(spec["inputs"][name]["key"], yaml_value(value)) for name, value in values.items()]
    pairs += [(key, yaml_value(path)) for key, path in paths]
    empty = [(key, quoted("${oc.create:{}}")) for key in resets(spec, values)]
    logs = os.environ.get("CAIRN_LOG_DIRECTORY")
    if logs:
        outputs = os.path.join(logs, "hydra")
        pairs += [("hydra.run.dir", yaml_value(outputs)), ("hydra.sweep.dir", yaml_value(outputs))]
    head = ["# @package _global_"]
    _write(os.path.join(group, "reset.yaml"), [*head, *(document(planted(empty)) or ["{}"])])
    defaults = ["defaults:", "  - reset", "  - _self_"]
    _write(os.path.join(group, "values.yaml"), [*head, *defaults, *document(planted(pairs))])


def _write(path, lines):
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


# --- the program -----------------------------------------------------------------------------------------------------


def command(spec, values, directory):
    """The program as its user would start it."""
    program = spec["program"]
    if program[0] != "-m" and not os.path.exists(program[0]):
        raise Refused("there is no %s in %s, nor in %s" % (program[0], os.getcwd(), spec.get("directory") or "(none)"))
    flags, overrides = list(spec.get("flags", ())), []
    for text, superseded_by in spec.get("overrides", ()):
        if not any(name in values for name in superseded_by):
            overrides.append(text)
    if spec.get("config_dir"):
        _link_all(spec["config_dir"], directory)
    return [sys.executable, *program, *flags, "--config-dir", directory, *overrides, "+" + GROUP + "=values"]


def _link_all(source, target):
    """The program's own --config-dir, seen through ours: Hydra takes one."""
    for name in os.listdir(source):
        if name != GROUP:
            os.symlink(os.path.abspath(os.path.join(source, name)), os.path.join(target, name))


def run(words):
    """The program's exit status, as `subprocess` gives it. What a signal would tell us is told to the program."""
    child = []
    forwarded = [] if os.environ.get("CAIRN_RUN") else [getattr(signal, name, None) for name in FORWARDED]
    ignored = [signal.SIGTERM, signal.SIGINT] if os.environ.get("CAIRN_RUN") else []  # Cairn tells every process itself

    def forward(number, _frame):
        for process in child:
            process.send_signal(number)

    for number in forwarded:
        if number is not None:
            signal.signal(number, forward)
    for number in ignored:
        signal.signal(number, lambda *_: None)
    child.append(subprocess.Popen(words))
    return child[0].wait()


def leave(status):
    """End as the program has ended."""
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    sys.exit(status)


# --- metrics ---------------------------------------------------------------------------------------------------------


def numbers(value, prefix=""):
    """The numbers of a JSON object by dotted name. What JSON has no number for (NaN) is left out."""
    found = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found.update(numbers(inner, prefix + key + "."))
        elif isinstance(inner, (int, float)) and not isinstance(inner, bool) and math.isfinite(inner):
            found[prefix + key] = inner
    return found


def report_metrics(spec, executor_input, paths):
    """What metrics files hold becomes the artifacts' metadata, told as KFP's own executor tells it."""
    outputs = executor_input.get("outputs") or {}
    described = {}
    for name, (key, whole) in spec.get("metrics", {}).items():
        metadata = _metrics(paths.get(key, ""), whole)
        listed = ((outputs.get("artifacts") or {}).get(name) or {}).get("artifacts") or []
        if metadata and listed:
            described[name] = {
                "artifacts": [dict(listed[0], metadata=dict(listed[0].get("metadata") or {}, **metadata))]
            }
    target = outputs.get("outputFile")
    if described and target:
        for prefix in ("gs", "s3", "minio"):
            if target.startswith(prefix + "://"):
                target = "/" + {"gs": "gcs"}.get(prefix, prefix) + "/" + target[len(prefix) + 3 :]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            json.dump({"artifacts": described}, file)


def _metrics(path, whole):
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}  # a file of another kind, or none: the artifact stays what it is
    if not isinstance(value, dict):
        return {}
    return value if whole else numbers(value)


# --- the step --------------------------------------------------------------------------------------------------------


def read_arguments(words):
    """(spec, executor input, [(key, path)] of artifacts and of outputs)."""
    one = {"--spec": "{}", "--executor-input": "{}"}
    paths = {"--artifact": [], "--output": []}
    rest = iter(words)
    for word in rest:
        if word in one:
            one[word] = next(rest)
        elif word in paths:
            paths[word].append((next(rest), next(rest)))
        else:
            raise Refused("%r is no option of the bootstrap" % word)
    return _json(one["--spec"]), _json(one["--executor-input"]), paths["--artifact"], paths["--output"]


def _json(text):
    if text.startswith("@"):
        with open(text[1:], encoding="utf-8") as file:
            text = file.read()
    return json.loads(text)


def main(words):
    try:
        spec, executor_input, artifacts, outputs = read_arguments(words)
        if spec.get("directory") and not os.path.exists(spec["program"][0]):
            os.chdir(spec["directory"])
        for _, path in outputs:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        values = given_values(spec, executor_input)
        kept = os.environ.get("CAIRN_LOG_DIRECTORY")
        directory = os.path.join(kept, "config") if kept else tempfile.mkdtemp(prefix="hydra-values-")
        write_configuration(directory, spec, values, [*artifacts, *outputs])
        words = command(spec, values, directory)
    except (Refused, OSError) as error:
        sys.exit("cairn.hydra: %s" % error)
    status = run(words)
    if status == 0:
        report_metrics(spec, executor_input, dict(outputs))
    leave(status)


if __name__ == "__main__":
    main(sys.argv[1:])
