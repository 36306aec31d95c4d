"""Errors as google.rpc.Status: one table from our errors to canonical codes, for every front."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any

import msgspec

from cairn import errors


class Code(IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

# The first that an error is an instance of.
_CODES: tuple[tuple[type[errors.CairnError], Code], ...] = (
    (errors.NotFound, Code.NOT_FOUND),
    (errors.AlreadyExists, Code.ALREADY_EXISTS),
    (errors.Conflict, Code.ABORTED),
    (errors.WrongState, Code.FAILED_PRECONDITION),
    (errors.PreconditionFailed, Code.FAILED_PRECONDITION),
    (errors.Unauthenticated, Code.UNAUTHENTICATED),
    (errors.PermissionDenied, Code.PERMISSION_DENIED),
    (errors.TooManyRequests, Code.RESOURCE_EXHAUSTED),
    (errors.Overloaded, Code.UNAVAILABLE),
    (errors.StoreUnavailable, Code.UNAVAILABLE),
    (errors.Unimplemented, Code.UNIMPLEMENTED),
    (errors.UnsupportedFeature, Code.FAILED_PRECONDITION),
    (errors.HomeError, Code.UNAVAILABLE),
    (errors.InputRefused, Code.INVALID_ARGUMENT),
    (errors.CompileError, Code.INVALID_ARGUMENT),
    (errors.RecordsBusy, Code.UNAVAILABLE),
    (errors.StorageFull, Code.UNAVAILABLE),
    (errors.FenceLost, Code.ABORTED),
    (errors.RunCancelled, Code.CANCELLED),
)

# Where HTTP is more exact than the canonical code.
_STATUSES = ((errors.TooLarge, 413), (errors.PreconditionFailed, 412))


class Status(msgspec.Struct, frozen=True):
    """google.rpc.Status, with the HTTP status it goes out with."""

    code: Code
    message: str
    http: int
    retry_after: float = 0.0  # seconds


def status_of(error: Exception) -> Status:
    """What a client is told. A defect of ours is told as such, without its text."""
    if not isinstance(error, errors.CairnError):
        return Status(Code.INTERNAL, f"a defect of Cairn ({type(error).__name__}); the server's log has the trace", 500)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), Code.INTERNAL)
    http = next((http for kind, http in _STATUSES if isinstance(error, kind)), HTTP_STATUS[code])
    retry = error.retry_after_seconds if isinstance(error, errors.TooManyRequests | errors.Overloaded) else 0.0
    return Status(code, message_of(error), http, retry)


def message_of(error: errors.CairnError) -> str:
    # Where the home and its database are is nobody's business but the operator's: it stands in the log.
    place = "" if isinstance(error, errors.HomeError | errors.RecordsError) else error.place
    text = f"{place}: {error.message}" if place else error.message
    text = f"{text} ({error.remedy})" if error.remedy else text
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text)[:8000]


def google_error(status: Status) -> dict[str, Any]:
    """The body of an error in Google's REST APIs."""
    return {"error": {"code": status.http, "message": status.message, "status": status.code.name}}
