"""What users name things by: display names, labels, and the ids of requests."""

from __future__ import annotations

from collections.abc import Mapping

from cairn.api.http import Call
from cairn.errors import InputRefused

MAX_NAME = 128  # characters
MAX_LABELS = 64
_MAX_REQUEST_ID = 128


def check_display_name(name: str, place: str) -> str:
    if len(name) > MAX_NAME:
        raise InputRefused(f"is longer than {MAX_NAME} characters", place=place)
    return name


def check_labels(labels: Mapping[str, str], place: str) -> dict[str, str]:
    """At most 64 of up to 64 characters: letters without case or in lower case, digits, _ and -; keys begin with a
    letter, as https://cloud.google.com/vertex-ai/docs says."""
    if len(labels) > MAX_LABELS:
        raise InputRefused(f"there are {len(labels)} labels; {MAX_LABELS} are the most", place=place)
    for key, value in labels.items():
        for part, what in ((key, "key"), (value, "value")):
            if len(part) > MAX_NAME // 2 or any(
                character.isupper() or not (character.isalnum() or character in "_-") for character in part
            ):
                raise InputRefused(
                    f"{part[:80]!r} is no {what} of a label: up to 64 lower-case letters, digits, _ and -",
                    place=f"{place}.{key[:64]}",
                )
        if not key:
            raise InputRefused("a label's key is empty", place=place)
    return dict(labels)


def requested_id(call: Call) -> str:
    """What makes a repeated creation one run. The protos have no field for it: it comes as `requestId` in the query,
    as AIP-155 names it, or as the header `x-goog-request-id` or `idempotency-key`."""
    found = (
        call.first("requestId")
        or call.first("request_id")
        or call.headers.get("x-goog-request-id", "")
        or call.headers.get("idempotency-key", "")
    )
    if len(found) > _MAX_REQUEST_ID or not found.isprintable():
        raise InputRefused(f"is longer than {_MAX_REQUEST_ID} characters, or no text", place="requestId")
    return found
