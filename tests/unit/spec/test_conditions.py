"""Conditions are CEL with types; selectors are the few forms that kfp writes."""

import pytest

from cairn.errors import SpecError, StepError
from cairn.spec.conditions import check_condition, compile_condition, select
from cairn.spec.kfp_conditions import requoted

X = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (f"{X} == 'heads'", "heads", True),
        (f"{X} != 'heads'", "tails", True),
        (f"{X} == true", True, True),
        (f"{X} == 1", True, False),
        (f"int({X}) > 5", 7, True),
        (f"int({X}) > 5", "7", True),
        (f"int({X}) == 5", 5.7, True),
        (f"int({X}) == -5", -5.7, True),
        (f"{X} == 5", 5.0, True),
        (f"{X} == 5.0", 5, True),
        (f"{X} < 5.5", 5, True),
        (f"{X} >= double(1)", 1, True),
        (f"{X} == 'a'", 5, False),
        (f"{X} == null", None, True),
        (f"{X} == 9007199254740993", 9007199254740993, True),
        (f"{X} == 9007199254740993", 9007199254740992, False),
        (f"!({X} == 'a') && {X} == 'b'", "b", True),
        (f"{X} == 'it\\'s'", "it's", True),
        (f"{X} == 'a'", "a' || true || 'a' == 'a", False),
        ('inputs.parameter_values["x"] == "y"', "y", True),
        (f"{X} in ['a', 'b']", "b", True),
        (f"{X}.size() == 2", [1, 2], True),
        (f"{X} == [1, 2.0]", [1.0, 2], True),
        (f"parseJson({X})['a'] == 1", '{"a": 1}', True),
        ("inputs.parameters['x'].string_value == 'a'", "a", True),
        ("inputs.parameters['x'].int_value == 3", 3, True),
    ],
)
def test_conditions_are_evaluated_with_types(condition, value, expected):
    assert compile_condition(condition).evaluate({"x": value, "other": 1}) is expected


@pytest.mark.parametrize(
    ("condition", "value", "words"),
    [
        (f"int({X}) > 5", "many", "x = 'many'"),
        (f"{X} > 5", "many", "x = 'many'"),
        (X, "text", "neither true nor false"),
        ("inputs.parameter_values['y'] == 1", 1, "no such key"),
        (f"{X} / 0 == 1", 1, "x = 1"),
    ],
)
def test_a_condition_that_gives_no_truth_names_itself_and_its_values(condition, value, words):
    with pytest.raises(StepError) as raised:
        compile_condition(condition).evaluate({"x": value})
    assert condition in str(raised.value)
    assert words in str(raised.value)


def test_a_condition_may_name_only_inputs_of_its_task():
    check_condition(f"{X} == 1", ["x"])
    with pytest.raises(SpecError, match="did you mean 'threshold'"):
        check_condition("inputs.parameter_values['treshold'] == 1", ["threshold"])


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (f"{X} == 'plain'", f"{X} == 'plain'"),
        (f"{X} == 'it's'", f"{X} == 'it\\'s'"),
        (f"!({X} == 'it's')", f"!({X} == 'it\\'s')"),
        (f"{X} == 'a\\b'", f"{X} == 'a\\\\b'"),
        (f"{X} == 'two\nlines'", f"{X} == 'two\\nlines'"),
        (f"{X} == 'x' || true || 'x' == 'x'", f"{X} == 'x\\' || true || \\'x\\' == \\'x'"),
        (f"!({X} == 'a'b') && int({X}) > 3", f"!({X} == 'a\\'b') && int({X}) > 3"),
        ("size(inputs.parameter_values['x']) == 3", "size(inputs.parameter_values['x']) == 3"),
    ],
)
def test_strings_that_kfp_wrote_unquoted_are_quoted(written, read_as):
    assert requoted(written) == read_as


@pytest.mark.parametrize(
    ("selector", "value", "expected"),
    [
        ('parseJson(string_value)["a"]', {"a": 1}, 1),
        ('parseJson(string_value)["a"]', '{"a": [1, {"b": 2.0}]}', [1, {"b": 2.0}]),
        ('parseJson(string_value)["a"]["b"]', {"a": {"b": "c"}}, "c"),
        ("parseJson(string_value)['a'][1]", {"a": [1, 2]}, 2),
        ("parseJson(string_value).a", {"a": None}, None),
    ],
)
def test_selectors_take_a_part(selector, value, expected):
    assert select(selector, value) == expected


@pytest.mark.parametrize("value", [{"b": 1}, [1], "no json", "3", 5, None])
def test_a_selector_that_finds_nothing_says_so(value):
    with pytest.raises(StepError, match="parseJson"):
        select('parseJson(string_value)["a"]', value)


@pytest.mark.parametrize("selector", ["string_value", "parseJson(string_value) + 1", "parseJson(x)['a']", ""])
def test_other_selectors_are_refused(selector):
    with pytest.raises(SpecError):
        select(selector, {})
