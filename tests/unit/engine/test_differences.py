"""What two runs were configured with, side by side."""

from cairn.domain.configuration import Configuration
from cairn.engine.differences import configuration_of, differing

FIRST = """
train:
  lr: 0.1
  layers:
  - size: 1
  - size: 2
  none: null
out: ${train.lr}/x
empty: {}
"""
SECOND = FIRST.replace("size: 2", "size: 3").replace("empty: {}", "empty: []").replace("lr: 0.1", "lr: 1.0e-1")


def test_only_keys_that_differ_are_told():
    first = configuration_of(Configuration("/conf", "config", ("a=1",), text=FIRST))
    second = configuration_of(Configuration("/conf", "other", ("a=1",), text=SECOND))
    assert differing(first, second) == [
        {"name": "(name)", "a": "config", "b": "other"},
        {"name": "train.layers[1].size", "a": 2, "b": 3},
        {"name": "empty", "a": {}, "b": []},
    ]
    assert first["out"] == "${train.lr}/x"
    assert first["train.none"] is None


def test_a_run_without_one_lacks_everything():
    configuration = configuration_of(Configuration("/conf", "config", text="a: 1\n"))
    assert {each["name"]: each["b"] for each in differing({}, configuration)} == {
        "(directory)": "/conf", "(name)": "config", "(overrides)": [], "a": 1,
    }  # fmt: skip
    assert configuration_of(None) == {}


def test_what_is_no_json_is_compared_as_text():
    first, second = (configuration_of(Configuration("/conf", "config", text=f"a: .nan\nb: {n}\n")) for n in (1, 2))
    assert [each["name"] for each in differing(first, second)] == ["(text)"]
