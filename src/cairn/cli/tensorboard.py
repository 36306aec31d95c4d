"""`cairn tensorboard`: what trainings log, shown by the real TensorBoard and kept as Vertex AI keeps it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import table
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.tensorboards.types import Entry, Where
    from cairn.wiring import Cairn

_HERE = "cairn.cli.tensorboard"


@click.group(
    cls=LazyGroup,
    entries={
        "open": (f"{_HERE}:open_", "Show a run, a job, an experiment or a directory in a browser."),
        "serve": (f"{_HERE}:serve", "The same without a browser: the real TensorBoard on a port, until Ctrl-C."),
        "list": (f"{_HERE}:list_", "List Tensorboards and their experiments."),
        "upload": (f"{_HERE}:upload", "Put a log directory into a Tensorboard's experiment."),
    },
)
def tensorboard() -> None:
    """TARGET is a run or a job (uid, the beginning of one, job id, `latest`), an experiment, or a directory."""


def _place(function: Any) -> Any:
    function = click.option("--location", default=DEFAULT_LOCATION, show_default=True, metavar="NAME")(function)
    return click.option("--project", default=DEFAULT_PROJECT, show_default=True, metavar="NAME")(function)


@click.command(name="open")
@click.argument("target")
@_place
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
@options.as_json
def open_(target: str, *, project: str, location: str, no_browser: bool, as_json: bool) -> None:
    """Show TARGET in a browser: at the home's server where one runs, else with a TensorBoard of its own."""
    with opened() as cairn:
        url = _at_server(cairn, target, project, location)
        if not url:
            _serve(cairn, target, project, location, port=0, browser=not no_browser, as_json=as_json)
            return
    _tell(url, as_json=as_json)
    if not no_browser:
        click.launch(url)


@click.command()
@click.argument("target")
@_place
@click.option("--port", default=6006, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@options.as_json
def serve(target: str, *, project: str, location: str, port: int, as_json: bool) -> None:
    """The real TensorBoard for TARGET on a port of this machine, until Ctrl-C. Everybody on this machine may look."""
    with opened() as cairn:
        _serve(cairn, target, project, location, port=port, browser=False, as_json=as_json)


def _tell(url: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"url": url})
    else:
        output.say(url)


@click.command(name="list")
@click.option("--project", default="", metavar="NAME", help="Only of this project.")
@click.option("--limit", default=50, show_default=True, help="At most so many Tensorboards.")
@options.as_json
def list_(*, project: str, limit: int, as_json: bool) -> None:
    """List Tensorboards and their experiments, newest first."""
    with opened() as cairn:
        told = [_object(cairn, entry) for entry in _tensorboards(cairn, project, limit)]
    if as_json:
        output.print_json(told)
        return
    rows = []
    for one in told:
        shown = f"{one['id']}{' (default)' if one['default'] else ''}"
        for experiment in one["experiments"] or [{"id": "", "runs": 0, "create_time": one["create_time"]}]:
            made = words.moment(experiment["create_time"])
            rows.append((shown, f"{one['project']}/{one['location']}", experiment["id"], str(experiment["runs"]), made))
    table(("tensorboard", "project", "experiment", "runs", "created"), rows, empty="no Tensorboards")


@click.command()
@click.argument("directory", type=click.Path())
@click.option("--name", required=True, metavar="EXPERIMENT", help="The experiment; what it has already is kept.")
@click.option("--tensorboard", "into", default="", metavar="ID", help="The Tensorboard, if not the project's default.")
@_place
@options.as_json
def upload(directory: str, *, name: str, into: str, project: str, location: str, as_json: bool) -> None:
    """Put the event files of DIRECTORY into an experiment. Doing so again adds what is new."""
    from cairn.tensorboards.event_files import event_files
    from cairn.tensorboards.filling import Experiment, LogFiller
    from cairn.tensorboards.types import Level, Where

    if not os.path.isdir(directory):
        raise InputRefused("there is no such directory", place=directory)
    files = event_files(directory)
    if not files:
        raise InputRefused("holds no event files (their names have `tfevents` in them)", place=directory)
    with opened() as cairn:
        where = Where(project, location)
        if into:
            cairn.tensorboards.get(Level.TENSORBOARD, (into,), where)
        board = into or cairn.tensorboards.default(where).id
        filler = LogFiller(cairn.tensorboards, os.path.abspath(directory), Experiment(where, board, name))
        values = filler.fill_all(_progress)
    told = {"tensorboard": board, "experiment": name, "files": len(files), "values": values}
    if as_json:
        output.print_json(told)
        return
    output.say(f"{values} values of {words.plural(len(files), 'file')} are in {project}/{location}, {board}/{name}")
    output.note(f"look at them: cairn tensorboard open {name}")


def _progress(values: int) -> None:
    if output.is_terminal(sys.stderr):
        output.write_error(f"\r{values} values")


def _object(cairn: Cairn, entry: Entry) -> dict[str, Any]:
    from cairn.tensorboards.types import Level, Where

    where = Where(entry.project, entry.location)
    experiments, _ = cairn.tensorboards.page(Level.EXPERIMENT, entry.path, where, limit=1000)
    return {
        "id": entry.id,
        "name": entry.display_name,
        "project": entry.project,
        "location": entry.location,
        "default": entry.default,
        "create_time": entry.create_time,
        "experiments": [
            {
                "id": one.id,
                "name": one.display_name,
                "source": one.source,
                "runs": cairn.tensorboards.run_count(one.path, where),
                "create_time": one.create_time,
            }
            for one in experiments
        ],
    }


def _tensorboards(cairn: Cairn, project: str, limit: int) -> list[Entry]:
    from cairn.tensorboards.types import Level

    return cairn.tensorboards.everywhere(Level.TENSORBOARD, [project] if project else None, limit=limit)


def _experiment(cairn: Cairn, target: str, where: Where) -> tuple[str, ...] | None:
    """The newest of that name in the place: `EXPERIMENT`, or `TENSORBOARD/EXPERIMENT`."""
    from cairn.tensorboards.types import Level

    board, _, name = target.rpartition("/")
    for entry in cairn.tensorboards.everywhere(Level.TENSORBOARD, [where.project], limit=1000):
        if (board and entry.id != board) or entry.location != where.location:
            continue
        try:
            return cairn.tensorboards.get(Level.EXPERIMENT, (*entry.path, name), where).path
        except NotFound:
            continue
    return None


def _at_server(cairn: Cairn, target: str, project: str, location: str) -> str:
    """Where the home's server shows it; "" where none runs, or a browser could not log in to it."""
    from urllib.parse import quote

    from cairn.engine.background import BackgroundHost
    from cairn.tensorboards.types import Where

    state = BackgroundHost(cairn.home.background).state()
    if state is None or state.login or os.path.isdir(target):
        return ""
    path = _experiment(cairn, target, Where(project, location))
    if path is not None:
        below = "/".join(quote(part, safe="") for part in (location, *path))
        return f"{state.url}/tensorboard/{quote(project, safe='')}/experiments/{below}/"
    run = options.find_run(cairn, target)
    return f"{state.url}/tensorboard/{quote(run.project, safe='')}/runs/{run.uid}/"


def _logs(cairn: Cairn, target: str, project: str, location: str) -> dict[str, str]:
    from cairn.tensorboards.types import Where

    if os.path.isdir(target):
        return {"": os.path.abspath(target)}
    where = Where(project, location)
    path = _experiment(cairn, target, where)
    if path is not None:
        return cairn.experiment_logs(where, path)
    try:
        run = options.find_run(cairn, target)
    except NotFound as error:
        raise NotFound(f"{target!r} is no run, no job, no experiment and no directory") from error
    found = cairn.run_logs(run)
    if not found:
        output.warn(f"{run.job_id} has logged nothing where CAIRN_LOG_DIRECTORY or AIP_TENSORBOARD_LOG_DIR say")
    return found


def _serve(cairn: Cairn, target: str, project: str, location: str, *, port: int, browser: bool, as_json: bool) -> None:
    """TensorBoard itself, as a child that ends with this process."""
    import shutil
    import subprocess
    import tempfile

    from cairn.tensorboards.viewing import environment_of, program_of

    logs = _logs(cairn, target, project, location)

    python = cairn.tensorboard_python(output.note_building)
    scratch = tempfile.mkdtemp(prefix="cairn-tensorboard-")  # goes with the process, however this one ends
    arguments = program_of(str(port), "", logs.get("") or _linked(scratch, logs), scratch)
    process = subprocess.Popen(
        [python, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_of(scratch),
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().partition(" ")[2].strip()
        if url:
            _tell(url, as_json=as_json)
            output.note("Ctrl-C ends it")
            if browser:
                click.launch(url)
        status = process.wait()
    except KeyboardInterrupt:
        return
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)
    if status:
        raise InputRefused(f"TensorBoard ended with status {status}", place=f"port {port}", remedy="try --port 0")


def _linked(scratch: str, logs: dict[str, str]) -> str:
    from cairn.tensorboards.viewing import link

    root = os.path.join(scratch, "logs")
    link(root, logs)
    return root
