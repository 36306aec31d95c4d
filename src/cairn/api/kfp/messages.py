"""KFP v2beta1 messages as JSON: bodies in, times and google.rpc.Status out.

Names are snake_case as kfp_server_api writes them; a body may have them in camelCase too, as grpc-gateway allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cairn.api.http import Call, Reply, json_reply
from cairn.api.status import Status
from cairn.domain.runs import Failure
from cairn.errors import InputRefused

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CAPITAL = re.compile(r"(?<=[a-z0-9])[A-Z]")
_DIGITS = re.compile(r"-?[0-9]{1,19}")

Fields = Mapping[str, type | tuple[type, ...]]

TEXT: Final = str
MESSAGE: Final = dict
FLAG: Final = bool
INTEGER: Final = (int, str)  # 64 bits are written as text
WORD: Final = (str, int)  # an enumeration by name or by number


def worded(status: Status) -> dict[str, Any]:
    """An error as grpc-gateway has it."""
    return {"error": status.message, "code": int(status.code), "message": status.message, "details": []}


def filled(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: protobuf's JSON leaves it out, and clients look for None."""
    return {name: value for name, value in found.items() if value is not None and value not in ("", [], {}, 0)}


def reply(found: dict[str, Any]) -> Reply:
    return json_reply(filled(found))


def empty() -> Reply:
    """google.protobuf.Empty."""
    return json_reply({})


def body_of(call: Call, fields: Fields, place: str = "") -> dict[str, Any]:
    """The body's fields, in snake case. Raises InputRefused, naming what does not belong there."""
    return message(call.json(), fields, place)


def message(found: Any, fields: Fields, place: str = "") -> dict[str, Any]:
    """A message's fields; null is the same as absent. Raises InputRefused."""
    if not isinstance(found, dict):
        raise InputRefused("an object is wanted", place=place or "body")
    read: dict[str, Any] = {}
    for name, value in found.items():
        known = _CAPITAL.sub(lambda one: f"_{one[0].lower()}", name)
        where = f"{place}.{known}" if place else known
        if known not in fields:
            raise InputRefused(f"there is no field {name[:80]!r}", place=where)
        if value is None:
            continue
        kinds = fields[known]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise InputRefused(f"{_shown(value)} does not fit", place=where)
        read[known] = value
    return read


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:60]


def integer(value: Any, place: str) -> int:
    """Of an INTEGER field. Raises InputRefused."""
    if isinstance(value, int):
        return value
    if not _DIGITS.fullmatch(value):
        raise InputRefused(f"{value[:40]!r} is no integer", place=place)
    return int(value)


def tags_of(found: dict[str, Any], place: str = "tags") -> dict[str, str]:
    """`tags`, a map of texts. Raises InputRefused."""
    tags = found.get("tags", {})
    if not all(isinstance(value, str) for value in tags.values()):
        raise InputRefused("a tag's value is a text", place=place)
    return dict(tags)


def moment(micros: int) -> str:
    """RFC 3339 in UTC, as protobuf's JSON has it."""
    text = (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text.rstrip('0').rstrip('.')}Z"


def micros(text: str, place: str) -> int:
    """Microseconds since the epoch of an RFC 3339 text; UTC where it names no zone. Raises InputRefused."""
    try:
        found = datetime.fromisoformat(text)
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InputRefused(f"{text[:40]!r} is no time", place=place, remedy="write 2030-01-31T08:00:00Z") from None


def rpc_status(failure: Failure) -> dict[str, Any]:
    """google.rpc.Status of why something failed."""
    text = f"{failure.place}: {failure.message}" if failure.place else failure.message
    return {"code": failure.code, "message": f"{text} ({failure.remedy})" if failure.remedy else text, "details": []}
