"""What one event of a TensorBoard log says: scalars, tensors, and sequences of blobs.

Sources: tensorflow/core/util/event.proto, tensorflow/core/framework/{summary,tensor}.proto, and
tensorboard/data_compat.py, by which older values (histo, image, audio) become the tensors of today's plugins.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, MutableMapping
from enum import StrEnum

import msgspec

from cairn.tensorboards import wire

GRAPH_TAG = "__run_graph__"  # as TensorBoard names what `Event.graph_def` holds
_FLOAT, _DOUBLE, _INT32, _STRING, _INT64 = 1, 2, 3, 7, 9  # tensorflow.DataType
_BLOB_PLUGINS = frozenset(("images", "audio", "graphs", "graph_run_metadata", "graph_keras_model"))
_ONE = {  # DataType → (code of `struct` in tensor_content, its own field in TensorProto, code there)
    _FLOAT: ("<f", 5, "f"),
    _DOUBLE: ("<d", 6, "d"),
    _INT32: ("<i", 7, "v"),
    4: ("<B", 7, "v"),
    5: ("<h", 7, "v"),
    6: ("<b", 7, "v"),
    _INT64: ("<q", 10, "v"),
    10: ("<?", 11, "v"),
    19: ("<e", 13, "v"),
    22: ("<I", 16, "v"),
    23: ("<Q", 17, "v"),
}
_HALF = 19


class ValueKind(StrEnum):
    """As TensorboardTimeSeries.ValueType names them."""

    SCALAR = "SCALAR"
    TENSOR = "TENSOR"
    BLOB_SEQUENCE = "BLOB_SEQUENCE"


class Value(msgspec.Struct, frozen=True):
    """One value of one tag at one step. `wall_time`: seconds since the epoch."""

    tag: str
    step: int
    wall_time: float
    kind: ValueKind
    scalar: float = 0.0
    tensor: bytes = b""  # a serialised tensorflow.TensorProto
    blobs: tuple[bytes, ...] = ()
    plugin: str = ""
    plugin_data: bytes = b""


class Plugin(msgspec.Struct, frozen=True):
    """What a tag's first value says of all of them."""

    name: str
    content: bytes = b""


def values_of(event: bytes, plugins: MutableMapping[str, Plugin]) -> Iterator[Value]:
    """`plugins`, by tag, is added to: only a tag's first value names its plugin. Raises wire.Malformed."""
    step, wall_time = 0, 0.0
    summaries, graph = list[bytes](), b""
    for number, _, value in wire.fields(event):
        if number == 1:
            wall_time = wire.double(value)
        elif number == 2 and isinstance(value, int):
            step = wire.signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
        elif number == 4 and isinstance(value, bytes):
            graph = value
    if graph:
        yield Value(GRAPH_TAG, step, wall_time, ValueKind.BLOB_SEQUENCE, blobs=(graph,), plugin="graphs")
    for summary in summaries:
        for value in wire.strings(summary, 1):
            found = _value(value, step, wall_time, plugins)
            if found is not None:
                yield found


def _value(message: bytes, step: int, wall_time: float, plugins: MutableMapping[str, Plugin]) -> Value | None:
    tag, simple, held = "", None, dict[int, bytes]()
    for number, _, value in wire.fields(message):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2:
            simple = wire.single(value)
        elif isinstance(value, bytes):
            held[number] = value
    plugin = _plugin_of(tag, held, plugins)
    if simple is not None:
        return Value(tag, step, wall_time, ValueKind.SCALAR, scalar=simple, plugin=plugin.name or "scalars")
    tensor, name = _as_tensor(held)
    if tensor is None:
        return None
    name = plugin.name or name
    scalar = _scalar_of(tensor) if name in ("", "scalars") else None
    if scalar is not None:
        return Value(tag, step, wall_time, ValueKind.SCALAR, scalar=scalar, plugin="scalars")
    shared = {"plugin": name, "plugin_data": plugin.content}
    if name in _BLOB_PLUGINS:
        blobs = tuple(wire.strings(tensor, 8))
        return Value(tag, step, wall_time, ValueKind.BLOB_SEQUENCE, blobs=blobs, **shared)  # type: ignore[arg-type]
    return Value(tag, step, wall_time, ValueKind.TENSOR, tensor=tensor, **shared)  # type: ignore[arg-type]


def _plugin_of(tag: str, held: Mapping[int, bytes], plugins: MutableMapping[str, Plugin]) -> Plugin:
    data = wire.last(held[9], 1) if 9 in held else b""
    if data:
        name = wire.last(data, 1).decode("utf-8", "replace")
        plugins.setdefault(tag, Plugin(name, wire.last(data, 2)))
    return plugins.get(tag, Plugin(""))


def _as_tensor(held: Mapping[int, bytes]) -> tuple[bytes | None, str]:
    """A value's tensor, made of the older kinds as TensorBoard itself does, and the plugin that those are of."""
    if 8 in held:
        return held[8], ""
    if 5 in held:
        return _of_histogram(held[5]), "histograms"
    if 4 in held:
        sizes = {number: value for number, _, value in wire.fields(held[4]) if isinstance(value, int)}
        parts = [str(sizes.get(2, 0)).encode(), str(sizes.get(1, 0)).encode(), wire.last(held[4], 4)]
        return strings_tensor(parts, [3]), "images"
    if 6 in held:
        return strings_tensor([wire.last(held[6], 4), b""], [1, 2]), "audio"
    return None, ""


def _of_histogram(message: bytes) -> bytes:
    """Buckets (left, right, count) of a HistogramProto, whose limits are right edges; the outer ones reach as far as
    there were values. Empty buckets at both ends are left out."""
    limits, counts = wire.numbers(message, 6, "d"), wire.numbers(message, 7, "d")
    bounds = {number: wire.double(value) for number, kind, value in wire.fields(message) if kind == wire.FIXED64}
    lowest, highest = bounds.get(1, 0.0), bounds.get(2, 0.0)
    filled = [at for at, count in enumerate(counts[: len(limits)]) if count > 0]
    rows = []
    for at in range(filled[0], filled[-1] + 1) if filled else ():
        left = lowest if at == filled[0] else limits[at - 1]
        right = highest if at == filled[-1] else limits[at]
        rows.append(struct.pack("<3d", left, right, counts[at]))
    return wire.tagged(1, _DOUBLE) + _shape([len(rows), 3]) + wire.tagged(4, b"".join(rows))


def strings_tensor(parts: list[bytes], shape: list[int]) -> bytes:
    """A serialised TensorProto of strings."""
    return wire.tagged(1, _STRING) + _shape(shape) + b"".join(wire.tagged(8, part) for part in parts)


def _shape(sizes: list[int]) -> bytes:
    return wire.tagged(2, b"".join(wire.tagged(2, wire.tagged(1, size)) for size in sizes))


def _scalar_of(tensor: bytes) -> float | None:
    """The number of a tensor that holds just one."""
    kinds = [value for number, _, value in wire.fields(tensor) if number == 1 and isinstance(value, int)]
    if not kinds or kinds[-1] not in _ONE:
        return None
    for dimension in wire.strings(wire.last(tensor, 2), 2):
        sizes = [value for number, _, value in wire.fields(dimension) if number == 1]
        if sizes != [1]:
            return None
    code, number, listed = _ONE[kinds[-1]]
    content = wire.last(tensor, 4)
    if content:
        return float(struct.unpack(code, content)[0]) if len(content) == struct.calcsize(code) else None
    held = wire.numbers(tensor, number, listed)
    if len(held) > 1:
        return None
    if not held:
        return 0.0  # what is zero is not written
    return float(struct.unpack("<e", struct.pack("<H", int(held[0])))[0]) if kinds[-1] == _HALF else float(held[0])
