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

REFRESH = "refresh_token"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
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
    form = _form(call)
    grant = form.get("grant_type", [""])[0]
    if grant not in (JWT_BEARER, REFRESH):
        return _refused("unsupported_grant_type", f"only {JWT_BEARER} is granted here, and to steps {REFRESH}")
    try:
        if grant == REFRESH:
            answer = _step_token(gate, form.get("refresh_token", [""])[0])
        else:
            answer = gate.authentication.exchange(form.get("assertion", [""])[0])
    except Unauthenticated as error:
        _log.warning("an assertion was refused: %s", error.message)
        return _refused("invalid_grant", error.message)
    reply = json_reply(answer)
    reply.headers["cache-control"] = "no-store"
    return reply


def _step_token(gate: Gate, token: str) -> dict[str, Any]:
    """A step's credentials have its token as their refresh token: it is the access token too, as long as it is good.
    Raises Unauthenticated."""
    steps = gate.authentication.steps
    if not steps.recognises(token):
        raise Unauthenticated("this is no step's token")
    steps.identity(token)
    return {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": _SCOPE}


def _form(call: Call) -> dict[str, list[str]]:
    try:
        return parse_qs(call.content.decode("ascii"), max_num_fields=16)
    except ValueError:
        raise InputRefused("the body is not a form") from None


def _refused(error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status=400)


def _oauth_error(status: Status) -> dict[str, Any]:
    retry = status.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
    return {"error": "temporarily_unavailable" if retry else "invalid_request", "error_description": status.message}
