"""Points of finite spaces."""

from cairn.tuning import grid
from cairn.tuning.study_spec import parse

from .conftest import double, message_of


def test_each_point_of_a_space_with_conditions_comes_once():
    def child(values, name, many):
        spec = {"parameterId": name, "integerValueSpec": {"minValue": 0, "maxValue": many - 1}}
        return {"parentIntValues": {"values": values}, "parameterSpec": spec}

    tree = {
        "parameterId": "n",
        "integerValueSpec": {"minValue": 0, "maxValue": 5},
        "conditionalParameterSpecs": [child([1, 4], "a", 3), child([4], "b", 2)],
    }
    spec = parse(message_of({"parameterId": "k", "categoricalValueSpec": {"values": ["x", "y"]}}, tree))
    assert grid.size(spec) == 2 * (4 + 3 + 6)
    points = [grid.point(spec, index) for index in range(grid.size(spec))]
    assert len({tuple(sorted(one.items())) for one in points}) == len(points)
    assert points[0] == {"k": "x", "n": 0} and points[-1] == {"k": "y", "n": 5}
    for one in points:
        assert ("a" in one) == (one["n"] in (1, 4)) and ("b" in one) == (one["n"] == 4)
    assert [one["n"] for one in points[:13]] == sorted(one["n"] for one in points[:13])


def test_a_large_grid_is_not_walked():
    spec = parse(message_of(*({"parameterId": f"p{i}", "integerValueSpec": {"maxValue": 999_999}} for i in range(3))))
    assert grid.size(spec) == 10**18
    assert grid.point(spec, 10**18 - 1) == {"p0": 999_999, "p1": 999_999, "p2": 999_999}


def test_a_space_with_a_real_interval_has_no_size():
    assert grid.size(parse(message_of(double("x")))) == 0
    assert grid.size(parse(message_of(double("x", 2, 2)))) == 1
