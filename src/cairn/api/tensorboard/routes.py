"""`/tensorboard/PROJECT/runs/RUN/…`: a run's log directories as the real TensorBoard shows them.

Looking asks for a viewer in the project, whatever the method: TensorBoard reads with POST too.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from urllib.parse import quote

from cairn.api.access import READ
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Reply, Route
from cairn.api.tensorboard.proxy import fetch
from cairn.errors import NotFound, StoreUnavailable
from cairn.tensorboards.viewing import Viewer, Viewers

PREFIX = "/tensorboard/"
LIMIT = 4 * 1024 * 1024  # bytes of a request
_RUN = "/tensorboard/{project}/runs/{run}"
_WAIT_SECONDS = 2
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>TensorBoard</title>
<meta http-equiv="refresh" content="{seconds}">
<style>body{{font:16px system-ui;margin:15vh auto;max-width:40em}}</style>
</head><body><h1>TensorBoard is starting</h1><p>{words}</p></body></html>"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


def front(context: Context) -> Front:  # noqa: ARG001 - every front is made of its context
    routes = [
        Route("GET", _RUN, _enter, READ, "tensorboard.enter", limit=LIMIT, project=_project),
        Route("GET", f"{_RUN}/{{rest=**}}", _show, READ, "tensorboard.show", limit=LIMIT, project=_project),
        Route("POST", f"{_RUN}/{{rest=**}}", _show, READ, "tensorboard.ask", limit=LIMIT, project=_project),
    ]
    return Front("tensorboard", (PREFIX,), routes)


def path_of(project: str, run_uid: str) -> str:
    """Where a run's TensorBoard is, with the slash at its end."""
    return f"{PREFIX}{quote(project, safe='')}/runs/{run_uid}/"


def _project(variables: Mapping[str, str]) -> str:
    return variables["project"]  # never one that stands further down the path


def _enter(call: Call) -> Reply:
    run = call.context.cairn.records.find_run(call.variables["run"], project=call.variables["project"])
    return Reply(307, headers={"location": path_of(run.project, run.uid)})


async def _show(call: Call) -> Reply:
    viewer = await asyncio.get_running_loop().run_in_executor(None, _viewer, call)
    if isinstance(viewer, Reply):
        return viewer
    if not viewer.ready:
        return _waiting(call)
    rest = viewer.prefix + "/" + quote(call.variables["rest"], safe="/:@!$&'()*+,;=~-._")
    return await fetch(viewer, call, rest)


def _viewer(call: Call) -> Viewer | Reply:
    """In a worker thread. Raises NotFound, StoreUnavailable with what TensorBoard has said."""
    cairn, project = call.context.cairn, call.variables["project"]
    run = cairn.records.find_run(call.variables["run"], project=project)
    if run.project != project:
        raise NotFound(f"there is no run {call.variables['run']!r}")
    if call.variables["run"] != run.uid:
        return Reply(307, headers={"location": path_of(project, run.uid)})
    viewers: Viewers = cairn.viewers
    viewer = viewers.open(run.uid, path_of(project, run.uid).rstrip("/"), cairn.run_logs(run))
    if viewer.failure:
        viewers.forget(run.uid)
        raise StoreUnavailable(f"TensorBoard does not start: {viewer.failure}")
    return viewer


def _waiting(call: Call) -> Reply:
    words = html.escape("The first time an environment with it is built, which takes a minute or two.")
    headers = {"retry-after": str(_WAIT_SECONDS), "cache-control": "no-store", "content-security-policy": _POLICY}
    if "text/html" not in call.headers.get("accept", ""):
        return Reply(503, b"TensorBoard is starting\n", "text/plain; charset=utf-8", headers)
    page = _PAGE.format(seconds=_WAIT_SECONDS, words=words)
    return Reply(503, page.encode(), "text/html; charset=utf-8", headers)
