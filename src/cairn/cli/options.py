"""Options and arguments that several commands share, and completion of what a home holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cairn.cli import output
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cairn.domain.runs import ImageMapping, Run
    from cairn.wiring import Cairn

F = TypeVar("F", bound=Callable[..., Any])

LATEST = "latest"


def as_json(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(function)


def traceback(function: F) -> F:
    return click.option("--traceback", "with_trace", is_flag=True, help="Show whole tracebacks, our frames too.")(
        function
    )


def find_run(cairn: Cairn, reference: str) -> Run:
    """By uid, the beginning of one, job id, or `latest`. Raises NotFound, InputRefused when several fit."""
    if reference == LATEST:
        newest = cairn.records.list_runs(limit=1)
        if not newest:
            raise NotFound("there are no runs in this home yet", place=str(cairn.home.root))
        return newest[0]
    return cairn.records.find_run(reference)


def ask(question: str, place: str) -> None:
    """Go on only after a yes. Raises InputRefused where nobody can be asked, click's Exit after a no."""
    if not sys.stdin.isatty():
        raise InputRefused("nobody can be asked here", place=place, remedy="add --yes")
    if not click.confirm(question, err=True):
        output.note("nothing was done")
        raise click.exceptions.Exit(130)


def _complete_runs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from cairn.wiring import open_cairn

    cairn = open_cairn()
    try:
        found = [(LATEST, "the newest run")] if LATEST.startswith(incomplete) else []
        for run in cairn.records.list_runs(limit=200):
            words = f"{run.pipeline_name} {run.state.lower()}"
            if run.uid.startswith(incomplete):
                found.append((run.uid[:8] if len(incomplete) < 8 else run.uid, words))
            elif incomplete and run.job_id.startswith(incomplete):
                found.append((run.job_id, words))
        return [CompletionItem(value, help=words) for value, words in found]
    finally:
        cairn.close()


def _complete_tasks(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from cairn.wiring import open_cairn

    cairn = open_cairn()
    try:
        run = find_run(cairn, ctx.params.get("reference") or LATEST)
        tasks = cairn.records.tasks(run.uid)
        return [
            CompletionItem(task.path, help=task.state.lower())
            for task in tasks
            if task.kind == "leaf" and task.path.startswith(incomplete)
        ][:500]
    finally:
        cairn.close()


def quiet(complete: Callable[..., list[CompletionItem]]) -> Callable[..., list[CompletionItem]]:
    """Completion never prints an error into the user's line."""

    def attempt(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from cairn.errors import CairnError

        try:
            return complete(ctx, parameter, incomplete)
        except CairnError:
            return []

    return attempt


def run_argument(function: F) -> F:
    """RUN: a uid or its beginning, a job id, or `latest`."""
    return click.argument("reference", metavar="RUN", shell_complete=quiet(_complete_runs))(function)


def runs_argument(function: F) -> F:
    return click.argument("references", metavar="RUN…", nargs=-1, required=True, shell_complete=quiet(_complete_runs))(
        function
    )


def task_argument(*, required: bool) -> Callable[[F], F]:
    """TASK: a path as `cairn runs show` prints it."""
    return click.argument(
        "task", metavar="TASK" if required else "[TASK]", required=required, shell_complete=quiet(_complete_tasks)
    )


def parse_label(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputRefused(f"{text!r} is no label", place="--label", remedy="write --label name=value")
    return name, value


def parse_image(text: str) -> ImageMapping:
    """`PATTERN=TARGET`. Raises InputRefused."""
    from cairn.domain.runs import ImageMapping

    pattern, sign, target = text.rpartition("=")
    if not sign or not pattern or not target:
        raise InputRefused(
            f"{text!r} is no mapping", place="--image", remedy="write --image 'PATTERN=host' or 'PATTERN=project:DIR'"
        )
    return ImageMapping.said(pattern, target)
