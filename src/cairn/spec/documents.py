"""From text to plain JSON values: YAML or JSON, bounded in size, depth and expansion, with every key used once.

YAML is read from libyaml's events and not through PyYAML's constructors: those resolve aliases without a bound, keep
the last of two equal keys, make dates of text that looks like one, and recurse as deep as the input asks.
"""

from __future__ import annotations

import json
import math
import re
from os import PathLike, fspath
from typing import Any

import msgspec

from cairn.errors import SpecError

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100
# Of the expanded document: an alias counts as much as what it stands for. 64 for each value plus the text in it.
MAX_WEIGHT = 96 * 1024 * 1024
NODE_WEIGHT = 64
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels, the most a pipeline may have"

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$")
_OTHER_INTEGER = re.compile(r"([-+]?)(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+)$")  # 0o17 is text, and -.5
_FLOAT = re.compile(r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_WORDS: dict[str, bool | None] = {
    **{word: True for name in ("yes", "true", "on") for word in (name, name.title(), name.upper())},
    **{word: False for name in ("no", "false", "off") for word in (name, name.title(), name.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))


def read_text(path: str | PathLike[str], *, max_bytes: int = MAX_BYTES) -> str:
    """The file's text (UTF-8). Raises SpecError when it is missing, too large, or not text."""
    place = fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise SpecError("there is no such file", place=place) from None
    except IsADirectoryError:
        raise SpecError("this is a directory; a compiled pipeline (.yaml or .json) is wanted", place=place) from None
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {getattr(error, 'strerror', None) or error}", place=place) from None
    if len(data) > max_bytes:
        raise SpecError(f"is larger than {max_bytes // 1024 // 1024} MiB, the most a pipeline may have", place=place)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not text in UTF-8 (byte {error.start})", place=place) from None


def parse_documents(text: str, *, origin: str) -> list[Any]:
    """The documents in `text`, each a plain JSON value; empty ones are left out. Raises SpecError."""
    if len(text) > MAX_BYTES:
        raise SpecError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB, the most a pipeline may have", place=origin)
    if text.lstrip()[:1] in ("{", "["):
        document = _parse_json(text, origin)
        if document is not _NOT_JSON:
            return [document]
    from cairn.spec.yaml_events import parse_yaml

    return parse_yaml(text, origin)


_NOT_JSON = object()


def _parse_json(text: str, origin: str) -> Any:
    canonical = _parse_canonical(text)
    if canonical is not _NOT_JSON:
        return canonical
    try:
        document = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=int
        )
    except Refused as error:
        raise SpecError(str(error), place=origin) from None
    except RecursionError:
        raise SpecError(TOO_DEEP, place=origin) from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.startswith("---", error.pos):
            return _NOT_JSON  # YAML documents that are JSON each
        if text.lstrip()[1:2] in ('"', "}") or text.lstrip().startswith("[") or origin.endswith(".json"):
            raise SpecError(f"is not valid JSON: {error.msg}", place=f"{origin}:{error.lineno}") from None
        return _NOT_JSON  # a YAML flow mapping: {a: b}
    except ValueError as error:
        raise SpecError(f"is not valid JSON: {error}", place=origin) from None
    check_depth(document, origin)
    return document


def _parse_canonical(text: str) -> Any:
    """Text that `canonical` wrote: read without looking for what it cannot hold."""
    if not text.startswith('{"'):
        return _NOT_JSON
    try:
        data = text.encode()
        document = msgspec.json.decode(data)
        if msgspec.json.encode(document, order="sorted") != data or "NaN" in text:
            return _NOT_JSON
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _NOT_JSON
    return document if depth_of(document) <= MAX_DEPTH else _NOT_JSON


def canonical(document: Any, *, origin: str) -> str:
    """One text for one document: JSON without white space, keys sorted."""
    try:
        return msgspec.json.encode(document, order="sorted").decode()
    except UnicodeEncodeError:
        raise SpecError("holds half of a surrogate pair, which is no character", place=origin) from None
    except (ValueError, OverflowError) as error:
        raise SpecError(f"cannot be written as JSON: {error}", place=origin) from None


def check_depth(document: Any, origin: str) -> None:
    if depth_of(document) > MAX_DEPTH:
        raise SpecError(TOO_DEEP, place=origin)


def depth_of(document: Any) -> int:
    """Levels of lists and mappings; stops counting just above MAX_DEPTH."""
    depth, level = 0, [document] if isinstance(document, (dict, list)) else []
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            value
            for container in level
            for value in (container.values() if isinstance(container, dict) else container)
            if isinstance(value, (dict, list))
        ]
    return depth


def scalar(text: str) -> Any:
    """A plain YAML scalar's value, as PyYAML resolves it but for dates and base 60, which stay text."""
    first = text[:1]
    if first in "-+.0123456789" and first:
        if _INTEGER.match(text):
            return _integer(text.replace("_", ""), 10)
        if _FLOAT.match(text):
            return _finite(text.replace("_", ""))
        other = _OTHER_INTEGER.match(text)
        if other:
            return _based(other.group(1), other.group(2).replace("_", ""))
        if _NOT_FINITE.match(text):
            raise Refused(f"{text} is not a number that JSON has")
        return text
    return _WORDS.get(text, text)


def _based(sign: str, digits: str) -> Any:
    base = {"0b": 2, "0x": 16}.get(digits[:2], 8)
    body = digits[2:] if base != 8 else digits[1:]
    value = _integer(body or "0", base)
    return -value if sign == "-" else value


def _integer(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise Refused(f"{text[:20]}… has too many digits for a number") from None


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Refused(f"{text[:40]} is too large for a number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Refused(f"the key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return made


def _no_constant(name: str) -> Any:
    raise Refused(f"{name} is not a number that JSON has")


class Refused(Exception):
    """What was refused; the caller knows the place."""
