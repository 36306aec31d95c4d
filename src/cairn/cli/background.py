"""`cairn status|stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cairn.cli import nouns, options, output, words
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.engine.background import BackgroundHost
    from cairn.wiring import Cairn


@click.command()
@options.as_json
def status(*, as_json: bool) -> None:
    """The server or background host of this home, and the runs that have not ended."""
    from cairn import __version__
    from cairn.engine.background import BACKGROUND, BackgroundHost

    with opened() as cairn:
        host = BackgroundHost(cairn.home.background)
        state = host.state()
        runs = [_open_run(cairn, run) for run in cairn.records.open_runs()]
        if as_json:
            output.print_json({"version": __version__, "home": str(cairn.home.root), "host": _told(host), "runs": runs})
            return
        lines = [("home", str(cairn.home.root))]
        if state is not None and state.kind != BACKGROUND:
            lines.append(("server", f"{state.url}: process {state.pid}, started {words.ago(state.started)}"))
        elif state is not None:
            here = f"{state.url}: process {state.pid}, started {words.ago(state.started)}; log {host.log}"
            lines.append(("background host", here))
        else:
            lines.append(("background host", "none"))
        facts(lines)
        rows = [
            (run["run_id"][:8], run["pipeline"], run["state"], f"process {run['pid']}" if run["pid"] else "no engine")
            for run in runs
        ]
        table(("run", "pipeline", "state", "engine"), rows, empty="no open runs")


def _told(host: BackgroundHost) -> dict[str, Any] | None:
    state = host.state()
    if state is None:
        return None
    return {
        "pid": state.pid,
        "started": state.started,
        "kind": state.kind,
        "url": state.url,
        "log": str(host.log) if state.kind == "background" else None,
    }


def _left(cairn: Cairn) -> list[Run]:
    """Open runs that nobody has: whoever takes up one of them takes up the jobs and trials that it has started."""
    found = cairn.records.open_runs()
    uids = {run.uid for run in found}
    return [run for run in found if run.parent not in uids and cairn.records.claimed(run.uid) is None]


def _open_run(cairn: Any, run: Any) -> dict[str, Any]:
    owner = cairn.records.claimed(run.uid)
    return {
        "run_id": run.uid,
        "job_id": run.job_id,
        "pipeline": run.pipeline_name,
        "state": str(run.state),
        "pid": owner.pid if owner else None,
    }


@click.command()
@options.as_json
def stop(*, as_json: bool) -> None:
    """End the server or background host of this home.

    Its runs are let go as they are: steps that run go on, `cairn runs resume` takes them up.
    """
    from cairn.engine.background import BackgroundHost

    with opened() as cairn:
        stopped = BackgroundHost(cairn.home.background).stop()
        left = _left(cairn)
        if as_json:
            output.print_json({"stopped": stopped.pid if stopped else None, "runs": [run.uid for run in left]})
            return
        output.note(f"{stopped.name} ended" if stopped else "there is no server and no background host")
        for run in left if stopped else ():
            output.note(f"{nouns.noun(run)} {run.job_id} goes on with `cairn runs resume {run.uid[:8]}`")
