"""Values and types: what the compiler's detour through doubles did to integers is undone."""

import pytest

from cairn.spec.coercion import with_integers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ([1.0, 2.0], [1, 2]),
        ([1.0, 2.5], [1.0, 2.5]),  # a list of doubles
        ([1.0, 2.5, "x"], [1, 2.5, "x"]),
        ({"epochs": 10.0, "rate": 0.5}, {"epochs": 10, "rate": 0.5}),
        ([{"a": 1.0}, [2.0], "3.0", True], [{"a": 1}, [2], "3.0", True]),
        ({}, {}),
    ],
)
def test_whole_numbers_in_lists_and_mappings_are_integers_again(written, meant):
    assert repr(with_integers(written)) == repr(meant)
