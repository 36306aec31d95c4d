"""Conditions over every type, and how loops share the machine."""

from itertools import pairwise

import pytest

pytestmark = pytest.mark.network

WORDS = {
    "say-2": "text == it's",
    "say-3": "text != prod",
    "say-4": "injected",
    "say-5": "double quotes",
    "say-6": "whole > 9",
    "say-7": "whole == 10",
    "say-8": "ratio <= 0.5",
    "say-9": "ratio >= 1",
    "say-10": "flag",
    "say-11": "not flag",
}


@pytest.mark.parametrize(
    ("parameters", "taken"),
    [
        (
            {"text": "it's", "whole": 10, "ratio": 0.5, "flag": True},
            {"text == it's", "text != prod", "whole > 9", "whole == 10", "ratio <= 0.5", "flag"},
        ),
        (
            {"text": "prod", "whole": 9, "ratio": 1, "flag": False},
            {"ratio >= 1", "not flag"},
        ),
        (
            {"text": "x' || true || 'x' == 'x", "whole": 100, "ratio": 0.75, "flag": False},
            {"injected", "text != prod", "whole > 9", "not flag"},
        ),
        (
            {"text": "prod' || 'a' == 'a", "whole": -1, "ratio": 1e300, "flag": True},
            {"text != prod", "ratio >= 1", "flag"},
        ),
        (
            {"text": 'say "hi" \\ {{$}}', "whole": 10, "ratio": 0.5, "flag": True},
            {"double quotes", "text != prod", "whole > 9", "whole == 10", "ratio <= 0.5", "flag"},
        ),
    ],
)
def test_conditions_compare_values_and_never_text_put_into_code(cli, parameters, taken) -> None:
    outcome = cli.run("comparisons", parameters=parameters)
    assert outcome.exit == 0, outcome
    done = outcome.executed
    assert {WORDS[name] for name in done if name != "say"} == taken, outcome


def test_a_loop_keeps_to_its_parallelism_and_to_the_order_of_its_items(cli) -> None:
    outcome = cli.run("loop_limited")
    assert outcome.exit == 0, outcome
    one = outcome.outputs["one"]
    assert len(one) == 3
    assert all(before[1] <= after[0] for before, after in pairwise(one)), one
    two = outcome.outputs["two"]
    assert len(two) == 4
    together = max(sum(begin <= moment < end for begin, end in two) for moment, _ in two)
    assert together <= 2, two


def test_a_failing_iteration_fails_the_loop_and_the_others_still_run(cli) -> None:
    outcome = cli.run("loop_failing")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.states == {
        "for-loop-2[0]/fail-at": "SUCCEEDED",
        "for-loop-2[1]/fail-at": "FAILED",
        "for-loop-2[2]/fail-at": "SUCCEEDED",
    }
    assert outcome.record["error"]["place"] == "for-loop-2[1]/fail-at"
    assert "index 1 is not wanted" in outcome.stderr
