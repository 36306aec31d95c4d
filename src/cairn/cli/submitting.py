"""A request on its way to a target: progress on standard error, the name of what was made on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cairn.cli import output
from cairn.submit.targets import Kind, Target

if TYPE_CHECKING:
    from cairn.errors import CairnError
    from cairn.submit.requests import Request
    from cairn.submit.sending import Event

_STATUS = {"SUCCEEDED": 0, "FAILED": 1, "CANCELLED": 130}
_INTERRUPTED = 130


class Progress:
    """What is known of one submission."""

    def __init__(self, target: Target, request: Request, warnings: tuple[str, ...]) -> None:
        self.target = target
        self.request = request
        self.warnings = tuple(dict.fromkeys(warnings))
        self.name = ""
        self.id = ""
        self.state = ""
        self.error = ""
        self.failure: CairnError | None = None
        self.tasks: dict[str, str] = {}

    def take(self, event: Event) -> None:
        title = self.target.kind.spoken
        if event.event == "submitted":
            self.name, self.id, self.state = event.name, event.id, event.state
            output.note(f"{'schedule' if self.request.schedule else 'run'} {event.id} is at {title}: {event.state}")
            output.note(f"  see it:     {self.url}")
            if not self.request.schedule:
                output.note(f"  cancel it:  {self.cancelling}")
        elif event.event == "state" and event.state != self.state:
            self.state, self.error = event.state, event.error
            output.note(event.state.lower() + (f": {event.error}" if event.error else ""))
        elif event.event == "state":
            self.error = event.error
        elif event.event == "task":
            self.tasks[event.task] = event.state
            output.note(f"  {output.one_line(event.task)}: {event.state.lower()}")
        elif event.event == "note":
            output.note(output.one_line(event.text))
        elif event.event == "failed":
            from cairn.submit.sending import failure_of

            if event.trace:
                output.note(event.trace.rstrip())
            self.failure = failure_of(event, title)

    @property
    def url(self) -> str:
        target = self.target
        if target.kind is Kind.VERTEX:
            kind = "schedules" if self.request.schedule else "runs"
            place = f"https://console.cloud.google.com/vertex-ai/locations/{target.region}/pipelines/{kind}"
            return f"{place}/{self.id}?project={target.project}"
        if target.kind is Kind.KUBEFLOW:
            return f"{target.url}/#/{'recurringrun' if self.request.schedule else 'runs'}/details/{self.id}"
        return f"{target.url}/v1/{self.name}"

    @property
    def cancelling(self) -> str:
        if self.target.kind is Kind.CAIRN:
            return f"cairn runs cancel {self.id}  (there)"
        if self.target.kind is Kind.VERTEX:
            return f'aiplatform.PipelineJob.get("{self.name}").cancel()  (Python), or on that page'
        return f'kfp.Client(host="{self.target.url}").terminate_run("{self.id}")  (Python), or on that page'

    def told(self) -> dict[str, Any]:
        return {
            "run_id": None if self.request.schedule else self.id,
            **({"schedule_id": self.id} if self.request.schedule else {}),
            "target": str(self.target.kind),
            "name": self.name,
            "url": self.url,
            "state": self.state,
            "tasks": [{"path": path, "state": state} for path, state in self.tasks.items()],
            "warnings": list(self.warnings),
            "error": {"message": self.error} if self.error else None,
        }


def send(progress: Progress, program: str, python: str, variables: Mapping[str, str | None], *, as_json: bool) -> int:
    """Until it is sent, or to its end where that was asked for; the exit status. Raises what the client failed with."""
    from cairn.submit.sending import sending

    output.note(f"submitting {progress.request.display_name} to {progress.target.kind.spoken}")
    try:
        with sending(program, progress.request, python, variables) as events:
            for event in events:
                progress.take(event)
                if event.event == "submitted" and not as_json:
                    output.say(event.name)
    except KeyboardInterrupt:
        return _interrupted(progress, as_json=as_json)
    if progress.failure is not None:
        raise progress.failure
    if as_json:
        output.print_json(progress.told())
    return _STATUS.get(progress.state, 0) if progress.request.watch and not progress.request.schedule else 0


def _interrupted(progress: Progress, *, as_json: bool) -> int:
    if progress.name:
        output.note("waiting was ended; the run goes on")
        output.note(f"  cancel it:  {progress.cancelling}")
        if as_json:
            output.print_json(progress.told())
    else:
        named = progress.request.job_id or progress.request.display_name
        output.note(f"interrupted before {progress.target.kind.spoken} answered: look there whether it has {named}")
    return _INTERRUPTED
