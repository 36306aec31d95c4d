"""What a target cannot do with a run, found before anything is sent.

Refused is what would fail there or come to another result; warned of is what is lost without harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.domain.configuration import RunConfiguration
from cairn.domain.runs import Submission
from cairn.domain.values import Value
from cairn.engine.runs import used_components
from cairn.errors import CairnError, InputRefused, ParameterError, UnsupportedFeature
from cairn.spec.parameters import resolve_parameters
from cairn.spec.types import (
    ComponentInput,
    ComponentSpec,
    Constant,
    ContainerSpec,
    CustomJobSpec,
    ImporterSpec,
    NativeSpec,
    Pipeline,
    PlatformSpec,
)
from cairn.submit.documents import custom_jobs, pipeline_documents
from cairn.submit.targets import Kind, Target

if TYPE_CHECKING:
    from cairn.wiring import Cairn

_EXACT = 1 << 53  # beyond it a double, which the APIs carry numbers as, is not every integer
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
_JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_JOB_ID_WORDS = "up to 128 of a-z, 0-9 and -, a letter first"
_MAX_LABELS = 64
_MAX_NAME = 128


class Findings:
    """Everything that was found, told at once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.refused: list[CairnError] = []
        self.warned: list[str] = []

    def refuse(self, place: str, message: str, remedy: str = "") -> None:
        self.refused.append(UnsupportedFeature(message, place=place, remedy=remedy))

    def warn(self, place: str, message: str) -> None:
        self.warned.append(f"{place}: {message}" if place else message)

    def error(self) -> InputRefused | None:
        """One error that names all of them; None when nothing was refused."""
        if not self.refused:
            return None
        title = self.target.kind.spoken
        if len(self.refused) == 1:
            only = self.refused[0]
            place = f"{title}: {only.place}" if only.place else title
            return UnsupportedFeature(only.message, place=place, remedy=only.remedy)
        lines = [f"{len(self.refused)} things cannot be sent as they are; nothing was sent"]
        for one in self.refused:
            lines.append(f"    {f'{one.place}: ' if one.place else ''}{one.message}")
            if one.remedy:
                lines.append(f"      → {one.remedy}")
        return UnsupportedFeature("\n".join(lines), place=title)


class Subject(msgspec.Struct, frozen=True):
    """What is to be sent: the pipeline with its steps' configuration in it, and what is said of the run."""

    pipeline: Pipeline
    submission: Submission
    said: RunConfiguration
    target: Target
    artifacts: dict[str, str] = {}  # pipeline input → id there


def find_limits(cairn: Cairn, subject: Subject) -> Findings:
    found = Findings(subject.target)
    _destination(found, subject)
    _parameters(found, subject)
    _places(found, subject)
    _steps(cairn, found, subject)
    _settings(found, subject)
    _names(found, subject)
    _security(found, subject)
    _schedule(found, subject)
    return found


def _destination(found: Findings, subject: Subject) -> None:
    target = subject.target
    if target.kind is Kind.VERTEX:
        if not target.project:
            found.refuse("project", "is not said", "give --project, cairn.target.project or GOOGLE_CLOUD_PROJECT")
        if not target.region:
            found.refuse("region", "is not said", "give --region, cairn.target.region or GOOGLE_CLOUD_REGION")
        if target.authority:
            found.warn("--authority", "is for servers of one's own; Google's certificates are checked as always")
    if target.kind is Kind.KUBEFLOW and not target.url:
        found.refuse("host", "is not said", "give --host, cairn.target.host or KF_PIPELINES_ENDPOINT")
    if target.kind is not Kind.KUBEFLOW and target.namespace:
        found.warn("namespace", "is for Kubeflow Pipelines; it is left out")


def _parameters(found: Findings, subject: Subject) -> None:
    pipeline, given = subject.pipeline, subject.submission.parameters
    try:
        values = resolve_parameters(pipeline, given)
    except ParameterError as error:
        found.refused.append(error)
        values = {**pipeline.parameters, **given}
    for name, value in values.items():
        for number in _inexact(value):
            found.refuse(
                f"parameter {name}", f"{number} would arrive as another number: the API carries numbers as doubles",
                "make it a STRING",
            )  # fmt: skip
    declared = pipeline.root.input_artifacts
    for name in subject.artifacts:
        if name not in declared:
            found.refused.append(
                ParameterError(f"the pipeline has no input artifact {name!r}", place=f"artifact {name}")
            )
    for name, artifact in declared.items():
        if subject.target.kind is Kind.KUBEFLOW and (name in subject.artifacts or not artifact.optional):
            found.refuse(
                f"artifact {name}", "runs of Kubeflow Pipelines take no artifacts as inputs",
                "import it in the pipeline: dsl.importer",
            )  # fmt: skip
        elif name not in subject.artifacts and not artifact.optional:
            found.refuse(
                f"artifact {name}", "the pipeline needs it, and none is named", "give --artifact NAME=ID, its id there"
            )
        elif "/" in subject.artifacts.get(name, ""):
            found.refuse(f"artifact {name}", "is named by its id in the metadata store there, not by a URI or name")


def _inexact(value: Value) -> Iterator[int]:
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > _EXACT:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _inexact(item)
    elif isinstance(value, list):
        for item in value:
            yield from _inexact(item)


def _places(found: Findings, subject: Subject) -> None:
    kind = subject.target.kind
    root = subject.submission.pipeline_root or subject.pipeline.default_root
    if root and (is_local(root) or (kind is Kind.VERTEX and not root.startswith("gs://"))):
        wanted = "gs://BUCKET/…" if kind is Kind.VERTEX else "a bucket: gs://, s3:// or minio://"
        found.refuse("pipeline root", f"{root!r} is no place that its steps reach", f"give --root {wanted}")
    bucket = subject.target.staging_bucket
    if bucket and not bucket.startswith("gs://"):
        found.refuse("staging bucket", f"{bucket!r} is none", "write gs://BUCKET")
    if kind is Kind.VERTEX and not root and not bucket and subject.target.project:
        target = subject.target
        made = f"gs://{target.project.replace(':', '-').replace('google.com', 'google')}-vertex-pipelines-"
        found.warn("pipeline root", f"none is said; the client's own bucket is used: {made}{target.region}")
    for place, uri in _imported(subject):
        if is_local(uri):
            found.refuse(place, f"{uri!r} is on this machine only", "copy it to a bucket and name that")
        elif kind is Kind.VERTEX and "://" in uri and not uri.startswith(("gs://", "http://", "https://")):
            found.warn(place, f"steps on Vertex AI see files of gs:// only; {uri!r} is passed as a name")


def is_local(uri: str) -> bool:
    """A path, or file://."""
    return "{{" not in uri and ("://" not in uri or uri.startswith("file:"))


def _imported(subject: Subject) -> Iterator[tuple[str, str]]:
    """(place, URI) of what importers read, as far as it is known before the run."""
    pipeline = subject.pipeline
    values = {name: one.default for name, one in pipeline.root.input_parameters.items()}
    values.update({**pipeline.parameters, **subject.submission.parameters})
    for component in (pipeline.root, *pipeline.components.values()):
        for task in component.dag.tasks.values() if component.dag else ():
            importer = pipeline.components[task.component].executor
            if not isinstance(importer, ImporterSpec):
                continue
            if importer.uri:
                yield f"importer {task.name}", importer.uri
                continue
            binding = task.parameters.get(importer.uri_parameter)
            uri: Any = None
            if isinstance(binding, Constant):
                uri = binding.value
            elif isinstance(binding, ComponentInput) and component is pipeline.root:
                uri = values.get(binding.name)
            if isinstance(uri, str):
                yield f"importer {task.name}", uri


def _steps(cairn: Cairn, found: Findings, subject: Subject) -> None:
    settings, kind = subject.submission.settings, subject.target.kind
    images = [(mapping.pattern, mapping.target) for mapping in settings.images]
    jobs = custom_jobs(subject.pipeline)
    _, beside = pipeline_documents(subject.pipeline)
    for name in used_components(subject.pipeline):
        component = subject.pipeline.components[name]
        place = f"step {name.removeprefix('comp-')}"
        if isinstance(component.executor, ContainerSpec):
            _portable(found, place, cairn.environments.portability(component.executor, images), kind)
            _accelerator(found, place, component.executor.resources.accelerator_type, kind)
            for pool in component.executor.job.pools[1:] if component.executor.job else ():
                _portable(found, place, cairn.environments.portability(pool.container, images), kind)
                _accelerator(found, place, pool.container.resources.accelerator_type, kind)
        if isinstance(component.executor, CustomJobSpec):
            for image in _job_images(component.executor.custom_job):
                _portable(found, place, cairn.environments.image_portability(image, images), kind)
            if kind is Kind.CAIRN:
                found.refuse(place, component.executor.refusal, component.executor.remedy)
        if isinstance(component.executor, NativeSpec) and component.executor.refusal and kind is Kind.CAIRN:
            found.refuse(place, component.executor.refusal, component.executor.remedy)
        if kind is Kind.KUBEFLOW and name in jobs:
            found.refuse(place, "is a custom job of Vertex AI, which Kubeflow Pipelines does not run")
        if kind is not Kind.KUBEFLOW:
            _platform(found, place, component, kind)
            # A custom job's time-out is part of it, and is sent.
            if component.platform.active_deadline_seconds and beside and name not in jobs:
                found.warn(place, f"its time-out of {component.platform.active_deadline_seconds} s is not sent")
    _launched_images(cairn, found, subject, images)
    if subject.pipeline.workspace is not None and kind is not Kind.KUBEFLOW:
        found.refuse("workspace", f"{kind.spoken} is not told of one", _by_kubeflow(kind))
    if kind is Kind.KUBEFLOW:
        for name, step in subject.said.steps.items():
            if step.machine_type:
                found.warn(f"cairn.steps.{name}", f"machine type {step.machine_type} is asked for as CPUs and memory")


def _launched_images(cairn: Cairn, found: Findings, subject: Subject, images: list[tuple[str, str]]) -> None:
    """Of the jobs that steps launch, as far as they are known."""
    natives = [one for one in subject.pipeline.components.values() if isinstance(one.executor, NativeSpec)]
    if not natives:
        return
    from cairn.spec.native_calls import is_open, known_calls

    values = {**subject.pipeline.parameters, **subject.submission.parameters}
    for call in known_calls(subject.pipeline, values):
        message = call.message or {}
        job = message.get("trial_job_spec") or message.get("trialJobSpec") or message
        for image in dict.fromkeys(_job_images(job)):
            if not is_open(image):
                portability = cairn.environments.image_portability(image, images)
                _portable(found, f"step {call.path}", portability, subject.target.kind)


def _accelerator(found: Findings, place: str, type_: str, kind: Kind) -> None:
    """Each names them in its own way, and neither client checks it."""
    if not type_ or "{{" in type_:
        return
    if kind is Kind.VERTEX and "/" in type_:
        found.warn(place, f"asks for {type_}; Vertex AI names accelerators as NVIDIA_TESLA_T4")
    if kind is Kind.KUBEFLOW and "/" not in type_:
        found.warn(place, f"asks for {type_}; a cluster names accelerators as nvidia.com/gpu, and nodes by selectors")


def _portable(found: Findings, place: str, portability: Any, kind: Kind) -> None:
    for message, remedy in portability.refused:
        if kind is Kind.CAIRN and "stands for" in message:  # it may have mappings of its own
            found.warn(place, f"{message}; the other Cairn's own [images] decide there")
        else:
            found.refuse(place, message, remedy)
    for message in portability.warned:
        found.warn(place, message)


def _job_images(job: Mapping[str, Any]) -> Iterator[str]:
    spec = job.get("jobSpec") or job.get("job_spec") or job
    pools = spec.get("workerPoolSpecs") or spec.get("worker_pool_specs") or ()
    for pool in pools if isinstance(pools, (list, tuple)) else ():
        if not isinstance(pool, Mapping):
            continue
        container = pool.get("containerSpec") or pool.get("container_spec") or {}
        image = container.get("imageUri") or container.get("image_uri")
        if image:
            yield image


def _platform(found: Findings, place: str, component: ComponentSpec, kind: Kind) -> None:
    """What kfp.kubernetes says stands beside the pipeline, where Vertex's API has no place."""
    platform, plain = component.platform, PlatformSpec()
    words = {
        "secret_env": "secrets", "secret_volumes": "secrets", "config_map_env": "config maps",
        "config_map_volumes": "config maps", "volumes": "volumes", "empty_dirs": "volumes",
        "generic_ephemeral": "volumes", "field_path_env": "fields of its pod",
    }  # fmt: skip
    wants = dict.fromkeys(what for field, what in words.items() if getattr(platform, field) != getattr(plain, field))
    if wants:
        message = f"wants {', '.join(wants)} of Kubernetes, which {kind.spoken} is not told of"
        found.refuse(place, message, _by_kubeflow(kind))


def _by_kubeflow(kind: Kind) -> str:
    if kind is Kind.CAIRN:
        return "submit by Kubeflow's API, which Cairn answers too: --to kfp --host URL"
    return "read secrets in the step, from Secret Manager or a bucket"


def _settings(found: Findings, subject: Subject) -> None:
    said, settings, title = subject.said, subject.submission.settings, subject.target.kind.spoken
    if settings.use_cache:
        for wanted, name, why in (
            (settings.cache_ttl_seconds, "cache TTL", "an older result might be taken"),
            (settings.verify_cache, "verify_cache", "results are taken without being verified"),
        ):
            if wanted:
                found.refuse(name, f"{title} has no such thing: {why}", "take it out, or run with --no-cache")
    for given, name, why in (
        (said.executor, "executor", "the target decides where steps run"),
        (settings.in_place, "in_place", "is for project directories of this machine"),
        (settings.strict, "strict", "the target decides what exceeds its machines"),
        (settings.notify, "notify", "nothing here is called when it ends; --wait waits for it"),
    ):
        if given:
            found.warn(name, f"has no effect: {why}")
    if settings.failure_policy == "fast" and subject.target.kind is Kind.KUBEFLOW:
        found.warn("failure policy", "has no effect: Kubeflow Pipelines ends what depends on a failure, and goes on")
    if subject.submission.description and subject.target.kind is not Kind.KUBEFLOW:
        found.warn("description", f"is not sent: a job of {title} has none")


def _names(found: Findings, subject: Subject) -> None:
    submission, kind = subject.submission, subject.target.kind
    if kind is Kind.KUBEFLOW:
        if submission.labels:
            found.warn("labels", "are not sent: runs of Kubeflow Pipelines have none")
        if submission.job_id:
            found.refuse("--name", "Kubeflow Pipelines gives runs their ids itself", "give --display-name")
        return
    if submission.job_id and not _JOB_ID.fullmatch(submission.job_id):
        found.refuse("--name", f"{submission.job_id!r} is no id of a job", _JOB_ID_WORDS)
    if len(submission.display_name) > _MAX_NAME:
        found.refuse("name", f"is longer than {_MAX_NAME} characters")
    if len(submission.labels) > _MAX_LABELS:
        found.refuse("labels", f"there are {len(submission.labels)}; {_MAX_LABELS} are the most")
    for key, value in submission.labels.items():
        if not _LABEL[0].fullmatch(key) or not _LABEL[1].fullmatch(value):
            found.refuse(f"label {key}", f"{key}={value} is none there", "up to 63 lower-case letters, digits, _ and -")


def _security(found: Findings, subject: Subject) -> None:
    target, kind = subject.target, subject.target.kind
    if kind is Kind.KUBEFLOW:
        if target.encryption_key:
            found.refuse("encryption key", "Kubeflow Pipelines takes none", "take it out")
        for given, name in ((target.network, "network"), (target.reserved_ip_ranges, "reserved IP ranges")):
            if given:
                found.warn(name, "has no effect: the cluster's network is used")
        for given, name in ((target.staging_bucket, "staging bucket"), (target.project, "project")):
            if given:
                found.warn(name, "is for Vertex AI; it is left out")
    elif kind is Kind.CAIRN:
        for given, name in (
            (target.service_account, "service account"), (target.network, "network"),
            (target.reserved_ip_ranges, "reserved IP ranges"), (target.encryption_key, "encryption key"),
        ):  # fmt: skip
            if given:
                found.warn(name, "is recorded with the run, and has no effect there")


def _schedule(found: Findings, subject: Subject) -> None:
    schedule, kind = subject.said.schedule, subject.target.kind
    if schedule is None:
        return
    place = "cairn.schedule"
    if subject.said.experiment and kind is not Kind.KUBEFLOW:
        found.warn(place, "its runs are put into no experiment: Vertex's schedules name none")
    if kind is Kind.KUBEFLOW:
        if schedule.max_runs:
            found.refuse(place, "recurring runs end at a time, not after a number of runs", "give end, not max_runs")
        if schedule.time_zone and schedule.time_zone not in ("UTC", "Etc/UTC"):
            found.refuse(place, f"recurring runs are in UTC, not in {schedule.time_zone}", "give the cron in UTC")
        if not schedule.queue:
            found.warn(place, "a run that would be one too many waits, as with queue")
        return
    if not schedule.cron:
        remedy = "give a cron expression"
        if kind is Kind.CAIRN:
            remedy += ", or submit by Kubeflow's API: --to kfp --host URL"
        found.refuse(place, "schedules of Vertex AI know no intervals", remedy)
    if schedule.catch_up:
        found.warn(place, "catch_up has no effect: Vertex AI asks for it when a schedule is resumed")
    if subject.target.reserved_ip_ranges:
        found.refuse(place, "its client sends no reserved IP ranges with a schedule", "take them out")
    if schedule.max_concurrent < 1:
        found.refuse(place, "at least one run at once is wanted there", "give max_concurrent")
