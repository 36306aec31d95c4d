"""Errors as the JSON API words them: google.rpc's, with a reason that storage clients look at."""

from __future__ import annotations

from typing import Any

from cairn.api.status import Status

_REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    413: "uploadTooLarge",
    416: "requestedRangeNotSatisfiable",
    429: "rateLimitExceeded",
    501: "notImplemented",
    503: "backendError",
}


def worded(status: Status) -> dict[str, Any]:
    reason = _REASONS.get(status.http, "backendError" if status.http >= 500 else "invalid")
    error = {"message": status.message, "domain": "global", "reason": reason}
    return {"error": {"code": status.http, "message": status.message, "errors": [error]}}
