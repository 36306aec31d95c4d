"""Event files as the real writers have left them: tensorboardX (x), PyTorch (torch), and TensorBoard's own writer with
the summaries of TensorFlow 2, which name a tag's plugin once (tb2)."""

from __future__ import annotations

import os
import shutil
import struct

import pytest
from event_logs import FILES, NAME, scalar_event, values

from cairn.tensorboards import wire
from cairn.tensorboards.event_files import Damaged, event_files, framed, records
from cairn.tensorboards.events import ValueKind, values_of
from cairn.tensorboards.scalars import read_scalars


def points_of(found) -> list[tuple[str, int, float]]:
    return [(one.tag, one.step, one.value) for one in found.points]


def test_scalars_of_every_writer_and_number():
    found = read_scalars(str(FILES)).points
    by_tag = {(one.run, one.tag): [] for one in found}
    for one in found:
        assert one.wall_time == 1000 + one.step
        by_tag[one.run, one.tag].append(round(one.value, 6))
    harmonic = [1.0, 0.5, 0.333333, 0.25]
    assert by_tag == {
        ("x", "loss"): harmonic,
        ("torch", "loss"): harmonic,
        ("torch", "new"): [0, 2, 4, 6],
        ("tb2", "acc"): [0, 0.1, 0.2, 0.3],
        ("tb2", "count"): [0, 1, 2, 3],
        ("tb2", "double"): [0, 1, 2, 3],
        ("tb2", "half"): [0, 0.25, 0.5, 0.75],
    }


def test_tensors_and_blobs_keep_their_plugin():
    kinds = {value.tag: (value.kind, value.plugin) for value in values("tb2") + values("x")}
    assert kinds["hist"] == kinds["h"] == (ValueKind.TENSOR, "histograms")
    assert kinds["__run_graph__"] == (ValueKind.BLOB_SEQUENCE, "graphs")
    assert next(v for v in values("tb2") if v.tag == "__run_graph__").blobs == (b"graph!",)


def test_an_old_histogram_becomes_buckets_that_hold_all_its_values():
    tensor = next(value for value in values("x") if value.tag == "h").tensor
    rows = list(struct.iter_unpack("<3d", wire.last(tensor, 4)))
    assert sum(count for _, _, count in rows) == 8
    assert (rows[0][0], rows[-1][1]) == (0.0, 7.0)
    assert all(left <= right for left, right, _ in rows)
    assert [right for _, right, _ in rows[:-1]] == [left for left, _, _ in rows[1:]]


def test_a_growing_file_is_read_from_where_the_last_look_ended(tmp_path):
    file = tmp_path / "train" / NAME
    file.parent.mkdir()
    assert read_scalars(str(tmp_path)).points == ()
    written = [framed(scalar_event("loss", step, step / 2)) for step in range(4)]
    file.write_bytes(written[0] + written[1][:-3])  # the writer is in the middle of the second
    first = read_scalars(str(tmp_path))
    assert points_of(first) == [("loss", 0, 0.0)]
    file.write_bytes(b"".join(written[:3]))
    second = read_scalars(str(tmp_path), first.position)
    assert points_of(second) == [("loss", 1, 0.5), ("loss", 2, 1.0)]
    (tmp_path / "train" / "events.out.tfevents.2000.host").write_bytes(written[3])  # a restart's own file
    third = read_scalars(str(tmp_path), second.position)
    assert points_of(third) == [("loss", 3, 1.5)]
    assert third.points[0].run == "train"
    assert read_scalars(str(tmp_path), third.position).points == ()
    assert third.latest()["loss"].step == 3


def test_the_latest_is_that_of_the_highest_step(tmp_path):
    events = [("a", 5, 1.0), ("a", 2, 7.0), ("b", 1, 3.0), ("a", 5, 2.0)]
    (tmp_path / NAME).write_bytes(b"".join(framed(scalar_event(*one)) for one in events))
    latest = read_scalars(str(tmp_path)).latest()
    assert {tag: (one.step, one.value) for tag, one in latest.items()} == {"a": (5, 2.0), "b": (1, 3.0)}


@pytest.mark.parametrize("at", [0, 9, 14, -2])
def test_of_a_damaged_file_what_stands_before_the_damage_counts(tmp_path, at):
    good, bad = framed(scalar_event("loss", 0, 1.0)), bytearray(framed(scalar_event("loss", 1, 2.0)))
    bad[at] ^= 0xFF
    file = tmp_path / NAME
    file.write_bytes(good + bytes(bad) + good)
    with pytest.raises(Damaged) as raised:
        list(records(str(file)))
    assert raised.value.offset == len(good)
    found = read_scalars(str(tmp_path))
    assert points_of(found) == [("loss", 0, 1.0)]
    file.write_bytes(file.read_bytes() + good)
    assert read_scalars(str(tmp_path), found.position).points == ()


def test_what_is_no_message_is_not_taken_for_one(tmp_path):
    for content in (b"\xff" * 12, b"\x0a\x7fshort", b"\x0b", b"\x2a\x02\x0a\x7f"):
        with pytest.raises(wire.Malformed):
            list(values_of(content, {}))


def test_a_link_back_to_the_directory_ends_nothing(tmp_path):
    shutil.copytree(FILES / "x", tmp_path / "x")
    (tmp_path / "x" / "again").symlink_to(tmp_path)
    assert [file.run for file in event_files(str(tmp_path))] == ["x"]


def test_nobody_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / NAME)
    assert event_files(str(tmp_path)) == []


def test_negative_steps_and_long_varints():
    assert wire.signed(int.from_bytes(struct.pack("<q", -5), "little")) == -5
    message = wire.tagged(2, (1 << 64) - 1)
    assert [wire.signed(value) for _, _, value in wire.fields(message)] == [-1]
