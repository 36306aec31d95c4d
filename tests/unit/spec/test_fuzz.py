"""Structure-aware fuzzing: whatever is done to a compiled pipeline, reading it gives a pipeline or a refusal, in time.

CAIRN_FUZZ_SECONDS bounds it (10 by default); CAIRN_CONFORMANCE names a folder of more compiled pipelines.
"""

import copy
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.unit.spec.documents import PIPELINES

from cairn.errors import InputRefused
from cairn.spec.documents import scalar
from cairn.spec.load import load_text
from cairn.spec.parameters import resolve_parameters

SECONDS = float(os.environ.get("CAIRN_FUZZ_SECONDS", "10"))
REPOSITORY = Path(__file__).parents[3]

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 10**400, -1, 0, 1e308, 0.5]),
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "",
                "..",
                "/",
                "\0",
                "\ud800",
                "root",
                "STRING",
                "LIST",
                "1s",
                "-1s",
                "[1,",
                "1 + ",
                "comp-say",
                "exec-say",
            ),
            *("{{$}}", "{{$.x}}", "{{$.inputs.parameters['x']}}", "parseJson(string_value)", "taskOutputParameter"),
            *('{"Concat": [{"IfPresent": 1}]}', '{"IfPresent": {"InputName": "x", "Then": []}}'),
            "inputs.parameter_values['x'] == 'y'",
        ]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def _samples():
    conformance = Path(os.environ.get("CAIRN_CONFORMANCE", REPOSITORY.parent / "shared" / "conformance" / "corpus"))
    found = sorted(PIPELINES.glob("*.yaml"))
    found += sorted(REPOSITORY.glob("tests/acceptance/constructs/pipelines/compiled/*.yaml"))
    found += sorted(conformance.rglob("*.yaml"))
    read = [list(yaml.load_all(path.read_text(), yaml.CSafeLoader)) for path in found if path.stat().st_size < 40_000]
    return [documents for documents in read if documents and all(isinstance(one, dict) for one in documents)]


SAMPLES = _samples()


def _places(value, path=()):
    """(container, key, path) of everything below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield value, key
        yield from _places(below, (*path, key))


def _mutate(documents, draw):
    places = list(_places(documents))
    container, key = places[draw(st.integers(0, len(places) - 1))]
    kind = draw(st.sampled_from(["replace", "delete", "swap", "rename", "duplicate", "wrap", "edit"]))
    if kind == "replace":
        container[key] = draw(odd)
    elif kind == "delete":
        del container[key]
    elif kind == "swap":
        other, other_key = places[draw(st.integers(0, len(places) - 1))]
        container[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(container[key])
    elif kind == "rename" and isinstance(container, dict):
        container[draw(st.one_of(st.text(max_size=8), st.sampled_from([str(k) for _, k in places])))] = container.pop(
            key
        )
    elif kind == "duplicate" and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    elif kind == "wrap":
        container[key] = draw(st.sampled_from([[container[key]], {"constant": container[key]}]))
    elif kind == "edit" and isinstance(container[key], str):
        at = draw(st.integers(0, len(container[key])))
        container[key] = (
            container[key][:at] + draw(st.text(max_size=3)) + container[key][at + draw(st.integers(0, 3)) :]
        )


@st.composite
def documents(draw):
    chosen = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        _mutate(chosen, draw)
        if not chosen:
            break
    return chosen


def _text(chosen):
    try:
        return "\n---\n".join(json.dumps(document) for document in chosen)
    except ValueError:
        return "{}"


def _check(text):
    start = time.perf_counter()
    try:
        pipeline = load_text(text, origin="fuzz.json")
        again = load_text(pipeline.text, origin="fuzz.json")
        assert again == pipeline
        resolve_parameters(pipeline, {})
    except InputRefused:
        pass
    assert time.perf_counter() - start < 5


def _for_seconds(check, strategy, seconds, number):
    """Rounds of examples, each with a seed of its own, until the time is over; a failing round names its seed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        profile = settings(
            max_examples=200,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        try:
            seed(number)(profile(given(strategy)(check)))()
        except BaseException as error:
            error.add_note(f"seed {number}")
            raise
        number += 1


@pytest.mark.timeout(max(300, SECONDS * 3))
def test_no_change_to_a_pipeline_makes_reading_it_crash_or_hang():
    assert len(SAMPLES) >= 2
    _for_seconds(lambda chosen: _check(_text(chosen)), documents(), SECONDS * 0.8, 20_000)


@pytest.mark.timeout(max(300, SECONDS * 3))
def test_no_change_to_a_text_makes_reading_it_crash_or_hang():
    texts = [path.read_text() for path in sorted(PIPELINES.glob("*.yaml"))]

    @st.composite
    def edited(draw):
        text = draw(st.sampled_from(texts))
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(text)))
            added = draw(
                st.one_of(st.text(max_size=3), st.sampled_from(["*a", "&a ", "!!int ", "? ", "- ", "{", "<<: "]))
            )
            text = text[:at] + added + text[at + draw(st.integers(0, 40)) :]
        return text

    _for_seconds(_check, edited(), SECONDS * 0.2, 30_000)


@settings(max_examples=2000, deadline=None)
@given(st.text("-+.01_8eExobniflay:~", min_size=1, max_size=5))
def test_a_text_that_kfp_writes_without_quotes_is_read_as_that_text(text):
    assert yaml.dump(text)[0] in "'\"" or scalar(text) == text


@pytest.mark.parametrize("text", ["0o17", "-.5", "+.5e-1"])
def test_what_is_a_number_in_other_kinds_of_yaml_is_text(text):
    assert scalar(text) == text
