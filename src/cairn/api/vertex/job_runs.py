"""What the resources that are runs of a job have in common: looked up, listed, cancelled, deleted, and what is checked
of them when they are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.api.named_buckets import check_bucket
from cairn.api.vertex import masks, tensorboard_names
from cairn.api.vertex.names import Place, place_of, resource
from cairn.api.vertex.naming import check_display_name, check_labels, requested_id
from cairn.api.vertex.run_filter import RunFilter
from cairn.domain.runs import Run, RunKind, RunSettings
from cairn.errors import InputRefused, NotFound, WrongState
from cairn.tensorboards.types import Level

# Where services say that a CustomJobSpec begins: in the message, in the pipeline made of it, or by its step's name.
_IN_SPEC = re.compile(
    r"(?:^|[. ])jobSpec(?=[.\[]|$)|^trialJobSpec(?=[.\[]|$)|^(?:trialJobSpec: )?(?:components\.)?(?:comp-)?job\b"
)
_BUCKETS = ("gs://", "s3://", "minio://")
DEFAULT_PAGE, MAX_PAGE = 100, 1000
FIELDS = {name: name for name in ("display_name", "state", "create_time", "start_time", "end_time", "update_time")} | {
    "labels": "labels"
}


class Resource(msgspec.Struct, frozen=True):
    """One kind of resource: its collection's name, its message, the runs that are such, and how they are told."""

    collection: str  # in names, such as customJobs
    field: str  # of the request that makes one, such as customJob
    message: str
    noun: str
    kinds: Collection[RunKind]  # what is found by name
    listed: Collection[RunKind]
    filter: RunFilter
    view: Callable[[Run, Call], dict[str, Any]]

    def find(self, name: str, call: Call) -> Run:
        """Raises NotFound, also for a run of another kind."""
        place, job_id = resource(name, self.collection)
        run = call.context.cairn.records.run_by_job_id(place.project, place.location, job_id)
        if run is None or run.kind not in self.kinds:
            raise NotFound(f"there is no {self.noun} {name!r}")
        return run

    def get(self, request: dict[str, Any], call: Call) -> dict[str, Any]:
        return self.view(self.find(request.get("name", ""), call), call)

    def list_(self, request: dict[str, Any], call: Call) -> dict[str, Any]:
        place = place_of(request.get("parent", ""))
        size, mask, text = request.get("pageSize", 0), request.get("readMask", ""), request.get("filter", "")
        if size < 0:
            raise InputRefused("a page has at least one entry", place="pageSize")
        runs, token = call.context.cairn.records.page_runs(
            projects=[place.project],
            location=place.location,
            where=self.filter.read(text),
            query=f"{self.collection}\n{text}",
            token=request.get("pageToken", ""),
            limit=min(size or DEFAULT_PAGE, MAX_PAGE),
            kinds=self.listed,
        )
        found = [masks.masked(self.message, self.view(run, call), mask) for run in runs]
        answer: dict[str, Any] = {self.collection: found} if found else {}
        return {**answer, "nextPageToken": token} if token else answer

    def cancel(self, request: dict[str, Any], call: Call) -> dict[str, Any]:
        """Ask for it: the job is CANCELLING, then CANCELLED, unless it ends first."""
        name = request.get("name", "")
        run = self.find(name, call)
        if run.state.terminal:
            raise WrongState(f"has ended: {self.filter.prefix}{run.state}", place=name)
        call.context.cairn.runs.cancel(run)
        return {}

    def delete(self, request: dict[str, Any], call: Call) -> dict[str, Any]:
        name = request.get("name", "")
        call.context.cairn.upkeep.delete(self.ended(name, call))
        return {}

    def ended(self, name: str, call: Call) -> Run:
        """Raises WrongState for one that has not."""
        run = self.find(name, call)
        if not run.state.terminal:
            raise WrongState(
                f"has not ended: {self.filter.prefix}{run.state}", place=name, remedy="cancel it, then delete it"
            )
        return run

    def request_id(self, call: Call) -> str:
        """Of this kind alone: pipeline jobs and jobs that were made by the same id are not each other."""
        given = requested_id(call)
        return f"{self.collection}/{given}" if given else ""

    def asked_before(self, place: tuple[str, str], request_id: str, call: Call) -> Run | None:
        """What the same request has made already."""
        return call.context.cairn.records.requested_run(*place, request_id) if request_id else None

    def check(self, message: Mapping[str, Any]) -> None:
        """Names and labels. Raises InputRefused, naming the field."""
        if not message.get("displayName"):
            raise InputRefused("is required", place=f"{self.field}.displayName")
        check_display_name(message["displayName"], f"{self.field}.displayName")
        check_labels(message.get("labels") or {}, f"{self.field}.labels")


def check_job_spec(spec: Mapping[str, Any] | None, place: str, at: Place, call: Call) -> None:
    """That there is one, that who asks may use the buckets that it names, and that its TensorBoard is there. `at` is
    where the job is to be."""
    if not spec or not spec.get("workerPoolSpecs"):
        raise InputRefused("is required: one worker pool at least", place=f"{place}.workerPoolSpecs")
    if spec.get("tensorboard"):
        _check_tensorboard(spec, place, at, call)
    prefix = (spec.get("baseOutputDirectory") or {}).get("outputUriPrefix", "")
    _check_output(prefix, f"{place}.baseOutputDirectory.outputUriPrefix", call)
    for index, pool in enumerate(spec["workerPoolSpecs"]):
        for number, uri in enumerate((pool.get("pythonPackageSpec") or {}).get("packageUris") or ()):
            where = f"{place}.workerPoolSpecs[{index}].pythonPackageSpec.packageUris[{number}]"
            check_bucket(call, uri, Role.VIEWER, where)


def _check_output(prefix: str, place: str, call: Call) -> None:
    """In a bucket that who asks may write to; a directory of the server's machine where it asks nobody who they are."""
    apart = call.context.cairn.store.projects_apart
    if prefix and not prefix.startswith(_BUCKETS if apart else (*_BUCKETS, "/", "file:///")):
        raise InputRefused(f"jobs cannot write to {prefix[:200]!r}", place=place, remedy="write gs://BUCKET/…")
    check_bucket(call, prefix, Role.EDITOR, place)


def _check_tensorboard(spec: Mapping[str, Any], place: str, at: Place, call: Call) -> None:
    name, field = spec["tensorboard"], f"{place}.tensorboard"
    where, path = tensorboard_names.parse(name, Level.TENSORBOARD, field)
    if (where.project, where.location) != at:
        raise InputRefused(f"{name[:200]!r} is not in {at}, where the job is", place=field)
    try:
        call.context.cairn.tensorboards.get(Level.TENSORBOARD, path, where)
    except NotFound as error:
        raise NotFound(error.message, place=field) from None
    if not spec.get("baseOutputDirectory"):
        raise InputRefused(
            "is required where a tensorboard is given: its logs are read from there",
            place=f"{place}.baseOutputDirectory",
        )


def settings_of(call: Call) -> RunSettings:
    """How a job runs that the server was handed."""
    settings: RunSettings = call.context.cairn.run_settings()
    return msgspec.structs.replace(settings, detached=True)


def told_back(message: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What a client says about a job: what only a server says, it may not."""
    return {name: message[name] for name in names if message.get(name)}


@contextmanager
def naming(field: str, spec: str) -> Iterator[None]:
    """What services refuse of a message is told by its place in the request: `field` is the message's, `spec` that of
    the CustomJobSpec in it, wherever they have put it."""
    try:
        yield
    except InputRefused as error:
        found = _IN_SPEC.search(error.place)
        if found:
            error.place = spec + re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", error.place[found.end() :])
        elif not error.place.startswith(field):
            error.place = f"{field}.{error.place}" if error.place else field
        raise


def note_warnings(run: Run, call: Call) -> None:
    """In a header of the answer, for who looks there; they are recorded with the run."""
    if run.warnings:
        text = "; ".join(run.warnings)
        call.notes["x-cairn-warnings"] = text.encode("ascii", "replace").decode().replace("\n", " ")[:2000]
