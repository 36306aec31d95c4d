"""Values of every kind, through kfp's compiler, a run of Cairn's and a program with @hydra.main: none is altered."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import cairn

PROGRAM = Path(__file__).parent / "hydra_programs" / "dump"
SOURCES = Path(cairn.__file__).parent.parent
WHOLE = 2**53
BATCH = 100
ROUTES = ("constants", "parameters", "steps")
PIECES = [
    "${",
    "}",
    "\\",
    "$",
    "{",
    "{{",
    "{{$",
    "a",
    "'",
    '"',
    ":",
    ",",
    "=",
    " ",
    "\n",
    "ü",
    "日本",
    "😀",
    "???",
    ".",
    "#",
    "~",
]
ODD = [
    "", "null", "yes", "on", "true", "1e5", "0x10", "???", "${x}", "\\${x}", "\\\\${x}", "\\\\\\${x}", "2024-01-01",
    "a b", "a,b=c", "[1]", "{a: 1}", "${oc.env:HOME}",
    "\x00", "\x07", "\x85", "\u2028", "\ufeff", "@file", "--spec", "{{$", "{{",
]  # fmt: skip
TEXTS = (
    st.sampled_from(ODD)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
)
KEYS = TEXTS | st.sampled_from(["_target_", "defaults", "hydra", "1", "true", "a.b", "x=y", "_self_", "b", "a"])


def values(scalars):
    inner = lambda of: st.lists(of, max_size=4) | st.dictionaries(KEYS, of, max_size=4)  # noqa: E731
    structure = inner(st.recursive(scalars, inner, max_leaves=5))
    return st.one_of(scalars, TEXTS, structure)


# What KFP's numbers hold comes from other steps and from parameters; what they do not is exact as a constant only.
JSON_SCALARS = st.booleans() | st.integers(-WHOLE, WHOLE) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
ALL_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
STRATEGIES = {"constants": values(ALL_SCALARS), "parameters": values(JSON_SCALARS), "steps": values(JSON_SCALARS)}


def drawn(strategy, count, number):
    found = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value):
        found.append(value)

    draw()
    while len(found) < count:
        found.append(found[len(found) % 7])  # hypothesis repeats nothing, and may be done early
    return found[:count]


def shown(value):
    """Text that tells 1 from 1.0 and True, and one order of keys from another."""
    return json.dumps(value)


def test_two_thousand_values_arrive_as_they_were_sent(client_python, tmp_path, cairn_home, monkeypatch):
    number = int(os.environ.get("CAIRN_TEST_SEED") or random.randrange(2**32))
    print("CAIRN_TEST_SEED =", number)
    sent = {}
    for place, route in enumerate(ROUTES):
        several = drawn(STRATEGIES[route], 7 * BATCH, number + place)
        sent[route] = [several[start : start + BATCH] for start in range(0, len(several), BATCH)]
    run = round_trip(client_python, tmp_path, monkeypatch, sent)
    wrong = []
    for route in ROUTES:
        for place, batch in enumerate(sent[route]):
            got = arrived(run, f"{route}-{place}")
            pairs = [(shown(one), shown(got[index])) for index, one in enumerate(batch)]
            wrong += [(route, one, other) for one, other in pairs if one != other]
    assert not wrong, f"CAIRN_TEST_SEED={number}: {len(wrong)} values differ: {wrong[:5]}"


def round_trip(client_python, tmp_path, monkeypatch, sent):
    python = client_python("kfp", "hydra-core")
    (tmp_path / "values.json").write_text(json.dumps(sent))
    command = [
        str(python),
        str(PROGRAM / "pipeline.py"),
        str(tmp_path / "values.json"),
        str(tmp_path / "pipeline.yaml"),
    ]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    parameters = {
        f"p{place}_{index}": value
        for place, batch in enumerate(sent.get("parameters", ()))
        for index, value in enumerate(batch)
    }
    return cairn.run(tmp_path / "pipeline.yaml", parameters, images={"*": "host"})


def arrived(run, component):
    """By the value's number in its batch: the keys are v.s0, v.d1 and so on."""
    got = json.loads(Path(run.task(component).artifacts["out"].path).read_text())
    return {int(key[1:]): value for key, value in got.items()}
