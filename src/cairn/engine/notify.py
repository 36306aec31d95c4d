"""The webhook or command that is called at a run's end. Its failure never changes the run's."""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from cairn.domain.runs import Run

TIMEOUT_SECONDS = 10.0


def notify(run: Run, *, allow_private_hosts: bool = False) -> str:
    """Call `run.settings.notify`; "" when it went well, else what went wrong, for a warning.

    A URL (http, https) gets a POST of JSON: run_id, job_id, pipeline, state, outputs, error. Anything else is a
    command, split as a shell splits words and started without one; it gets the same JSON on its standard input.
    """
    target = run.settings.notify
    body = json.dumps(
        {
            "run_id": run.uid,
            "job_id": run.job_id,
            "pipeline": run.pipeline_name,
            "state": str(run.state),
            "outputs": run.outputs,
            "error": run.error.message if run.error else None,
        },
        default=str,
    ).encode()
    try:
        if target.startswith(("http://", "https://")):
            _post(target, body, allow_private_hosts=allow_private_hosts)
        else:
            done = subprocess.run(
                shlex.split(target), input=body, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
            )
            if done.returncode:
                return f"the notification command exited with status {done.returncode}"
    except (OSError, ValueError, subprocess.SubprocessError, urllib.error.URLError) as error:
        return f"the notification could not be delivered: {error}"
    return ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to a host that the check below has not seen."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


def _post(url: str, body: bytes, *, allow_private_hosts: bool) -> None:
    host = urllib.parse.urlsplit(url).hostname or ""
    if not allow_private_hosts:
        for *_, address in socket.getaddrinfo(host, None):
            ip = ipaddress.ip_address(str(address[0]).split("%")[0])
            if not ip.is_global and not ip.is_loopback:
                raise ValueError(f"{host} is on a private network ({ip}); [artifacts] allow_private_hosts permits it")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
        pass
