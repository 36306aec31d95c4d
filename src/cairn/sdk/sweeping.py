"""`cairn.sweep`: a run for each combination, from Python, as `cairn run -m` makes them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cairn.domain.ids import random_uid
from cairn.domain.runs import ImageMapping, Submission
from cairn.errors import RunCancelled
from cairn.sdk.functions import source_name, source_of
from cairn.sdk.results import Run
from cairn.sdk.running import at_home
from cairn.sweeps.types import Job, SweepState
from cairn.sweeps.types import Sweep as RecordedSweep
from cairn.wiring import Cairn, open_cairn

if TYPE_CHECKING:
    from cairn.config.composing import Composer
    from cairn.domain.runs import Run as RecordedRun
    from cairn.engine.configuring import Source
    from cairn.engine.loop import Engine

OnLine = Callable[[str], None]


def sweep(
    function_or_path: Any,
    arguments: Mapping[str, Any] | None = None,
    *,
    config_dir: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    config_name: str = "config",
    config_imports: Sequence[str] = (),
    name: str = "",
    labels: Mapping[str, str] | None = None,
    cache: bool | None = None,
    images: Mapping[str, str] | None = None,
    in_place: bool = False,
    home: str | os.PathLike[str] | None = None,
    on_line: OnLine | None = None,
) -> Sweep:
    """Run a pipeline once for every combination of `overrides`, to the end, and return the sweep.

    All is as for `cairn.run` with `config_dir` and for `cairn run -m`; `arguments` are the same for every run. A sweep
    with failed jobs is returned too: see its `state`. `on_line` gets a line for each job that ends, and warnings. In
    the main thread Ctrl-C cancels the sweep and is raised when its processes are gone;
    `cairn.sdk.open_sweep().resume()` goes on with it.

    Raises InputRefused before anything is started, RunCancelled where it was cancelled from elsewhere.
    """
    from cairn.config.composing import Composer
    from cairn.sweeps.files import file_digests

    with open_cairn(os.fspath(home) if home is not None else None) as cairn:
        defaults = cairn.run_settings()
        mapped = tuple(ImageMapping.said(pattern, target) for pattern, target in (images or {}).items())
        wanted = {"use_cache": cache, "in_place": in_place or None}
        said = {name: value for name, value in wanted.items() if value is not None}
        given = Submission(
            dict(arguments or {}),
            replace(defaults, images=(*mapped, *defaults.images), **said),
            labels=dict(labels or {}),
            source=source_name(function_or_path),
        )
        with Composer(Path(config_dir), config_name, imports=config_imports) as composer:
            made = RecordedSweep(
                id=random_uid(),
                name=name,
                directory=composer.directory,
                config_name=config_name,
                overrides=tuple(overrides),
                imports=tuple(config_imports),
                files=file_digests(composer.directory, config_imports),
                submission=given,
                flags=tuple(said),
            )
            cairn.sweeps.tidy()
            with cairn.sweeps.beginning(made.id):
                _drive(cairn, made, composer, source_of(function_or_path, cairn), on_line)
        return Sweep(os.fspath(cairn.home.root), made.id)


def open_sweep(reference: str = "latest", *, home: str | os.PathLike[str] | None = None) -> Sweep:
    """A recorded sweep, by id, the beginning of one, name, or `latest`. Raises NotFound."""
    with open_cairn(os.fspath(home) if home is not None else None) as cairn:
        return Sweep(os.fspath(cairn.home.root), cairn.sweeps.find(reference).id)


def _drive(
    cairn: Cairn,
    made: RecordedSweep,
    composer: Composer,
    source: Source,
    on_line: OnLine | None,
    *,
    resumed: bool = False,
    retry_failed: bool = False,
    force: bool = False,
) -> None:
    from cairn.sweeps.deciding import Decider
    from cairn.sweeps.jobs import JobConfigurer
    from cairn.sweeps.running import SweepRunner, drive

    decider = Decider(composer, made.overrides, cairn.sweeps.directory(made.id))
    said = decider.configuration()
    seed = decider.seed(made.seed or int(made.id[:7], 16))
    if resumed:
        made = cairn.sweeps.change(made, state=SweepState.RUNNING, error="", end_time=0)
    else:
        made = replace(made, configuration=said, sweeper=decider.sweeper_name, seed=seed)
    configurer = JobConfigurer(made, source, defaults=cairn.run_settings(), artifact=cairn.lookups.artifact)
    cairn.point_steps = at_home
    engine = cairn.engine()
    try:
        with _interrupts(engine) as count:
            runner = SweepRunner(
                cairn.sweeps, cairn.runs, engine, decider, made, configurer, cairn.lookups.experiment,
                _Lines(on_line), resumed=resumed, interrupts=count,
                retry_failed=retry_failed, on_mismatch="start" if force or retry_failed else "refuse",
            )  # fmt: skip
            try:
                drive(runner)
            except RunCancelled:
                if count():
                    raise KeyboardInterrupt from None
                raise
    finally:
        engine.close()


@contextmanager
def _interrupts(engine: Engine) -> Iterator[Callable[[], int]]:
    """How often Ctrl-C was pressed, in the main thread."""
    asked = 0

    def heard(*_: object) -> None:
        nonlocal asked
        asked += 1
        engine.wake()

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, heard) if in_main else None
    try:
        yield lambda: asked
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)


class _Lines:
    """A sweep's Watcher that hands lines on."""

    interval = 0.0

    def __init__(self, on_line: OnLine | None) -> None:
        self.say: OnLine = on_line or (lambda _: None)

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}")

    def ended(
        self,
        number: int,
        overrides: Sequence[str],
        run: RecordedRun | None,
        metrics: Sequence[float | None],
        reason: str,
    ) -> None:
        told = reason or (run.error.message if run is not None and run.error is not None else "")
        values = " ".join(str(value) for value in metrics if value is not None)
        state = run.state.lower() if run is not None else "not started"
        self.say("  ".join(filter(None, (f"#{number}", " ".join(overrides), state, values, told))))

    def recorded(self, sweep: RecordedSweep) -> None:
        self.say(f"sweep {sweep.name} ({sweep.id[:8]})")

    def taken(self, count: int, failed: int) -> None:  # noqa: ARG002
        self.say(f"{count} jobs ended before")

    def planned(self, total: int) -> None: ...

    def composing(self, done: int, total: int) -> None: ...

    def started(self, number: int, overrides: Sequence[str], run: RecordedRun) -> None: ...

    def tick(self) -> None: ...


class Sweep:
    """A recorded sweep. Everything is read when it is asked for. `home` is the home's directory; `id` a UUID."""

    def __init__(self, home: str, id_: str) -> None:
        self.home = home
        self.id = id_
        self._record()

    @property
    def name(self) -> str:
        return self._record().name

    @property
    def state(self) -> str:
        """RUNNING, CANCELLING, SUCCEEDED (every job has), FAILED or CANCELLED."""
        return str(self._record().state)

    @property
    def error(self) -> str:
        """Why it did not go on; "" when it ran all of its jobs."""
        return self._record().error

    @property
    def metrics(self) -> tuple[str, ...]:
        """What runs are ranked by: `cairn.sweep.metric`."""
        return self._record().configuration.metric

    @property
    def jobs(self) -> list[Job]:
        """The best first, unranked ones last by their numbers."""
        from cairn.sweeps.ranking import ranked_jobs

        with open_cairn(self.home) as cairn:
            return ranked_jobs(cairn.sweeps, cairn.runs, cairn.sweeps.get(self.id))

    @property
    def runs(self) -> list[Run]:
        """In the order of `jobs`."""
        return [Run(self.home, job.run_id) for job in self.jobs]

    @property
    def best(self) -> Run | None:
        """The first in rank; None where nothing has a metric. Of several objectives see each job's `best`."""
        return next((Run(self.home, job.run_id) for job in self.jobs if job.rank == 1), None)

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each run, what `cairn sweeps show` shows: `pandas.DataFrame(sweep.table)`. Values of swept keys are
        the text of their overrides."""
        record = self._record()
        return [
            {
                "run": job.run_id,
                "job": job.number,
                "rank": job.rank or None,
                **dict.fromkeys(record.configuration.metric),
                **dict(zip(record.configuration.metric, job.metrics, strict=False)),
                **{key: job.overrides.get(key, "") for key in record.keys},
                "state": job.state,
                "seconds": job.seconds,
                "cached": f"{job.cached}/{job.steps}",
            }
            for job in self.jobs
        ]

    def resume(
        self,
        function_or_path: Any = None,
        *,
        retry_failed: bool = False,
        force: bool = False,
        on_line: OnLine | None = None,
    ) -> Sweep:
        """Go on with it, as `cairn sweeps resume` does. `function_or_path` is needed only where a function of this
        process makes the pipeline of each job's configuration. Raises WrongState, Conflict."""
        from cairn.config.composing import Composer
        from cairn.sweeps.files import changed_since
        from cairn.sweeps.jobs import RecordedSource
        from cairn.sweeps.service import refuse_ended

        with open_cairn(self.home) as cairn, cairn.sweeps.held(self.id):
            record = cairn.sweeps.get(self.id)
            refuse_ended(record, retry_failed=retry_failed)
            told = changed_since(record, force=force)
            if told and on_line is not None:
                on_line(f"warning: {told}")
            source: Source
            if record.compiled_for_jobs:
                source = source_of(function_or_path or record.submission.source, cairn)
            else:
                source = RecordedSource(record, cairn.sweeps.definition(record))
            with Composer(Path(record.directory), record.config_name, imports=record.imports) as composer:
                _drive(cairn, record, composer, source, on_line, resumed=True, retry_failed=retry_failed, force=force)
        return self

    def __repr__(self) -> str:
        return f"Sweep({self.name!r}, {self.state})"

    def _repr_html_(self) -> str:
        from cairn.sdk.html import sweep_html

        return sweep_html(self)

    def _record(self) -> RecordedSweep:
        with open_cairn(self.home) as cairn:
            return cairn.sweeps.get(self.id)
