"""Hyperparameter tuning jobs as a service. A tuning job is a run of one step, which is work of Cairn's own: it asks its
study what to try, and starts a job for each trial.

Source: `google.cloud.aiplatform.v1` HyperparameterTuningJob. The message is kept in `Run.client[JOB]`; the study has
the tuning job's id, and a trial's job is a run of kind trial whose parent is the tuning job's.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cairn.domain.ids import numeric_id, random_uid
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT, Run, RunKind, RunSettings, Submission
from cairn.engine.runs import RunService
from cairn.errors import CairnError, InputRefused
from cairn.filters.tree import Comparison
from cairn.jobs.document import field, job_pipeline
from cairn.jobs.service import JOB, Created, JobService, display_name, labels_of
from cairn.spec.load import load_text
from cairn.spec.native_services import OWN_COMMAND, TUNE
from cairn.spec.types import Pipeline

PIPELINE = "hyperparameter-tuning-job"
TASK = "tune"
STUDY = "study"  # in Run.client: the id of its study
ENVIRONMENT = "environment"  # in Run.client: variables for every trial
MAX_PARALLEL = 1000


class TuningPlan(msgspec.Struct, frozen=True):
    """What a HyperparameterTuningJob asks for."""

    study_spec: dict[str, Any]
    trial_job_spec: dict[str, Any]
    max_trials: int
    parallel_trials: int
    max_failed_trials: int = 0  # 0: Cairn decides
    display_name: str = ""


class TuningJobService:
    """Threads: any. `check_study(spec, place)` raises InputRefused for a StudySpec that is none, and gives warnings."""

    def __init__(
        self,
        jobs: JobService,
        runs: Callable[[], RunService],
        settings: Callable[[], RunSettings],
        check_study: Callable[[Mapping[str, Any], str], tuple[str, ...]],
    ) -> None:
        self._jobs = jobs
        self._runs = runs
        self._settings = settings
        self.check_study = check_study

    def create(
        self,
        message: Mapping[str, Any],
        *,
        project: str = DEFAULT_PROJECT,
        location: str = DEFAULT_LOCATION,
        request_id: str = "",
        owner: str = "",
        settings: RunSettings | None = None,
        parent: str = "",
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        client: Mapping[str, Any] | None = None,
        source: str = "",
    ) -> Created:
        """Record a tuning job; it runs once an engine has it (`engine.bring`, `host.offer`).

        `message`: a HyperparameterTuningJob as JSON, in either spelling of its keys. `environment`: variables for every
        trial, below its own. The same `request_id` in the same project and location gives back what it made first.
        Raises InputRefused, SpecError, UnsupportedFeature.
        """
        known = self._jobs.records.requested_run(project, location, request_id) if request_id else None
        if known is not None:
            return Created(known, self._runs().pipeline_of(known), new=False)
        settings = msgspec.structs.replace(settings or self._settings(), use_cache=False)
        warnings, pins = self._foreseen(message, settings, environment)
        # Every trial runs the same code in the same images, whatever becomes of them while the job tunes.
        settings = msgspec.structs.replace(settings, pins={**settings.pins, **pins})
        uid = random_uid()
        job_id = numeric_id(uid)
        run = self._runs().submit(
            pipeline := tuning_pipeline(),
            Submission(
                settings=settings,
                project=project,
                location=location,
                job_id=job_id,
                display_name=display_name(message),
                labels={**labels_of(message), **(labels or {})},
                source=source,
                request_id=request_id,
                owner=owner,
                uid=uid,
                warnings=warnings,
                client={**(client or {}), JOB: dict(message), STUDY: job_id, ENVIRONMENT: dict(environment or {})},
                kind=RunKind.TUNING_JOB,
                parent=parent,
            ),
        )
        return Created(run, pipeline, new=run.uid == uid)

    def check(
        self, message: Mapping[str, Any], settings: RunSettings, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Everything that can be known before it runs: its counts, its study, and whether the trials' job could run
        here. Gives warnings; raises InputRefused, SpecError, UnsupportedFeature."""
        return self._foreseen(message, settings, environment)[0]

    def _foreseen(
        self, message: Mapping[str, Any], settings: RunSettings, environment: Mapping[str, str] | None
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Warnings, and what trials run in: `RunSettings.pins`."""
        plan = plan_of(message)
        warnings = [*self.check_study(plan.study_spec, "studySpec")]
        try:
            pipeline = job_pipeline({"jobSpec": copy.deepcopy(plan.trial_job_spec)}, environment or {})
            plans = self._runs().plans(pipeline, settings)
        except CairnError as error:
            error.place = f"trialJobSpec: {error.place}" if error.place else "trialJobSpec"
            raise
        warnings += unheard_parameters(plan.trial_job_spec)
        warnings += [*pipeline.warnings, *(warning for one in plans.values() for warning in one.warnings)]
        return tuple(dict.fromkeys(warnings)), self._runs().pins(plans)

    def trials_of(self, run: Run) -> list[Run]:
        """The runs of a tuning job's trials, newest first."""
        found: list[Run] = []
        token = ""
        while True:
            page, token = self._trials(run, token)
            found += page
            if not token:
                return found

    def _trials(self, run: Run, token: str) -> tuple[list[Run], str]:
        return self._jobs.page(
            projects=(run.project,),
            location=run.location,
            where=Comparison(("parent",), "=", run.uid),
            token=token,
            limit=1000,
            kinds=(RunKind.TRIAL,),
        )


def tuning_pipeline() -> Pipeline:
    """A pipeline of one step, which `executors.native` does: it finds what to do in its run's `client`."""
    document = {
        "pipelineInfo": {"name": PIPELINE},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {TASK: {"taskInfo": {"name": TASK}, "componentRef": {"name": "comp-tune"}}}}},
        "components": {"comp-tune": {"executorLabel": "exec-tune"}},
        "deploymentSpec": {
            "executors": {
                "exec-tune": {"container": {"image": "cairn", "command": [OWN_COMMAND], "args": ["--type", TUNE]}}
            }
        },
    }
    return load_text(json.dumps(document), origin="the tuning job")


def plan_of(message: Mapping[str, Any]) -> TuningPlan:
    """Raises InputRefused with the place."""
    study, trial = field(message, "studySpec"), field(message, "trialJobSpec")
    for name, value in (("studySpec", study), ("trialJobSpec", trial)):
        if not isinstance(value, Mapping):
            raise InputRefused("is required", place=name)
    max_trials = _count(message, "maxTrialCount", least=1)
    parallel = _count(message, "parallelTrialCount", least=1)
    if parallel > MAX_PARALLEL:
        raise InputRefused(f"is more than {MAX_PARALLEL}", place="parallelTrialCount")
    return TuningPlan(
        study_spec=dict(study),
        trial_job_spec=dict(trial),
        max_trials=max_trials,
        parallel_trials=parallel,
        max_failed_trials=_count(message, "maxFailedTrialCount", least=0),
        display_name=display_name(message),
    )


def _count(message: Mapping[str, Any], name: str, *, least: int) -> int:
    value = field(message, name)
    if value is None and not least:
        return 0
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not whole or value != int(value) or value < least:
        raise InputRefused("is required" if value is None else f"must be a number from {least} on", place=name)
    return int(value)


def unheard_parameters(job_spec: Mapping[str, Any]) -> list[str]:
    """A warning for each worker pool whose command does nothing with a trial's parameters: they are the `$0`, `$1`, …
    of a shell's script that uses none, as `CustomJob.from_local_script` writes it for images that are not Google's."""
    found = []
    for index, pool in enumerate(field(job_spec, "workerPoolSpecs") or ()):
        container = field(pool, "containerSpec") if isinstance(pool, Mapping) else None
        command = container.get("command") if isinstance(container, Mapping) else None
        if not isinstance(command, list) or not isinstance(container, Mapping) or container.get("args"):
            continue
        if len(command) == 3 and command[1] == "-c" and str(command[0]).endswith("sh") and "$" not in str(command[2]):
            found.append(
                f"trialJobSpec.workerPoolSpecs[{index}]: the trials' parameters (--name=value) do not reach its"
                " program: they follow `sh -c`, whose script does not use them"
            )
    return found


# --- a trial's job ---------------------------------------------------------------------------------------------------


def trial_message(plan: TuningPlan, trial_id: str, parameters: Mapping[str, int | float | str]) -> dict[str, Any]:
    """The CustomJob of one trial: the parameters as `--name=value` behind every pool's arguments, and an output
    directory of its own, as Vertex AI does."""
    spec = copy.deepcopy(plan.trial_job_spec)
    words = [f"--{name}={value_text(value)}" for name, value in parameters.items()]
    for pool in field(spec, "workerPoolSpecs") or ():
        inner = (field(pool, "containerSpec") or field(pool, "pythonPackageSpec")) if isinstance(pool, dict) else None
        if isinstance(inner, dict):
            inner["args"] = [*(inner.get("args") or ()), *words]
    base = field(spec, "baseOutputDirectory")
    prefix = field(base, "outputUriPrefix") if isinstance(base, Mapping) else None
    if prefix:
        spec.pop("base_output_directory", None)
        spec["baseOutputDirectory"] = {"outputUriPrefix": f"{str(prefix).rstrip('/')}/{trial_id}"}
    name = f"{plan.display_name or PIPELINE}-trial-{trial_id}"
    return {"displayName": name[-128:], "jobSpec": spec}


def value_text(value: float | str) -> str:
    """As it stands on a command line: whole numbers without a fraction, for `type=int` of a program reads no other."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    return str(value)
