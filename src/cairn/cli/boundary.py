"""Where every error of a command ends: a line for the user, an exit status, and with `--json` an object."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from cairn.cli import output
from cairn.cli.commands import cairn
from cairn.errors import CairnError, InputRefused

DEFECT = 70
CANCELLED = 130
BROKEN_PIPE = 141


def guarded(arguments: list[str]) -> int:
    """Run the command that `arguments` name; its exit status, whatever happens."""
    with_trace = "--traceback" in arguments
    as_json = "--json" in arguments
    try:
        status = cairn.main(arguments, prog_name="cairn", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as help_wanted:  # a group alone: no error, but nothing was done
        output.note(help_wanted.format_message())
        return InputRefused.exit_status
    except click.UsageError as error:
        return _refuse(usage_refused(error), as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return CANCELLED
    except BrokenPipeError:
        output.silence()
        return BROKEN_PIPE
    except CairnError as error:
        if with_trace:
            _show_trace()
        return _refuse(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the one place where a defect of ours ends
        return _defect(error, with_trace=with_trace, as_json=as_json)


def usage_refused(error: click.UsageError) -> InputRefused:
    """click's complaint in our words, with the nearest names as the remedy."""
    remedy = ""
    near = getattr(error, "possibilities", None)
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option {error.option_name}"
        if near:
            remedy = f"did you mean {' or '.join(near[:2])}?"
    else:
        message = error.format_message()
        if near:
            remedy = f"did you mean {' or '.join(near[:2])}?"
    path = error.ctx.command_path if error.ctx is not None else "cairn"
    return InputRefused(message, place=path, remedy=remedy or f"`{path} --help` shows what there is")


def refusal(error: CairnError) -> dict[str, Any]:
    """What `--json` says when a command was refused."""
    told = {"message": error.message, "kind": type(error).__name__, "place": error.place, "remedy": error.remedy}
    state = "REJECTED" if isinstance(error, InputRefused) else "FAILED"
    return {"run_id": None, "state": state, "outputs": {}, "tasks": [], "warnings": [], "error": told}


def _refuse(error: CairnError, *, as_json: bool) -> int:
    output.complain(error)
    if as_json:
        _print_object(refusal(error))
    return error.exit_status


def _defect(error: Exception, *, with_trace: bool, as_json: bool) -> int:
    where = _write_trace()
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    told = CairnError(
        f"a defect of Cairn: {output.one_line(said)}", remedy=f"the trace is in {where}; please report it"
    )
    output.complain(told)
    if with_trace:
        _show_trace()
    if as_json:
        _print_object(refusal(told))
    return DEFECT


def _print_object(found: dict[str, Any]) -> None:
    try:
        output.print_json(found)
        sys.stdout.flush()
    except BrokenPipeError:
        output.silence()


def _show_trace() -> None:
    import traceback

    output.note(traceback.format_exc().rstrip())


def _write_trace() -> str:
    """Keep the trace in HOME/defects; where that cannot be written, beside other temporary files."""
    import tempfile
    import time
    import traceback
    from pathlib import Path

    from cairn import __version__
    from cairn.config.home import Home

    text = f"cairn {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n\n{traceback.format_exc()}"
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    for directory in (Home.locate().root / "defects", Path(tempfile.gettempdir())):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            continue
        return str(directory / name)
    return "nowhere: no directory could be written"
