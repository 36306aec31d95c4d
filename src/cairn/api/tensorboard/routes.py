"""`/tensorboard/PROJECT/runs/RUN/…`: a run's log directories as the real TensorBoard shows them; and
`/tensorboard/PROJECT/experiments/LOCATION/TENSORBOARD/EXPERIMENT/…`: what a Tensorboard's experiment held when it was
opened.

Looking asks for a viewer in the project, whatever the method: TensorBoard reads with POST too.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from cairn.api.access import READ
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Reply, Route
from cairn.api.tensorboard.proxy import fetch
from cairn.domain.runs import Run
from cairn.errors import NotFound, StoreUnavailable
from cairn.tensorboards.types import Level, Where
from cairn.tensorboards.viewing import Viewer, Viewers

PREFIX = "/tensorboard/"
LIMIT = 4 * 1024 * 1024  # bytes of a request
_RUN = "/tensorboard/{project}/runs/{run}"
_EXPERIMENT = "/tensorboard/{project}/experiments/{location}/{tensorboard}/{experiment}"
_WAIT_SECONDS = 2
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>TensorBoard</title>
<meta http-equiv="refresh" content="{seconds}">
<style>body{{font:16px system-ui;margin:15vh auto;max-width:40em}}</style>
</head><body><h1>TensorBoard is starting</h1><p>{words}</p></body></html>"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


def front(context: Context) -> Front:  # noqa: ARG001 - every front is made of its context
    routes = []
    for template, noun in ((_RUN, "run"), (_EXPERIMENT, "experiment")):
        below, name = f"{template}/{{rest=**}}", f"tensorboard.{noun}"
        routes += [
            Route("GET", template, _enter, READ, f"{name}.enter", limit=LIMIT, project=_project),
            Route("GET", below, _show, READ, f"{name}.show", limit=LIMIT, project=_project),
            Route("POST", below, _show, READ, f"{name}.ask", limit=LIMIT, project=_project),
        ]
    return Front("tensorboard", (PREFIX,), routes)


def path_of(project: str, run_uid: str) -> str:
    """Where a run's TensorBoard is, with the slash at its end."""
    return f"{PREFIX}{quote(project, safe='')}/runs/{run_uid}/"


def _project(variables: Mapping[str, str]) -> str:
    return variables["project"]  # never one that stands further down the path


def _enter(call: Call) -> Reply:
    return Reply(307, headers={"location": f"{_Shown.of(call).prefix}/"})


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
    shown = _Shown.of(call)
    if not call.path.startswith(f"{shown.prefix}/"):
        return Reply(307, headers={"location": f"{shown.prefix}/"})  # by a run's job id, or the beginning of its uid
    viewers: Viewers = call.context.cairn.viewers
    logs = shown.logs(call) if shown.run is not None or shown.key not in viewers else {}
    viewer = viewers.open(shown.key, shown.prefix, logs)
    if viewer.failure:
        viewers.forget(shown.key)
        raise StoreUnavailable(f"TensorBoard does not start: {viewer.failure}")
    return viewer


class _Shown(NamedTuple):
    """What a path names."""

    key: str
    prefix: str  # without the slash at its end
    run: Run | None
    where: Where
    experiment: tuple[str, ...] = ()

    @classmethod
    def of(cls, call: Call) -> _Shown:
        """Raises NotFound."""
        named, project = call.variables, call.variables["project"]
        if "run" not in named:
            path = (named["tensorboard"], named["experiment"])
            where = Where(project, named["location"])
            call.context.cairn.tensorboards.get(Level.EXPERIMENT, path, where)
            quoted = [quote(part, safe="") for part in (where.location, *path)]
            prefix = f"{PREFIX}{quote(project, safe='')}/experiments/{'/'.join(quoted)}"
            return cls(prefix, prefix, None, where, path)
        run = call.context.cairn.records.find_run(named["run"], project=project)
        if run.project != project:
            raise NotFound(f"there is no run {named['run']!r}")
        return cls(run.uid, path_of(project, run.uid).rstrip("/"), run, Where(project, run.location))

    def logs(self, call: Call) -> dict[str, str]:
        cairn = call.context.cairn
        return cairn.run_logs(self.run) if self.run is not None else cairn.experiment_logs(self.where, self.experiment)


def _waiting(call: Call) -> Reply:
    words = html.escape("The first time an environment with it is built, which takes a minute or two.")
    headers = {"retry-after": str(_WAIT_SECONDS), "cache-control": "no-store", "content-security-policy": _POLICY}
    if "text/html" not in call.headers.get("accept", ""):
        return Reply(503, b"TensorBoard is starting\n", "text/plain; charset=utf-8", headers)
    page = _PAGE.format(seconds=_WAIT_SECONDS, words=words)
    return Reply(503, page.encode(), "text/html; charset=utf-8", headers)
