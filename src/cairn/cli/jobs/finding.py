"""Which job is meant, and what is told of one as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cairn.cli.options import LATEST, quiet
from cairn.engine import report
from cairn.errors import NotFound
from cairn.jobs.service import KINDS, message_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cairn.domain.runs import Run
    from cairn.wiring import Cairn

F = TypeVar("F", bound=Callable[..., Any])


def job_argument(function: F) -> F:
    return click.argument("reference", metavar="JOB", shell_complete=quiet(_complete_jobs))(function)


def jobs_argument(function: F) -> F:
    complete = quiet(_complete_jobs)
    return click.argument("references", metavar="JOB…", nargs=-1, required=True, shell_complete=complete)(function)


def _complete_jobs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from cairn.wiring import open_cairn

    cairn = open_cairn()
    try:
        newest, _ = cairn.jobs.page(limit=200)
        found = [(run.job_id, f"{run.display_name} {run.state.lower()}") for run in newest]
        found += [(run.uid[:8], told) for run, (_, told) in zip(newest, found, strict=True) if incomplete]
        if newest:
            found.insert(0, (LATEST, "the newest job"))
        return [CompletionItem(value, help=words) for value, words in found if value.startswith(incomplete)]
    finally:
        cairn.close()


def find_job(cairn: Cairn, reference: str) -> Run:
    """By its number, by its run's uid or the beginning of it, or `latest`. Raises NotFound, InputRefused."""
    if reference == LATEST:
        newest, _ = cairn.jobs.page(limit=1)
        if not newest:
            raise NotFound("there are no jobs in this home yet", place=str(cairn.home.root))
        return newest[0]
    try:
        found = cairn.records.find_run(reference)
    except NotFound:
        raise NotFound(
            f"there is no job {reference!r}", remedy="`cairn jobs list` shows the jobs of this home"
        ) from None
    if found.kind not in KINDS:
        raise NotFound(
            f"run {found.job_id} is no job", place=reference, remedy=f"`cairn runs show {found.uid[:8]}` shows it"
        )
    return found


def job_object(run: Run, *, whole: bool = False) -> dict[str, Any]:
    """`whole`: with the message that it was made of."""
    found: dict[str, Any] = {
        "job_id": run.job_id,
        "run_id": run.uid,
        "display_name": run.display_name,
        "kind": str(run.kind),
        "parent": run.parent,
        "project": run.project,
        "location": run.location,
        "state": str(run.state),
        "labels": run.labels,
        "error": report.failure_object(run.error),
        "warnings": list(run.warnings),
        "seconds": round(report.seconds_between(run.start_time, run.end_time), 6),
    }
    for name in ("create_time", "start_time", "end_time"):
        found[name] = getattr(run, name)
    return {**found, "job": message_of(run)} if whole else found
