"""What the engine needs of the world. Adapters implement these; `wiring` joins them.

Threads: the engine's loop is one thread and calls every method from it, except where a docstring says "worker thread".
Errors: adapters raise classes of `cairn.errors` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cairn.domain.artifacts import Artifact, Fingerprint
from cairn.domain.lineage import Context, Event, Execution
from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import AttemptRecord, Exit, JournalEntry, Run, RunSettings, TaskOutputs, TaskRecord
from cairn.domain.values import Spilled
from cairn.spec.types import ContainerSpec, Pipeline

# --- records ---------------------------------------------------------------------------------------------------------


class Fence(msgspec.Struct, frozen=True):
    """The right to write to a run: its uid and the fencing number this engine was given by `claim`."""

    run_uid: str
    number: int


class Lineage(msgspec.Struct, frozen=True):
    """What one committed task adds to the metadata store. Artifacts already recorded (inputs) are not repeated."""

    executions: tuple[Execution, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    events: tuple[Event, ...] = ()
    contexts: tuple[str, ...] = ()  # every execution and artifact above belongs to these
    run_uid: str = ""  # whose executions these are; may be left out when the batch names one fence only


class CacheEntry(msgspec.Struct, frozen=True):
    """A result that later runs may take. `scope` is `project/location/pipeline name`."""

    scope: str
    key: str
    run_uid: str
    path: str
    parts: dict[str, str]
    outputs: TaskOutputs
    create_time: int
    component: str = ""  # the component's name: `why` looks for the nearest earlier result of the same component


class Batch(msgspec.Struct):
    """Everything one commit writes, in one transaction, guarded by every fence it names.

    `starts` are attempts to admit: each is written only if the machine's ledger has room for its resources and its
    run's fair share allows it; the ones that were not are returned by `commit` and nothing of them is written (nor the
    TaskRecord of the same run and path in `tasks`, which belongs to the start).
    An attempt in `attempts` whose state is terminal gives its lease back.
    The journal gets one entry per run, task and attempt written, in the order given here.
    """

    fences: dict[str, Fence] = {}
    runs: list[Run] = []
    tasks: list[TaskRecord] = []
    attempts: list[AttemptRecord] = []
    starts: list[AttemptRecord] = []
    contexts: list[Context] = []
    lineage: list[Lineage] = []
    cache: list[CacheEntry] = []

    def without(self, denied: frozenset[str]) -> Batch:
        """What was written of it (of one run): starts that were denied, and the task records that belong to them, were
        not. Changes it."""
        if denied:
            paths = {record.path for record in self.starts if record.uid in denied}
            self.starts = [record for record in self.starts if record.uid not in denied]
            self.tasks = [record for record in self.tasks if record.path not in paths]
        return self


class Committed(msgspec.Struct, frozen=True):
    sequence: int  # the journal's last number
    denied: frozenset[str] = frozenset()  # uids of `starts` that were not admitted
    devices: dict[str, tuple[int, ...]] = {}  # by uid: indices of the accelerators that an admitted start was given


class Owner(msgspec.Struct, frozen=True):
    """An engine process. Never compared by the wall clock: alive means the same pid, start time and boot."""

    pid: int
    start_ticks: int  # /proc/PID/stat field 22
    boot_id: str
    host: str = ""


class Request(msgspec.Struct, frozen=True):
    """Something another process asks of the engine that runs a run."""

    sequence: int
    run_uid: str
    kind: str  # cancel | kill
    detail: dict[str, Any] = {}


class Journal(Protocol):
    """The write side. Every method is one transaction; when it returns, what it wrote survives a power cut."""

    def create_run(self, run: Run, spec_text: str, contexts: Sequence[Context] = ()) -> Run:
        """Acknowledge a run. The same (project, location, request_id), when not empty, gives back the first one's run.

        Raises InputRefused when job_id is taken in (project, location).
        """

    def add_spec(self, digest: str, text: str) -> None:
        """Keep another pipeline text: what a run is resumed with."""

    def claim(self, run_uid: str, owner: Owner, *, lease_seconds: float) -> Fence:
        """Take a run over: its fence grows by one and `owner` holds the lease.

        Raises InputRefused (naming the holder) when another live engine holds an unexpired lease. A holder whose
        process is gone loses it at once; a stopped one (SIGSTOP) when its lease has expired on the boot-time clock.
        """

    def renew(self, fences: Sequence[Fence], *, lease_seconds: float) -> None:
        """Keep leases alive. Raises FenceLost for a run that was taken over."""

    def release(self, fence: Fence) -> None:
        """Give the lease back; a fence that was lost already is no error."""

    def commit(self, batch: Batch) -> Committed:
        """Write all of `batch` or nothing. Raises FenceLost, RecordsBusy, StorageFull."""

    def request(self, run_uid: str, kind: str, detail: Mapping[str, Any]) -> int:
        """Ask the engine that runs `run_uid` for something; any process may."""

    def requests(self, run_uids: Sequence[str], after: int) -> list[Request]:
        """Requests with a sequence above `after`, oldest first. Cheap enough to ask every 100 ms."""

    def settle(self, run_uid: str, sequence: int) -> None:
        """A request was carried out."""

    def capacity(self) -> Capacity: ...

    def free_dead(self, alive: frozenset[str]) -> int:
        """Drop ledger rows of attempts whose run is not claimed by a live engine and whose waiter is not in `alive`
        (attempt uids); returns how many."""

    def holders(self) -> list[tuple[str, str]]:
        """(attempt uid, attempt directory) of every ledger row whose run no live engine claims."""


class RunRecords(Protocol):
    """The read side that the engine needs for recovery and for caching."""

    def run(self, run_uid: str) -> Run: ...

    def spec_text(self, digest: str) -> str: ...

    def tasks(self, run_uid: str) -> list[TaskRecord]: ...

    def attempts(self, run_uid: str) -> list[AttemptRecord]:
        """All attempts of a run, by path and number."""

    def cached(self, scope: str, keys: Sequence[str], *, not_before: int = 0) -> dict[str, CacheEntry]:
        """The newest entry for each key that has one; entries older than `not_before` are left out."""

    def nearest(self, scope: str, component: str, *, before: int = 0, path: str = "") -> CacheEntry | None:
        """The newest entry of the same component in the scope, older than `before` (microseconds; 0: no bound), the
        newest of the task `path` if it has one: what a miss is explained against."""

    def artifacts_by_uri(self, project: str, location: str, uri: str, schema_title: str) -> list[Artifact]:
        """Live artifacts with this URI, newest first, 100 at most: what an importer without `reimport` chooses from."""

    def journal(self, after: int, *, run_uid: str = "", limit: int = 1000) -> list[JournalEntry]: ...


# --- steps -----------------------------------------------------------------------------------------------------------


class ContainerImage(msgspec.Struct, frozen=True):
    """An image that the container engine of this machine holds."""

    name: str  # as the pipeline says it
    id: str  # "sha256:…" of its configuration: what is started, whatever the name is given to later
    # Put before argv, and all of it is executed in place of what the image says: its ENTRYPOINT where the component
    # names no command, with its CMD where it gives no arguments either.
    entrypoint: tuple[str, ...] = ()
    working_directory: str = ""  # its WORKDIR
    mounts: tuple[tuple[str, str], ...] = ()  # (path the step sees, real path), read-only: a built environment


class Environment(msgspec.Struct, frozen=True):
    """A place where a command can run: a built uv environment, a project snapshot's one, a container image, or this
    machine as it is."""

    key: str  # digest of its lock; the image's id; "host" for the machine as it is; "native" for services of Cairn's
    python: str = ""  # path of its interpreter; "" for none of our concern
    variables: dict[str, str] = {}  # set for the step below its own: PATH, VIRTUAL_ENV
    working_directory: str = ""  # template directory that each attempt gets a linked snapshot of; "" for an empty one
    in_place: bool = False  # the working directory is used itself
    identity: str = ""  # what goes into a cache key: lock digest, project digest, image digest
    warnings: tuple[str, ...] = ()
    image: ContainerImage | None = None  # the command runs in a container of it

    @property
    def executor(self) -> str:
        """The name of the executor that starts what runs here."""
        if self.key == NATIVE:
            return NATIVE
        return "docker" if self.image is not None else "process"


NATIVE = "native"
NATIVE_ENVIRONMENT = Environment(NATIVE)


class LightweightCall(msgspec.Struct, frozen=True):
    """A command of the shape that kfp.dsl compiles for lightweight components, taken apart.

    `source` is the component's Python source; `arguments` what follows it (`--executor_input`, …), placeholders not yet
    resolved. `requirements` is empty when the environment is the image's own.
    """

    source: str
    arguments: tuple[str, ...]


class EnvironmentPlan(msgspec.Struct, frozen=True):
    """How one executor label of a pipeline is going to run: found before the run starts, so that refusal is early."""

    component: str
    environment_spec: Any  # the environments adapter's own; hashable
    call: LightweightCall | None  # None: the command is not of the known shape and is executed as it stands
    warnings: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None  # with no `call`: executed instead of the container's command and args
    executor: str = "process"  # name of the one that will start it


class Environments(Protocol):
    def plan(
        self,
        component: str,
        container: ContainerSpec,
        images: Sequence[tuple[str, str]],
        *,
        executor: str,
        strict: bool,
        in_place: bool,
        pins: Mapping[str, str] = {},
    ) -> EnvironmentPlan:
        """Decide where a container spec runs. `images` wins; where it says nothing, `executor` docker runs it in its
        image. `pins`: `RunSettings.pins`. Raises UnsupportedFeature, naming the remedies, when it cannot."""

    def pins(self, plans: Iterable[EnvironmentPlan]) -> dict[str, str]:
        """What `plan` would have to be given to find the same again: of projects and of images that are here."""

    def pinned_projects(self, images: Sequence[tuple[str, str]]) -> dict[str, str]:
        """The same of every project that is mapped to, whether a plan comes upon it or not. One that cannot be read is
        left out: who uses it is told."""

    def identity(self, plan: EnvironmentPlan) -> str:
        """What a result depends on, as far as it is known before anything is built; "" for the machine as it is."""

    def find(self, plan: EnvironmentPlan) -> Environment | None:
        """The environment when it is ready; milliseconds at most."""

    def build(self, plan: EnvironmentPlan, progress: Any = None) -> Environment:
        """Make it ready (worker thread; other processes building the same one are waited for).

        `progress(line: str)` is called with uv's own lines. Raises EnvironmentBuildError with uv's own words."""


class Foreseen(msgspec.Struct, frozen=True):
    """What native steps are going to start. `pins`: see RunSettings; `whole`: nothing else can need any."""

    warnings: tuple[str, ...] = ()
    pins: dict[str, str] = {}
    whole: bool = True


class NativeWork(Protocol):
    """What is asked of native steps before they run. Nothing of it is imported for a pipeline that has none."""

    def check(self, pipeline: Pipeline, parameters: Mapping[str, Any], settings: RunSettings) -> Foreseen:
        """Whether what they are going to start could run here, as far as it is known. Raises InputRefused."""

    def identity(self, call: NativeCall) -> str:
        """What a result depends on besides the step's inputs: the images and projects of the job that it starts. ""
        where that is not known: then it is not taken from the cache."""


class ProcessSpec(msgspec.Struct, frozen=True):
    """One process of an attempt.

    Exactly one of `argv` and `call_source` is used: `argv` is executed as it stands (fresh process); a lightweight call
    (source + resolved arguments) may be forked from a warm parent.
    """

    argv: tuple[str, ...]
    environment: Environment
    variables: dict[str, str] = {}  # the step's own
    call_source: str = ""
    call_arguments: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # (path the step sees, real path): volumes, secrets, buckets, workspace
    secret_variables: dict[str, str] = {}  # resolved at the step: never recorded, never logged
    replica: str = "main"
    # Paths that a process behind walls has to be shown, under the same names, besides `links`, the attempt's own
    # directory and StartAttempt.create_directories (which it writes to). Links are writable.
    reads: tuple[str, ...] = ()
    shm_bytes: int = 0  # /dev/shm of a container; 0: the executor's default
    resources: Resources | None = None  # of a job's replica: its share of the attempt's


NATIVE_OUTPUTS = "outputs"  # in Run.client: `NativeCall.outputs` of the step that has launched it


class NativeCall(msgspec.Struct, frozen=True):
    """Work that a service of Cairn's does in place of a command (`executors/native`)."""

    kind: str  # what is done: the launcher's `--type`, such as CustomJob
    arguments: tuple[str, ...]  # the launcher's words, placeholders resolved
    project: str
    location: str
    run_uid: str
    task_path: str
    key: str  # the attempt's uid: an engine that comes back adopts the attempt, and what it has created by this
    settings: Any = None  # domain.runs.RunSettings of the run as builtins: what is started for it runs the same way
    variables: dict[str, str] = {}  # what the step's own container sets: meant for what is started
    outputs: tuple[str, ...] = ()  # directories of the step's outputs, which what is started may be told to write


class StartAttempt(msgspec.Struct, frozen=True):
    uid: str
    directory: str  # exists; holds stdout.log, stderr.log, exit.json, waiter.lock, work/, tmp/ afterwards
    processes: tuple[ProcessSpec, ...]
    resources: Resources
    timeout_seconds: float = 0.0  # 0: none
    create_directories: tuple[str, ...] = ()  # made before the command runs: parents of its outputs
    files: tuple[tuple[str, bytes], ...] = ()  # written before the command runs (path, content)
    log_limit_bytes: int = 64 * 1024 * 1024  # of each log file; the rest is cut and marked
    native: NativeCall | None = None  # then `processes` is empty
    chief_decides: bool = False  # the first process's success is the attempt's, and ends the others
    executor: str = "process"  # name of the one that starts it


class AttemptExit(msgspec.Struct, frozen=True):
    uid: str
    exit: Exit


class Executor(Protocol):
    """Where processes run. Returns handles and results; never calls up.

    Exactly-once observation: each attempt that was started or adopted gives one AttemptExit, whose source is the
    `exit.json` that its waiter wrote by rename in this boot, or LOST. After it, no process of the attempt is left.
    """

    name: str

    def fileno(self) -> int:
        """Readable when `collect` has something to give or internal work to do."""

    def can_mount(self, executor: str = "process") -> bool:
        """Whether `ProcessSpec.links` can be honoured here, by the one of that name where there are several."""

    def warm(self, environment: Environment, slots: int) -> None:
        """A hint that `slots` attempts at a time are coming for this environment; returns at once."""

    def start(self, request: StartAttempt) -> None:
        """Begin. Never raises for the step's own faults: those are an AttemptExit with NOT_STARTED."""

    def adopt(self, uid: str, directory: str) -> bool:
        """Take over an attempt that an earlier engine started. False: its waiter is gone and left no exit.json, and
        never will (a waiter that comes late finds the attempt abandoned and starts nothing)."""

    def stop(self, uid: str, *, kill: bool = False) -> None:
        """Ask for an end: SIGTERM to all, SIGKILL after ten seconds (at once with `kill`). The exit still arrives."""

    def collect(self) -> list[AttemptExit]:
        """What has ended since the last call; never blocks."""

    def close(self) -> None:
        """Let go. Attempts still running keep running under their waiters; idle helpers end."""


class StepSurroundings(msgspec.Struct, frozen=True):
    """What a step finds beyond its own: the step's own variables win. Files: (path, content), written for the step."""

    variables: dict[str, str] = {}
    secret_variables: dict[str, str] = {}
    files: tuple[tuple[str, bytes], ...] = ()


class Surroundings(Protocol):
    def of_attempt(self, attempt_uid: str, project: str, directory: str) -> StepSurroundings:
        """What points the clients in a step at the server that hosts this engine; `directory`: the attempt's.

        On the engine's thread, in microseconds. It has no part in a cache key."""

    def close(self) -> None: ...


# --- artifacts -------------------------------------------------------------------------------------------------------


class ArtifactStore(Protocol):
    """Bytes of artifacts. Paths are absolute; URIs are plain paths under the home, `gs://…`, `s3://…` and the like."""

    projects_apart: bool  # a step sees what is its project's alone

    def check(self, uri: str, place: str) -> None:
        """Before a run begins. Raises UnsupportedFeature for a URI in a bucket that the engine does not reach."""

    def path_of(self, uri: str) -> str | None:
        """The local path where a URI's bytes are or will be; None when it has none (https, oci, a real bucket)."""

    def step_path_of(self, uri: str) -> str:
        """The path that a step is told (`/gcs/bucket/x` for `gs://bucket/x`; the URI itself when it is a path)."""

    def fingerprint(self, path: str) -> Fingerprint | None:
        """Read a file or tree once and digest it (xxh3-128); None when there is nothing. Worker thread when large."""

    def unchanged(self, uri: str, fingerprint: Fingerprint, *, full: bool) -> bool:
        """Whether the bytes still are what was recorded: existence, size and stat; the digest too when `full`."""

    def seal(self, path: str) -> None:
        """Make what was published read-only, as far as the platform lets us."""

    def discard(self, path: str) -> None:
        """Remove what a failed attempt left in its output directory; missing is no error.

        Raises HomeError for what cannot be removed, once all else of it is.
        """

    def spill(self, run_uid: str, text: bytes) -> Spilled: ...

    def unspill(self, spilled: Spilled) -> bytes: ...

    def import_uri(self, uri: str) -> Fingerprint | None:
        """Check an importer's URI: scheme allowed, no private address, no escape from a root. Raises InputRefused."""

    def mounts(self, uris: Sequence[str], project: str) -> list[tuple[str, str]]:
        """(path the step sees, real path) for the bucket prefixes (`/gcs`, `/s3`, `/minio`), or where projects are kept
        apart for each bucket of `project`. A bucket that is not there is made, and belongs to `project`."""

    def buckets_of(self, project: str) -> list[tuple[str, str]]:
        """The same of all `gs` buckets that its steps may see."""

    def shows(self, uri: str, project: str) -> bool:
        """Whether a step of `project` may see what is at a URI: False in another project's bucket, where projects are
        kept apart."""

    def holds(self, path: str) -> bool:
        """Whether a path lies in the home's store or buckets, with no link on the way there that a step has made."""


class Secrets(Protocol):
    """The local provider: `HOME/secrets/NAME/KEY` and `HOME/config-maps/NAME/KEY`."""

    def secret(self, name: str) -> Mapping[str, bytes] | None: ...

    def config_map(self, name: str) -> Mapping[str, bytes] | None: ...

    def secret_directory(self, name: str) -> str | None: ...

    def config_map_directory(self, name: str) -> str | None: ...

    def volume_directory(self, name: str) -> str:
        """The local directory that stands for a persistent volume claim; created when absent."""

    def delete_volume(self, name: str) -> None:
        """Remove that directory with all it holds; missing is no error."""
