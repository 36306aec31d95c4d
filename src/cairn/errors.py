"""Every error a user can meet.

CairnError
├── InputRefused            what was handed in is wrong; nothing was started (exit status 2)
│   ├── SpecError           the pipeline file; carries file, place and remedy
│   ├── ParameterError      a pipeline parameter's value
│   ├── ConfigurationError  config.toml, an environment variable, a flag
│   ├── UnsupportedFeature  something asked for that the chosen executor cannot honour
│   │   └── NoContainerEngine   a step's image, which nothing maps to this machine
│   ├── NotFound            a run, task or artifact that does not exist
│   ├── AlreadyExists       a name that is taken
│   ├── Conflict            it was changed by somebody else, or is in a state that does not allow this
│   ├── WrongState          it is in a state that does not allow this
│   ├── PreconditionFailed  what the request made a condition of does not hold
│   ├── Unauthenticated     the API does not know who asks
│   ├── PermissionDenied    the API knows, and they may not
│   ├── TooLarge            a body beyond the limit
│   ├── TooManyRequests     beyond the rate that is granted
│   ├── Overloaded          the server has as much to do as it takes on
│   ├── Unimplemented       a part of the API that this version does not have
│   └── HomeError           the home cannot be used: newer version, corrupt page, no permission
├── CompileError            a pipeline's Python source does not compile (exit status 2)
├── StepError               a step failed (exit status 1 through the run's state)
│   ├── EnvironmentBuildError   its environment could not be built; uv's own words
│   ├── OutputMissing           it exited 0 without writing a declared output
│   ├── OutOfMemory             it was ended for exceeding its memory
│   ├── DeadlineExceeded        it was ended for exceeding its time-out
│   └── JobFailed               a job of a sweep: what its sweeper is told
├── SubmissionFailed        where a pipeline was submitted to cannot be reached, or failed there (exit status 1)
├── RecordsError            the database refused
│   ├── RecordsBusy         another process held it past the busy time-out; nothing was lost
│   ├── StorageFull         no space left; resumes when there is
│   └── FenceLost           another engine has taken this run over; this one must stop
└── RunCancelled            the run was cancelled (exit status 130)
"""

from __future__ import annotations


class CairnError(Exception):
    """Something went wrong."""

    exit_status = 70
    remedy = ""

    def __init__(self, message: str = "", *, place: str = "", remedy: str = "") -> None:
        """`place` says where (file, path inside it); `remedy` says what to do next."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.place = place
        self.remedy = remedy or self.remedy
        super().__init__(self.message)

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}\n  → {self.remedy}" if self.remedy else text


class InputRefused(CairnError):
    """The input was refused; nothing was started."""

    exit_status = 2


class SpecError(InputRefused):
    """The pipeline file is not valid."""


class ParameterError(InputRefused):
    """A parameter's value does not fit its declaration."""


class ConfigurationError(InputRefused):
    """The configuration is not valid."""


class UnsupportedFeature(InputRefused):
    """The chosen executor cannot honour something the pipeline asks for."""


class NoContainerEngine(UnsupportedFeature):
    """A step runs in an image, and nothing says what stands for it here."""


class NotFound(InputRefused):
    """There is no such thing here."""


class AlreadyExists(InputRefused):
    """There is one with this name already."""


class Conflict(InputRefused):
    """It does not allow this in the state it is in."""


class WrongState(InputRefused):
    """It does not allow this in the state it is in."""


class PreconditionFailed(InputRefused):
    """What was made a condition does not hold."""


class Unauthenticated(InputRefused):
    """Who asks is not known."""


class PermissionDenied(InputRefused):
    """Who asks may not do this."""


class TooLarge(InputRefused):
    """The body is larger than this takes."""


class TooManyRequests(InputRefused):
    """More requests than are granted."""

    retry_after_seconds = 1.0


class Overloaded(InputRefused):
    """The server has as much to do as it takes on."""

    remedy = "try again in a moment"
    retry_after_seconds = 1.0


class StoreUnavailable(CairnError):
    """The store that keeps a bucket does not answer, or not as it should."""

    exit_status = 1

    remedy = "try again"


class Unimplemented(InputRefused):
    """This version does not have it."""


class HomeError(InputRefused):
    """The home directory cannot be used."""


class CompileError(InputRefused):
    """The pipeline's source does not compile."""


class StepError(CairnError):
    """A step failed."""

    exit_status = 1
    kind = ""  # of what it had started and failed with: the name of that error's class


class EnvironmentBuildError(StepError):
    """A step's environment could not be built."""


class OutputMissing(StepError):
    """The step exited with status 0 without writing a declared output."""


class OutOfMemory(StepError):
    """The step was ended for exceeding its memory."""


class DeadlineExceeded(StepError):
    """The step was ended for exceeding its time-out."""


class JobFailed(StepError):
    """A job of a sweep failed."""


class SubmissionFailed(CairnError):
    """The pipeline could not be submitted."""

    exit_status = 1


class RecordsError(CairnError):
    """The database refused."""


class RecordsBusy(RecordsError):
    """Another process held the database past the busy time-out; nothing was lost."""

    exit_status = 1

    remedy = "try again; `cairn runs resume RUN` continues an interrupted run"


class StorageFull(RecordsError):
    """No space is left on the device."""

    exit_status = 1

    remedy = "free space (`cairn gc` helps), then `cairn runs resume RUN`"


class FenceLost(RecordsError):
    """Another engine has taken this run over."""

    exit_status = 1


class RunCancelled(CairnError):
    """The run was cancelled."""

    exit_status = 130
