"""python pipeline.py VALUES.json OUTPUT.yaml: batches of values, sent as constants, as parameters, through a step.

VALUES holds {"constants": [batch…], "parameters": [batch…], "steps": [batch…]}; a batch is a list of values.
"""

import base64
import inspect
import json
import sys
from pathlib import Path

from kfp import compiler, dsl

import cairn.hydra

PROJECT = Path(__file__).parent
WRITE = """import base64, json, sys
for text, path in zip(json.loads(base64.b64decode(sys.argv[1])), sys.argv[2:]):
    with open(path, "w", newline="") as file:
        file.write(text)"""
values = json.loads(Path(sys.argv[1]).read_text())
KINDS = {bool: "b", int: "i", float: "f", str: "s", list: "l", dict: "d", type(None): "n"}
TYPES = {"b": bool, "i": int, "f": float, "s": str, "l": list, "d": dict, "n": list}


def kind_of(value):
    return KINDS[type(value)]


def component(batch, name):
    keys = {f"v.{kind_of(value)}{number}": TYPES[kind_of(value)] for number, value in enumerate(batch)}
    overrides = [f"+{key}={DEFAULTS[key[2]]}" for key in keys]
    return cairn.hydra.component(
        "main.py", name=name, image="program", directory=str(PROJECT), overrides=overrides, inputs=keys,
        output_artifacts={"out": dsl.Artifact},
    )  # fmt: skip


DEFAULTS = {"b": "true", "i": "7", "f": "0.5", "s": "text", "l": "[{a: 1}]", "d": "{a: 1, b: {c: 2}}", "n": "[1]"}


def maker(batch, name):
    """A step with one output parameter for each value."""
    names = [f"o{index}" for index in range(len(batch))]
    texts = [value if isinstance(value, str) else json.dumps(value) for value in batch]
    packed = base64.b64encode(json.dumps(texts).encode()).decode()

    def make(*paths):
        return dsl.ContainerSpec(image="step", command=["python3", "-c", WRITE], args=[packed, *paths])

    make.__name__ = name
    make.__signature__ = inspect.Signature(
        inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY, annotation=dsl.OutputPath(TYPES[kind_of(value)]))
        for one, value in zip(names, batch, strict=True)
    )
    return dsl.container_component(make)


def body(*channels):
    parameters = dict(zip((one.name for one in declared()), channels, strict=True))
    for number, batch in enumerate(values["constants"]):
        given = {f"v_{kind_of(value)}{index}": value for index, value in enumerate(batch)}
        component(batch, f"constants-{number}")(**given)
    for number, batch in enumerate(values["parameters"]):
        names = {f"v_{kind_of(value)}{index}": f"p{number}_{index}" for index, value in enumerate(batch)}
        given = {name: parameters[parameter] for name, parameter in names.items()}
        component(batch, f"parameters-{number}")(**given)
    for number, batch in enumerate(values["steps"]):
        made = maker(batch, f"make_{number}")().outputs
        given = {f"v_{kind_of(value)}{index}": made[f"o{index}"] for index, value in enumerate(batch)}
        component(batch, f"steps-{number}")(**given)


def declared():
    for number, batch in enumerate(values["parameters"]):
        for index, value in enumerate(batch):
            yield inspect.Parameter(
                f"p{number}_{index}", inspect.Parameter.KEYWORD_ONLY, annotation=TYPES[kind_of(value)]
            )


body.__signature__ = inspect.Signature(list(declared()))
compiler.Compiler().compile(dsl.pipeline(body, name="round-trip"), sys.argv[2])
