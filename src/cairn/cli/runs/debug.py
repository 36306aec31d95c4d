"""`cairn runs debug`: one step again, in the foreground, with the terminal as its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cairn.cli import options, output, user_source
from cairn.cli.opening import opened
from cairn.cli.runs.listing import find_task
from cairn.engine.ports import NATIVE
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.cli.user_source import Place
    from cairn.domain.runs import Run
    from cairn.engine.ports import ProcessSpec, StartAttempt
    from cairn.wiring import Cairn

_RUNTIME = "kfp.dsl.executor_main"

# Loads the function from the user's own file under its own name and lines, so that breakpoints set there are hit.
_FROM_FILE = """
def _cairn_load(file, name, line):
    import ast

    with open(file, encoding="utf-8") as opened:
        tree = ast.parse(opened.read(), file)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (node.name, node.lineno) == (name, line):
            node.decorator_list = []
            return compile(ast.Module([node], []), file, "exec", dont_inherit=True)
    raise SystemExit(file + " no longer holds " + name)


exec(_cairn_load({file!r}, {name!r}, {line!r}), globals())
"""


@click.command()
@options.run_argument
@options.task_argument(required=True)
@click.option("--pdb", "with_pdb", is_flag=True, help="Enter pdb where an exception was raised.")
@click.option("--listen", metavar="PORT", type=click.IntRange(1, 65535), help="Wait for an IDE (debugpy) on this port.")
@click.option(
    "--recorded-source", is_flag=True, help="Run the recorded source even where the pipeline's file is found."
)
def debug(reference: str, task: str, *, with_pdb: bool, listen: int | None, recorded_source: bool) -> int:
    """Run TASK of RUN once more, here, with its recorded inputs and environment: breakpoint() has the terminal.

    Where the pipeline's Python file is found, its function is what runs, as it is now, so that breakpoints set in it
    are hit. Nothing of RUN changes; outputs go to a directory of their own. Exits with the step's own status.
    """
    if with_pdb and listen:
        raise InputRefused("one debugger at a time", place="--pdb --listen", remedy="choose one")
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        request = lay_out(cairn, run, task)
        process = request.processes[0]
        place = None if recorded_source else user_source.find(run.source, process.call_source)
        module = prepare(request, source_of(process, place))
        command = command_of(process, module, with_pdb=with_pdb, listen=listen)
        if listen:
            _require_debugpy(process)
            output.note(f"waiting for a debugger on 127.0.0.1:{listen}")
        _announce(request, place, process)
        status = foreground(command, process, request)
        output.note(f"the step exited with status {status}; what it wrote is in {_scratch(request)}")
        return status


def lay_out(cairn: Cairn, run: Run, task: str) -> StartAttempt:
    """The step as an executor would be asked to start it, below HOME/debug."""
    import time

    from cairn.engine.replay import replay

    record = find_task(cairn, run, task)
    if record.kind != "leaf":
        raise InputRefused("holds other tasks; give one of those", place=record.path)
    pipeline = cairn.runs.pipeline_of(run)
    plans = cairn.runs.plans(pipeline, run.settings)
    if record.component not in plans:
        raise InputRefused("runs no command of its own", place=record.path)
    plan = plans[record.component]
    job = getattr(pipeline.components[record.component].executor, "job", None)
    if job is not None and sum(pool.replicas for pool in job.pools) > 1:
        raise InputRefused(
            "is a job of several replicas, which wait for one another",
            place=record.path,
            remedy="run it with one replica, and debug that one",
        )
    if plan.executor == NATIVE:
        raise InputRefused(
            "is done by Cairn itself, and runs no command",
            place=record.path,
            remedy="its log names the job that it has started: `cairn runs logs`; debug that one",
        )
    ready = cairn.environments.find(plan) or cairn.environments.build(plan, output.note)
    scratch = cairn.home.root / "debug" / f"{run.uid[:8]}-{record.name}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    records = cairn.records.tasks(run.uid)
    return replay(run, pipeline, record, records, cairn.services, plans, cairn.capacity, ready, os.fspath(scratch))


def source_of(process: ProcessSpec, place: Place | None) -> str:
    """What goes into ephemeral_component.py: the recorded source, or one that loads the user's file's function."""
    if place is None:
        return process.call_source
    imports = "\n".join(process.call_source.splitlines()[: place.compiled_first - 1])
    return imports + _FROM_FILE.format(file=place.file, name=place.name, line=place.first)


def prepare(request: StartAttempt, source: str) -> str:
    """Make what the step finds; the path of its component's module, "" when it is a command."""
    process = request.processes[0]
    for directory in (f"{request.directory}/work", f"{request.directory}/tmp", *request.create_directories):
        os.makedirs(directory, exist_ok=True)
    for path, content in request.files:
        with open(path, "wb") as file:
            file.write(content)
    template = process.environment.working_directory
    if template and not process.environment.in_place:
        from cairn.launcher import snapshot

        snapshot.copy(template, f"{request.directory}/work")
    if not source:
        return ""
    module = f"{request.directory}/component/ephemeral_component.py"
    os.makedirs(os.path.dirname(module), exist_ok=True)
    with open(module, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(source)
    return module


def command_of(process: ProcessSpec, module: str, *, with_pdb: bool, listen: int | None) -> list[str]:
    if not module:
        if with_pdb or listen:
            raise InputRefused("is no Python component that Cairn could put a debugger into", place="--pdb/--listen")
        return list(process.argv)
    runtime = ["-m", _RUNTIME, "--component_module_path", module, *process.call_arguments]
    python = process.environment.python
    if with_pdb:
        return [python, "-m", "pdb", "-c", "continue", *runtime]
    if listen:
        return [python, "-m", "debugpy", "--listen", f"127.0.0.1:{listen}", "--wait-for-client", *runtime]
    return [python, *runtime]


def foreground(command: list[str], process: ProcessSpec, request: StartAttempt) -> int:
    """Run it with our terminal; its exit status, 128 + N for signal N. Ctrl-C is the step's to handle."""
    variables = {**process.environment.variables, **process.variables, **process.secret_variables}
    variables.update(TMPDIR=f"{request.directory}/tmp")
    if process.call_source:
        variables["_KFP_RUNTIME"] = "true"
    work = process.environment.working_directory if process.environment.in_place else ""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended = subprocess.run(
            command,
            env=variables,
            cwd=work or f"{request.directory}/work",
            check=False,
            preexec_fn=_entering(process, request),
        )
    except OSError as error:
        raise InputRefused(f"cannot be started: {error.strerror}", place=command[0]) from None
    except subprocess.SubprocessError as error:
        raise InputRefused(f"this machine does not let the step see its mounts: {error}", place=command[0]) from None
    finally:
        signal.signal(signal.SIGINT, before)
    status: int = ended.returncode
    return status if status >= 0 else 128 - status


def _entering(process: ProcessSpec, request: StartAttempt) -> Callable[[], None]:
    """What the child does before the command: signals as from a shell, and the step's own view of the file system."""
    links = [list(link) for link in process.links]

    def enter() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if links:
            from cairn.launcher import mounts

            mounts.enter(links, request.directory)

    return enter


def _require_debugpy(process: ProcessSpec) -> None:
    probe = [process.environment.python, "-c", "import debugpy"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        raise InputRefused(
            "the step's environment has no debugpy",
            place="--listen",
            remedy="add debugpy to the component's packages_to_install, or use --pdb",
        )


def _scratch(request: StartAttempt) -> str:
    """HOME/debug/NAME of HOME/debug/NAME/runs/…"""
    head, _, tail = request.directory.rpartition("/debug/")
    return f"{head}/debug/{tail.partition('/')[0]}"


def _announce(request: StartAttempt, place: Place | None, process: ProcessSpec) -> None:
    if place is not None:
        changed = "" if place.unchanged else " (edited since the run)"
        output.note(f"running {place.name} from {place.file}:{place.first}{changed}")
    elif process.call_source:
        output.note(f"running the recorded source: {request.directory}/component/ephemeral_component.py")
    else:
        output.note(f"running {' '.join(process.argv)[:200]}")
    sys.stderr.flush()
    sys.stdout.flush()
