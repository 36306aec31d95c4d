"""Every construct of the IR, run through the command line: final state, outputs, what was executed and what was not.

What needs more than one look at a run's record stands in the other files of this folder.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

pytestmark = pytest.mark.network


@dataclass(frozen=True)
class Case:
    """`executed` and `skipped` count leaf tasks by component; `outputs` are compared as far as they are named."""

    pipeline: str
    outputs: dict[str, Any] = field(default_factory=dict)
    executed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, Any] | None = None
    options: tuple[str, ...] = ()
    name: str = ""


HOST = ("--image", "shell=host")

CASES = [
    # --- parameters ---
    Case(
        "parameter_types",
        {
            "text": "plain",
            "whole": 7,
            "ratio": 2.0,
            "flag": False,
            "items": [1, 2.5, "x", True, [3], {"k": 4}],
            "table": {"n": 1, "deep": {"l": [1, 2]}, "empty": ""},
            "seen": "str,int,float,bool,list,dict",
        },
        {"every-type": 1, "every-type-2": 1},
        name="defaults",
    ),
    Case(
        "parameter_types",
        {
            "text": 'it\'s "q"\nßecond line\t\\ 🚀',
            "whole": 2**60 + 1,
            "ratio": 1.5e-300,
            "flag": True,
            "items": [2**53 + 1, 1.0, None, "", [], {}],
            "table": {"": {"ü": [0.1, -0.0, 10**15]}, "none": None},
            "seen": "str,int,float,bool,list,dict",
        },
        parameters={
            "text": 'it\'s "q"\nßecond line\t\\ 🚀',
            "whole": 2**60 + 1,
            "ratio": 1.5e-300,
            "flag": True,
            "items": [2**53 + 1, 1.0, None, "", [], {}],
            "table": {"": {"ü": [0.1, -0.0, 10**15]}, "none": None},
        },
        name="extremes",
    ),
    Case(
        "parameter_types",
        {"text": "", "whole": 0, "ratio": 3.0, "flag": False, "items": [], "table": {}},
        parameters={"text": "", "whole": 0, "ratio": 3, "flag": False, "items": [], "table": {}},
        name="empty values",
    ),
    Case(
        "constant_arguments",
        {
            "Output": '["it\'s \\"quoted\\"\\n\\ttab \\\\ back, Grüße 🚀", -3, 1e-07, true, [1, 2, [3.5, '
            '"{{not a placeholder"]], {"n": 10, "s": "${HOME} $(id) `id`"}]'
        },
    ),
    Case(
        "optional_inputs",
        {
            "nothing": "None None None None 'component default' 5",
            "given": "None None None None 'root default' 5",
            "nested": "None 11 None None 'inner default' 5",
            "nested_given": "None 11 None None 'root default' 5",
        },
        name="nothing given",
    ),
    Case(
        "optional_inputs",
        {"given": "'t' 0 False None '' 5", "nested_given": "'t' 0 None None '' 5"},
        parameters={"text": "t", "whole": 0, "flag": False, "named": ""},
        name="falsy values given",
    ),
    Case(
        "large_parameters",
        {"characters": [100_000, 2_500_000], "entries": [200, 5000]},
        {"make-text": 2, "measure": 2},
    ),
    # --- conditions ---
    Case("branches", {"Output": "took a"}, {"say": 1, "say-4": 1}, {"say-2": 1, "say-3": 1}, {"kind": "a"}, name="if"),
    Case(
        "branches", {"Output": "took b"}, {"say-2": 1, "say-4": 1}, {"say": 1, "say-3": 1}, {"kind": "b"}, name="elif"
    ),
    Case(
        "branches",
        {"Output": "took else"},
        {"say-3": 1, "say-4": 1},
        {"say": 1, "say-2": 1},
        {"kind": "a' || true || 'a"},
        name="else",
    ),
    Case("between_outputs", {"word": "less"}, skipped={"say-2": 1, "say-5": 1}, name="less"),
    Case("between_outputs", {"word": "not less"}, parameters={"left": 100, "right": 20}, name="numbers, not text"),
    Case(
        "one_of_artifacts",
        {"text": "yes yes data"},
        {"write": 1, "read": 1},
        {"write-2": 1},
        {"flag": True},
        name="first",
    ),
    Case("one_of_artifacts", {"text": "no no data"}, skipped={"write": 1}, parameters={"flag": False}, name="second"),
    Case("skipped_downstream", {"always": "always"}, {"say-3": 1}, {"say": 1, "say-2": 1}),
    # --- loops ---
    Case(
        "loop_sources",
        {
            "constants": 12,
            "structs": '["a-b", "c-d"]',
            "inputs": '["x-!", "y-!"]',
            "upstream": 6,
            "upstream_structs": "[11, 22]",
            "empty": "[]",
        },
        {
            "double": 3,
            "join": 2,
            "join-2": 2,
            "make-numbers": 1,
            "make-numbers-2": 1,
            "make-structs": 1,
            "total": 1,
            "dump": 1,
            "dump-2": 1,
            "double-2": 3,
            "add": 2,
            "total-2": 1,
            "dump-4": 1,
            "dump-3": 1,
        },
    ),
    Case(
        "loop_sources",
        {"inputs": '["it\'s-!", "-!", "{{$}}-!"]', "upstream": 2},
        parameters={"names": ["it's", "", "{{$}}"], "count": 2},
        name="other inputs",
    ),
    Case(
        "loop_nested",
        {"sums": "[66, 72]", "nested": "[[12, 22, 32], [14, 24, 34]]", "inside": "[[64], [48, 68]]"},
        {"double": 2, "add": 6, "double-2": 3, "total": 2, "dump": 1, "dump-2": 1, "dump-3": 1},
        {"double-2": 3},
    ),
    Case(
        "loop_artifacts",
        {"flat": "a,b,c", "nested": "d-1,d-2,e-1,e-2", "through": "a,b,c", "each": '["ff", "gg"]'},
        {
            "write": 2,
            "write-2": 3,
            "write-3": 3,
            "join": 4,
            "write-2-2": 4,
            "read-all": 1,
            "read-all-2": 1,
            "read-all-3": 1,
            "read": 2,
            "dump": 1,
        },
    ),
    # --- nested pipelines ---
    Case("depth_one", {"value": 5, "shown": "model of 3, 3, Dataset", "again": 7}),
    # --- one in another ---
    Case(
        "mixtures",
        {
            "grades": '["low", "middle", "high"]',
            "lists": "[[1, 4], [1, 4], [1, 4]]",
            "rows": "[[1, 4], [], [9]]",
            "kinds": "[\"dict ['a']\", \"dict ['b']\"]",
            "some": "keep,keep too",
            "settings": "{'x': 1} [True, False] 0.5",
        },
    ),
    Case(
        "optional_artifacts",
        {"without": "None None", "given": "here None", "inside": "None None", "inside_given": "here None"},
    ),
    # --- artifacts ---
    Case("metrics", {"Output": "0.75 [{'row': [3, 1]}, {'row': [0, 4]}] <b>bold</b> # Notes"}),
    Case("pythonic", {"Output": "one returned pair 4"}),
    Case("embedded", {"Output": "first second"}),
    # --- containers ---
    Case(
        "optional_arguments",
        {
            "without": "--name=n/n\n--no-given\nend\n",
            "given": "--name=n/n\n--given\ng\n<g|n>\nend\n",
            "none": "--name=n/n\n--no-given\nend\n",
        },
        options=HOST,
    ),
    Case(
        "custom_types",
        {
            "lines": "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/models/1\n"
            "projects/p/locations/l/models/1\n",
            "text": "from the report",
        },
        options=HOST,
    ),
    Case(
        "environment_variables",
        {"python": ['it\'s "1"', "ü=2", "7", "<unset>"], "shell": "x\nsecond"},
        options=HOST,
    ),
]


def _typed(value: Any) -> str:
    """Tells 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True)


def _id(case: Case) -> str:
    return f"{case.pipeline}: {case.name}" if case.name else case.pipeline


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_a_construct_gives_what_it_means(cli, case: Case) -> None:
    outcome = cli.run(case.pipeline, *case.options, parameters=case.parameters)
    assert (outcome.exit, outcome.state) == (0, "SUCCEEDED"), outcome
    got = {name: outcome.outputs.get(name) for name in case.outputs}
    assert got == case.outputs, outcome
    assert _typed(got) == _typed(case.outputs), outcome
    if case.executed:
        assert outcome.executed == case.executed, outcome
    skipped = Counter(t["component"].removeprefix("comp-") for t in outcome.record["tasks"] if t["state"] == "SKIPPED")
    if case.skipped:
        assert dict(skipped) == case.skipped, outcome
    assert all(task["attempts"] <= 1 and not task["cached"] for task in outcome.record["tasks"])
