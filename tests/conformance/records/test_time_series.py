"""Points of time series are kept alike in both databases."""

import math
from itertools import pairwise

import pytest

from cairn.domain.documents import Document
from cairn.domain.resources import Capacity
from cairn.errors import AlreadyExists, InputRefused, NotFound
from cairn.filters.vertex import parse_filter, parse_order
from cairn.records import open_records, restore_records
from cairn.tensorboards.events import ValueKind
from cairn.tensorboards.types import Level, Point, SeriesPoints, Totals, Where

PLACE = Where("demo", "here")
PATH = ("t", "e", "r", "s")
SCALAR, TENSOR, BLOBS = ValueKind.SCALAR, ValueKind.TENSOR, ValueKind.BLOB_SEQUENCE


@pytest.fixture(params=["sqlite", "postgres"])
def records(request, tmp_path):
    location = tmp_path / "cairn.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_records(location, capacity=Capacity(4000, 1 << 30, 0)) as opened:
        yield opened


def a_document(level, path, state="", **fields):
    return Document(level, path[-1], "demo", "here", "/".join(path[:-1]), state=state, **fields)


def with_series(records, path=PATH, kind=SCALAR):
    for depth, level in enumerate(tuple(Level)[:3], 1):
        try:
            records.create_document(a_document(level, path[:depth]))
        except AlreadyExists:
            continue
    records.create_document(a_document(Level.SERIES, path, kind))
    return path


def written(records, points, path=PATH, kind=SCALAR):
    records.write_points(PLACE, [SeriesPoints(path, kind, tuple(points))])


def steps(records, **asked):
    return [one.step for one in records.points(PLACE, PATH, SCALAR, **asked)]


def test_values_of_every_kind_come_back_as_they_were(records):
    odd = (0.1, -0.0, 1e308, 5e-324, float("inf"), float("-inf"), 2.0**53)
    with_series(records)
    written(records, [Point(step, step * 10, value) for step, value in enumerate(odd)])
    written(records, [Point(-3, 7, float("nan"))])
    found = records.points(PLACE, PATH, SCALAR)
    assert math.isnan(found[0].value) and found[0].step == -3
    assert [(one.step, one.wall_time, one.value) for one in found[1:]] == [(k, k * 10, v) for k, v in enumerate(odd)]
    tensors, blobs = (
        with_series(records, ("t", "e", "r", "x"), TENSOR),
        with_series(records, ("t", "e", "r", "b"), BLOBS),
    )
    written(records, [Point(1, 1, bytes(range(256)))], tensors, TENSOR)
    written(records, [Point(1, 1, ("a", "b")), Point(2, 1, ())], blobs, BLOBS)
    assert records.points(PLACE, tensors, TENSOR)[0].value == bytes(range(256))
    assert [one.value for one in records.points(PLACE, blobs, BLOBS)] == [("a", "b"), ()]
    assert records.totals(PLACE, [blobs])[0].max_blobs == 2


def test_a_point_replaces_that_of_its_step_and_the_totals_follow(records):
    with_series(records)
    assert records.totals(PLACE, [PATH]) == [Totals()]
    written(records, [Point(step, step, 0.5) for step in range(10)])
    written(records, [Point(9, 100, 0.25), Point(9, 50, 0.125), Point(10, 1, 2.5)])
    assert [one.value for one in records.points(PLACE, PATH, SCALAR)][-2:] == [0.125, 2.5]
    size = 9 * len("0.5") + len("0.125") + len("2.5")
    assert records.totals(PLACE, [PATH]) == [Totals(11, size, 10, 50, 0)]
    assert records.bytes_below(PLACE, ("t",)) == size


def test_a_write_is_all_or_nothing(records):
    with_series(records)
    good = SeriesPoints(PATH, SCALAR, (Point(1, 1, 1.0),))
    with pytest.raises(NotFound):
        records.write_points(PLACE, [good, SeriesPoints((*PATH[:3], "none"), SCALAR, (Point(1, 1, 1.0),))])
    with pytest.raises(InputRefused, match="SCALAR"):
        records.write_points(PLACE, [good, SeriesPoints(PATH, TENSOR, (Point(1, 1, b"x"),))])
    assert steps(records) == [] and records.totals(PLACE, [PATH]) == [Totals()]


@pytest.mark.parametrize("most", [1, 2, 3, 7, 99, 100, 101])
def test_a_sample_has_as_many_as_asked_with_the_first_and_the_last(records, most):
    with_series(records)
    written(records, [Point(step * 3, 1, float(step)) for step in range(100)])
    found = steps(records, most=most)
    assert len(found) == min(most, 100) and found == sorted(set(found))
    if most > 1:
        assert (found[0], found[-1]) == (0, 297)
        gaps = [after - before for before, after in pairwise(found)]
        assert max(gaps) - min(gaps) <= 3


def test_points_are_filtered_and_paged_in_either_order(records):
    with_series(records)
    written(records, [Point(step, step * 1_000_000, float(step)) for step in range(25)])
    assert steps(records, where=parse_filter("step >= 20")) == [20, 21, 22, 23, 24]
    where, orders = parse_filter("step > 4"), parse_order("step desc")
    asked = {"where": where, "orders": orders, "query": "q", "limit": 8}
    found, token = [], ""
    while True:
        page, token = records.page_points(PLACE, PATH, SCALAR, token=token, **asked)
        found += [one.step for one in page]
        if not token:
            break
    assert found == list(range(24, 4, -1))
    with pytest.raises(InputRefused):
        records.points(PLACE, PATH, SCALAR, where=parse_filter("colour = 3"))


def test_deleting_takes_what_is_below_and_nothing_beside(records):
    with_series(records)
    with_series(records, ("t", "e", "r2", "s"))
    with_series(records, ("t", "e-more", "r", "s"))
    with_series(records, ("t2", "e", "r", "s"))
    written(records, [Point(1, 1, 1.0)])
    assert records.count_below(Level.RUN, PLACE, ("t",)) == 3
    levels = tuple(Level)
    records.delete_tree(levels[1:], PLACE, ("t", "e"))
    assert records.count_below(Level.RUN, PLACE, ("t",)) == 1
    assert records.count_below(Level.SERIES, PLACE, ("t",)) == 1
    with pytest.raises(NotFound):
        records.points(PLACE, PATH, SCALAR)
    records.delete_tree(levels, PLACE, ("t",))
    assert records.count_below(Level.SERIES, PLACE, ("t",)) == 0
    assert records.count_below(Level.SERIES, PLACE, ("t2",)) == 1
    assert records.bytes_below(PLACE, ("t",)) == 0
    with pytest.raises(NotFound):
        records.delete_tree(levels, PLACE, ("t",))


def test_a_name_is_taken_once_and_given_free_by_a_change(records):
    first = a_document(Level.SERIES, PATH, request_id="loss")
    assert records.create_documents([first], anew=True) == [first]
    again = a_document(Level.SERIES, (*PATH[:3], "other"), request_id="loss")
    assert [one.id for one in records.create_documents([again])] == ["s"]
    with pytest.raises(InputRefused, match="already exists"):
        records.create_documents([a_document(Level.SERIES, (*PATH[:3], "new")), again], anew=True)
    assert records.count_below(Level.SERIES, PLACE, PATH[:3]) == 1
    records.rename_document(a_document(Level.SERIES, PATH, request_id="renamed"))
    assert records.create_documents([again], anew=True) == [again]
    with pytest.raises(AlreadyExists):
        records.rename_document(a_document(Level.SERIES, PATH, request_id="loss"))


def test_points_go_through_a_backup(records, tmp_path):
    with_series(records)
    written(records, [Point(1, 2, 0.5), Point(2, 3, float("inf"))])
    records.backup(str(tmp_path / "kept"))
    restore_records(tmp_path / "restored.db", tmp_path / "kept")
    with open_records(tmp_path / "restored.db", capacity=Capacity(4000, 1 << 30, 0)) as restored:
        assert restored.points(PLACE, PATH, SCALAR) == [Point(1, 2, 0.5), Point(2, 3, float("inf"))]
        assert restored.totals(PLACE, [PATH]) == records.totals(PLACE, [PATH])
