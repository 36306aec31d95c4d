import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.domain.runs import TaskOutputs
from cairn.domain.values import Spilled
from cairn.errors import HomeError
from cairn.records.encoding import Codec, encode, spilled

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.builds(Spilled, st.text(), st.text(), st.integers(0, 2**40))
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
_outputs = Codec(TaskOutputs)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    return type(left) is type(right) and left == right


@given(st.dictionaries(st.text(), _values, max_size=4))
def test_every_value_comes_back_with_its_type(parameters: dict[str, Any]) -> None:
    decoded = _outputs.decode(encode(TaskOutputs(parameters)))
    assert _same(parameters, decoded.parameters)


def test_a_users_object_that_looks_spilled_stays_an_object() -> None:
    look = {"kind": "spilled", "uri": "u", "digest": "d", "size": 1}
    decoded = _outputs.decode(encode(TaskOutputs({"a": look, "b": Spilled("u", "d", 1), "c": {"places": [[], "nan"]}})))
    assert decoded.parameters == {"a": look, "b": Spilled("u", "d", 1), "c": {"places": [[], "nan"]}}
    assert spilled(decoded) == ["u"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"parameters": 3}', '~{"places":[[["x"],"nan"]],"value":{}}', '~{"places":[3]}']
)
def test_a_damaged_record_is_refused(text: str) -> None:
    with pytest.raises(HomeError, match="cannot be read"):
        _outputs.decode(text)
