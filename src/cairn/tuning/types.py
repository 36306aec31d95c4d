"""Studies and their trials as they are kept, and what their service needs of the records.

Source: google/cloud/aiplatform/v1/study.proto. All times and durations are microseconds, times since the Unix epoch;
0 when not set.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.filters.tree import Filter, Order

KIND = "study"
TRIAL = "study.trial"
COURSE = "study.course"

Value: TypeAlias = int | float | str  # of a parameter: int for INTEGER, float for DOUBLE and DISCRETE


class StudyState(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    COMPLETED = "COMPLETED"


class TrialState(StrEnum):
    REQUESTED = "REQUESTED"  # somebody asked for these parameters; nobody has taken it yet
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"  # it should end early; it still may be completed with a measurement
    SUCCEEDED = "SUCCEEDED"
    INFEASIBLE = "INFEASIBLE"

    @property
    def terminal(self) -> bool:
        return self in (TrialState.SUCCEEDED, TrialState.INFEASIBLE)


# --- the specification -----------------------------------------------------------------------------------------------


class ParameterKind(StrEnum):
    DOUBLE = "DOUBLE"
    INTEGER = "INTEGER"
    CATEGORICAL = "CATEGORICAL"
    DISCRETE = "DISCRETE"


class Scale(StrEnum):
    LINEAR = "UNIT_LINEAR_SCALE"
    LOG = "UNIT_LOG_SCALE"
    REVERSE_LOG = "UNIT_REVERSE_LOG_SCALE"


class Algorithm(StrEnum):
    DEFAULT = "ALGORITHM_UNSPECIFIED"
    GRID = "GRID_SEARCH"
    RANDOM = "RANDOM_SEARCH"


class Noise(StrEnum):
    UNSPECIFIED = "OBSERVATION_NOISE_UNSPECIFIED"
    LOW = "LOW"
    HIGH = "HIGH"


class Selection(StrEnum):
    LAST = "LAST_MEASUREMENT"
    BEST = "BEST_MEASUREMENT"


class Metric(msgspec.Struct, frozen=True):
    """With a `safety_threshold` it is no objective: a trial is safe when it is not worse than that."""

    id: str
    minimize: bool = False
    safety_threshold: float | None = None
    min_safe_fraction: float | None = None  # of all trials, that should be safe; 0: none is aimed at


class Condition(msgspec.Struct, frozen=True):
    """A parameter that is there only where its parent has one of these values."""

    values: tuple[Value, ...]
    parameter: Parameter


class Parameter(msgspec.Struct, frozen=True):
    """DOUBLE and INTEGER have bounds (inclusive), CATEGORICAL and DISCRETE values."""

    id: str
    kind: ParameterKind
    low: float = 0  # an int for INTEGER
    high: float = 0
    values: tuple[Value, ...] = ()
    scale: Scale = Scale.LINEAR
    default: Value | None = None
    children: tuple[Condition, ...] = ()
    key: str = ""  # unique in the study: the id, after the conditions under which it is there


class MedianRule(msgspec.Struct, frozen=True):
    by_time: bool = False  # the elapsed duration is the x-axis instead of the step


class DecayCurveRule(msgspec.Struct, frozen=True):
    by_time: bool = False


class ConvexRule(msgspec.Struct, frozen=True):
    """Steps are seconds with `by_time`. 0 or None: learned from the completed trials, or the default."""

    max_steps: int = 0
    min_steps: int | None = None
    min_measurements: int = 5
    learning_rate: str = ""  # the parameter that it is
    by_time: bool = False
    update_all: bool = False


StoppingRule: TypeAlias = MedianRule | DecayCurveRule | ConvexRule


class TimeLimit(msgspec.Struct, frozen=True):
    """Either; microseconds."""

    duration: int = 0  # since the study was made
    end: int = 0


class Ending(msgspec.Struct, frozen=True):
    """When a study ends by itself; None: not for this."""

    as_soon_as_possible: bool = False
    min_runtime: TimeLimit | None = None
    max_runtime: TimeLimit | None = None
    min_trials: int | None = None
    max_trials: int | None = None
    max_trials_no_progress: int | None = None
    max_duration_no_progress: int | None = None


class StudySpec(msgspec.Struct, frozen=True):
    metrics: tuple[Metric, ...]
    parameters: tuple[Parameter, ...]
    algorithm: Algorithm = Algorithm.DEFAULT
    noise: Noise = Noise.UNSPECIFIED
    selection: Selection = Selection.LAST
    stopping: StoppingRule | None = None
    ending: Ending | None = None

    @property
    def objectives(self) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if metric.safety_threshold is None)

    @property
    def constraints(self) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if metric.safety_threshold is not None)


# --- what is recorded ------------------------------------------------------------------------------------------------


class Study(msgspec.Struct, frozen=True, omit_defaults=True):
    """`message` is its StudySpec as canonical JSON, told back as it was given; `study_spec.parse` reads it."""

    message: dict[str, Any]
    id: str = ""  # digits; made up where empty
    display_name: str = ""
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    seed: int | None = None  # None: one made of the id
    algorithm: str = ""  # what decides, with its version: "TPE (Optuna 5.0.0)"
    state: StudyState = StudyState.ACTIVE
    reason: str = ""  # why it is no longer active
    owner: str = ""
    request_id: str = ""  # the same one gives the same study
    labels: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    create_time: int = 0
    update_time: int = 0


class Measurement(msgspec.Struct, frozen=True, omit_defaults=True):
    metrics: dict[str, float]
    step: int = 0
    elapsed: int = 0  # microseconds since the trial began


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """`id` counts from 1 in its study and is never used again."""

    id: str
    study: str  # its id
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    state: TrialState = TrialState.ACTIVE
    parameters: dict[str, Value] = {}
    inner: dict[str, float] = {}  # as Optuna holds them, by key, where turning them over costs a last digit
    final: Measurement | None = None
    measurements: tuple[Measurement, ...] = ()  # by step, then elapsed time; both never fall
    client_id: str = ""
    infeasible_reason: str = ""
    stopped: str = ""  # why it was asked to end early
    origin: str = ""  # default: the first one, of default values; given: by somebody; else what decided
    custom_job: str = ""  # resource name, of a tuning job's trial
    web_access_uris: dict[str, str] = {}
    start_time: int = 0
    end_time: int = 0
    update_time: int = 0

    @property
    def number(self) -> int:
        return int(self.id)


class Suggestions(msgspec.Struct, frozen=True):
    """Fewer than asked for, and a study that is COMPLETED, when it has come to its end."""

    trials: tuple[Trial, ...]
    state: StudyState
    reason: str = ""


class Course(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a study has come. It is written in the same transaction as each change of a trial's state, so that its
    etag fences decisions, and no two of a study's decisions are made of the same past."""

    trials: int = 0  # ids given so far
    grid: int = 0  # points of the grid looked at so far
    deletions: int = 0
    random: dict[str, Any] = {}  # the sampler's random numbers, as they stood after the last decision


class StudyRecords(Protocol):
    """What studies are kept in; see `records.store`. Threads: any."""

    def create_document(self, document: Document) -> Document: ...

    def replace_document(self, document: Document, *, etag: str = "") -> Document: ...

    def document(self, kind: str, id_: str, *, project: str = "", location: str = "", parent: str = "") -> Document: ...

    def find_document(self, kind: str, id_: str) -> Document: ...

    def change_documents(
        self,
        *,
        create: Sequence[Document] = (),
        replace: Sequence[tuple[Document, str]] = (),
        delete: Sequence[Document] = (),
    ) -> None: ...

    def changed_documents(
        self, kind: str, parent: str, after: int, *, project: str = "", location: str = ""
    ) -> list[Document]: ...

    def page_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        parent: str | None = None,
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]: ...
