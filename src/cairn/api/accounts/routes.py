"""The token endpoint (RFC 6749, RFC 7523), where google-auth exchanges what an account's key has signed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from cairn.api.access import PUBLIC
from cairn.api.accounts.signatures import TOKEN_PATH
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Reply, Route, json_reply
from cairn.api.status import Code, Status
from cairn.errors import InputRefused, Unauthenticated

if TYPE_CHECKING:
    from cairn.api.accounts.gate import Gate

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIMIT = 64 * 1024
_log = logging.getLogger("cairn.accounts")


def front(context: Context) -> Front:  # noqa: ARG001 - every front is made of its context
    return Front(
        "accounts",
        ("/accounts/",),
        [Route("POST", TOKEN_PATH, issue_token, PUBLIC, "accounts.token", limit=_LIMIT)],
        _oauth_error,
    )


def issue_token(call: Call) -> Reply:
    """`grant_type` and `assertion`, as a form. Answers an access token, or an identity token where the assertion has a
    `target_audience`; errors as RFC 6749, 5.2 has them."""
    gate: Gate = call.context.shared["accounts"]
    grant, assertion = _form(call)
    if grant != JWT_BEARER:
        return _refused("unsupported_grant_type", f"only {JWT_BEARER} is granted here")
    try:
        answer = gate.authentication.exchange(assertion)
    except Unauthenticated as error:
        _log.warning("an assertion was refused: %s", error.message)
        return _refused("invalid_grant", error.message)
    reply = json_reply(answer)
    reply.headers["cache-control"] = "no-store"
    return reply


def _form(call: Call) -> tuple[str, str]:
    try:
        form = parse_qs(call.content.decode("ascii"), max_num_fields=16)
    except ValueError:
        raise InputRefused("the body is not a form") from None
    return form.get("grant_type", [""])[0], form.get("assertion", [""])[0]


def _refused(error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status=400)


def _oauth_error(status: Status) -> dict[str, Any]:
    retry = status.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
    return {"error": "temporarily_unavailable" if retry else "invalid_request", "error_description": status.message}
