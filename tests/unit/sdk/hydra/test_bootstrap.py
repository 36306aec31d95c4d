"""The bootstrap's YAML, read back by OmegaConf: a value is what it was, type and all."""

import io
import math
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cairn.sdk.hydra import bootstrap

ODD_TEXTS = [
    "", " ", "null", "~", "yes", "on", "true", "1e5", "0x10", "0o7", "1_000", ".inf", "-", "- a", "a: b",
    "# no", "<<", "=", "2024-01-01", "12:30:45", "???", "\\???", "\\\\???", "????", "a???", "${x}", "\\${x}",
    "\\\\${x}", "\\\\\\${x}", "$${x}", "${", "$", "${}", "${oc.env:HOME}", "a${x}b${y}", "\\", "\\\\", "x\\",
    "'", "\"", "'\"", "[1, 2]", "{a: b}", "a,b=c", "a.b", "\n", "\r\n", "\t", "\x00", "\x07", "\x1b[0m", "\x7f",
    "\x85", "\u2028", "\ufeff", "\ufffe", "ü", "日本語", "😀", "{{$.inputs}}", "_target_", "%YAML",
    "!!python/object", "&a", "*a", "@x", "`", "|", ">", "?", "? x", "\\$", "\\$\\{", "$\\{x}", "\\x24{y}",
]  # fmt: skip
PIECES = st.sampled_from(["${", "}", "\\", "$", "{", "a", "'", '"', ":", ",", "=", " ", "\n", "ü", "???", "."])
TEXTS = (
    st.sampled_from(ODD_TEXTS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.lists(PIECES, max_size=8).map("".join)
)
NUMBERS = st.integers() | st.integers(-(2**80), 2**80) | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
KEYS = TEXTS | st.sampled_from(["defaults", "hydra", "_target_", "_args_", "1", "true", "a.b", "x=y", "k" * 1200])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down; NaN is NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and str(left) == str(right))
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def read_back(value: Any) -> Any:
    lines = bootstrap.document(bootstrap.planted([("a.b", bootstrap.yaml_value(value))]))
    config = OmegaConf.load(io.StringIO("\n".join(lines)))
    return OmegaConf.to_container(config, resolve=True)["a"]["b"]


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES)
def test_a_value_is_read_back_as_it_was(value):
    assert same(read_back(value), value)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
def test_an_odd_text_is_read_back_as_a_value_and_as_a_key(text):
    assert read_back(text) == text
    assert read_back([text, {text: text}]) == [text, {text: text}]


def test_every_combination_of_backslashes_before_an_interpolation():
    for count in range(8):
        for tail in ("${x}", "${x", "$", "$x", "{x}", "${${x}}", "${x}\\${y}\\\\"):
            text = "\\" * count + tail
            assert read_back(text) == text
            assert read_back("a" + text + text) == "a" + text + text


def test_a_lone_surrogate_is_refused():
    with pytest.raises(bootstrap.Refused, match=r"U\+D800"):
        bootstrap.yaml_value(["\ud800"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=4), VALUES, max_size=4))
def test_json_of_exact_values_holds_no_placeholder(values):
    import json

    from cairn.sdk.hydra.exactness import exact_json

    text = exact_json({**values, "a": "{{$}} {{{$.x}} {$ $$ $(HOME)"})
    assert "{{" not in text
    assert "$" not in text
    assert same(json.loads(text), {**values, "a": "{{$}} {{{$.x}} {$ $$ $(HOME)"})


def test_the_bootstraps_text_holds_nothing_that_kubernetes_or_kubeflow_replaces():
    assert not re.search(r"\$[$(]|\{\{", Path(bootstrap.__file__).read_text())
