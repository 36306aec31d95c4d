"""What a client program says: events as JSON lines on the standard output that it was started with; whatever else is
printed goes to standard error. Standard library only, Python 3.9 or newer.

    {"event": "submitted", "name": …, "id": …, "state": …}      the target has it: it is named so there
    {"event": "state", "state": …}                              of the run; SUCCEEDED, FAILED and CANCELLED are ends
    {"event": "task", "task": …, "state": …}                    --follow: a task's state has changed
    {"event": "note", "text": …}                                one line for the user
    {"event": "failed", "message": …, "remedy": …, "status": …} the last one: exit status 1 or 2
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

SUCCEEDED, FAILED, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLED"
ENDS = (SUCCEEDED, FAILED, CANCELLED)
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
FIRST_WAIT, LONGEST_WAIT, WAIT_GROWS = 0.4, 5.0, 1.4  # seconds between two questions
PATIENCE = 300.0  # seconds that a target may be unreachable while its run is watched


class Refusal(Exception):
    """What the target, or the way to it, has refused, in words for the user."""

    def __init__(self, message: str, remedy: str = "", *, status: int = 1, passing: bool = False) -> None:
        """`status`: exit status. `passing`: asking again may help."""
        super().__init__(message)
        self.message, self.remedy, self.status, self.passing = message, remedy, status, passing


class Teller:
    def __init__(self) -> None:
        sys.stdout.flush()
        self._stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # the packages print too

    def say(self, event: str, **fields: Any) -> None:
        """A parent that is gone is the end of this program: nobody waits any more."""
        try:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(0)


def main(work: Callable[[Teller, dict[str, Any]], None], worded: Callable[[BaseException], Refusal]) -> None:
    """Run `work` with the request in the file that is the first argument. `worded`: an error in words."""
    teller = Teller()
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        work(teller, request)
    except Exception as error:  # noqa: BLE001 - whatever a client package raises is to be told in one sentence
        refusal = error if isinstance(error, Refusal) else worded(error)
        trace = traceback.format_exc() if request.get("traceback") else ""
        teller.say("failed", message=refusal.message, remedy=refusal.remedy, status=refusal.status, trace=trace)


def _end_with(parent: int) -> None:
    """A parent that was killed cannot end this program: what it was asking for may be answered yet, and no more."""
    while os.getppid() == parent:
        time.sleep(LONGEST_WAIT)
    time.sleep(ANSWER_SECONDS)
    os._exit(0)


def watch(
    teller: Teller,
    request: dict[str, Any],
    look: Callable[[], tuple[str, dict[str, str], str]],
    worded: Callable[[BaseException], Refusal],
) -> None:
    """Ask until the run has ended. `look`: (state, states of tasks by name, error). A target that is out of reach for a
    while is asked again; what does not pass raises Refusal."""
    parent, pause, lost = os.getppid(), FIRST_WAIT, 0.0
    state = ""
    tasks: dict[str, str] = {}
    while os.getppid() == parent:
        try:
            found, seen, error = look()
        except Exception as raised:
            refusal = worded(raised)
            lost = lost or time.monotonic()
            if not refusal.passing or time.monotonic() - lost > PATIENCE:
                remedy = "the run goes on without being watched; " + (refusal.remedy or "look at it there")
                raise Refusal("it could be watched no longer: " + refusal.message, remedy) from raised
            teller.say("note", text="it cannot be seen at the moment: " + refusal.message)
            time.sleep(LONGEST_WAIT)
            continue
        lost = 0.0
        changed = [name for name in seen if seen[name] != tasks.get(name)] if request["watch"] == "follow" else []
        lines = [("task", {"task": name, "state": seen[name]}) for name in changed]
        if found != state:  # an end is the last line, any other state the first
            lines.insert(len(lines) if found in ENDS else 0, ("state", {"state": found, "error": error}))
        for event, fields in lines:
            teller.say(event, **fields)
        if found != state or seen != tasks:
            pause = FIRST_WAIT
        state, tasks = found, seen
        if state in ENDS:
            return
        time.sleep(pause)
        pause = min(LONGEST_WAIT, pause * WAIT_GROWS)


def check_reachable(url: str, authority: str = "", *, path: str = "/") -> None:
    """Client packages ask again for minutes where nobody listens or a proxy says that it is out of order, and for ever
    where nothing is answered, or with a certificate that they do not trust.

    `authority`: PEM file; without one, what `requests` and `urllib3` trust. `path`: asked for once, without
    credentials: any answer but a server's error will do. Raises Refusal.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # a proxy reaches it, not we
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), CONNECT_SECONDS).close()
        status, reason = _asked(host, port, path, _context(authority) if parts.scheme == "https" else None)
    except ssl.SSLCertVerificationError as error:
        why = f"the certificate of {url} is not trusted: {error.verify_message}"
        raise Refusal(why, "give --authority FILE, with the authority that has signed it", status=2) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Refusal(f"nobody answers at {url}: {why}", "check the address, and that the server runs") from None
    if status >= 500:
        why = f"{url} answers {status} {sentence(reason, 60)}".rstrip()
        raise Refusal(why, "try again when the server behind it runs")


def _asked(host: str, port: int, path: str, context: ssl.SSLContext | None) -> tuple[int, str]:
    """Status and reason of one answer."""
    if context is None:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_SECONDS, context=context)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.reason
    finally:
        connection.close()


def _context(authority: str) -> ssl.SSLContext:
    if authority:
        return ssl.create_default_context(cafile=authority)
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())


def sentence(text: str, limit: int = 600) -> str:
    """In one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
