"""`cairn.run`: a pipeline from Python, run in this process by the engine that the command line uses."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.domain.runs import ImageMapping, Submission
from cairn.domain.runs import Run as RecordedRun
from cairn.errors import InputRefused, RunCancelled
from cairn.sdk.functions import source_name, source_of
from cairn.sdk.results import Run, RunFailed
from cairn.wiring import Cairn, open_cairn

if TYPE_CHECKING:
    from cairn.config.composing import Composed
    from cairn.engine.configuring import ConfiguredRun
    from cairn.engine.loop import Engine
    from cairn.engine.ports import Surroundings
    from cairn.spec.types import Pipeline

TURN_SECONDS = 0.5


def run(
    function_or_path: Any,
    arguments: Mapping[str, Any] | None = None,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    cache: bool | None = None,
    cache_ttl_seconds: int = 0,
    failure_policy: str = "",
    strict: bool = False,
    images: Mapping[str, str] | None = None,
    in_place: bool = False,
    pipeline_root: str = "",
    notify: str = "",
    home: str | os.PathLike[str] | None = None,
    raise_on_failure: bool = True,
    on_line: Callable[[str], None] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    config_name: str = "config",
    config_imports: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Run:
    """Run a pipeline to its end and return it.

    `function_or_path`: a `@dsl.pipeline` or `@dsl.component` of this process, or the path of a .yaml, .json or .py file
    (`file.py:function`). `images` maps patterns to `host` or `project:DIR`, the first match wins. `home` is CAIRN_HOME
    when not given. `on_line` gets a line for each transition. Works in any thread, also where an event loop runs: it
    blocks until the run has ended; in the main thread Ctrl-C cancels the run and is raised when its processes are gone.

    With `config_dir`, Hydra composes `config_name` of that directory with `overrides` as for `cairn run --config-dir`;
    what is given here wins. `function_or_path` may then be a function of one parameter, `cfg` or `config`, too, that
    makes the pipeline of the composed configuration.

    Raises InputRefused (before anything is started), RunFailed unless `raise_on_failure` is false, RunCancelled.
    """
    composed = _composed(config_dir, config_name, config_imports, overrides)
    with open_cairn(os.fspath(home) if home is not None else None) as cairn:
        defaults = cairn.run_settings()
        said = {
            "use_cache": cache,
            "cache_ttl_seconds": cache_ttl_seconds or None,
            "failure_policy": failure_policy or None,
            "strict": strict or None,
            "in_place": in_place or None,
            "notify": notify or None,
        }
        said = {name: value for name, value in said.items() if value is not None}
        given = Submission(
            dict(arguments or {}),
            msgspec.structs.replace(defaults, images=(*_images(images or {}), *defaults.images), **said),
            job_id=name,
            labels=dict(labels or {}),
            source=source_name(function_or_path),
            pipeline_root=pipeline_root,
        )
        source = source_of(function_or_path, cairn)
        if composed is None:
            pipeline, submission = source.pipeline(), given
        else:
            from cairn.engine.configuring import configured_run, looked_up

            meant = configured_run(source, composed, given, defaults=defaults, flags=said)
            _refuse_schedule(meant)
            pipeline, submission = meant.pipeline, looked_up(meant, cairn.lookups)
        accepted = cairn.runs.submit(pipeline, submission)
        _drive(cairn, accepted, pipeline, renewed=False, on_line=on_line)
        found = Run(os.fspath(cairn.home.root), accepted.uid)
    if found.state == "CANCELLED":
        raise RunCancelled(f"run {found.job_id} was cancelled", remedy="Run.resume() goes on with it")
    if raise_on_failure and found.state != "SUCCEEDED":
        raise RunFailed(found)
    return found


def open_run(reference: str, *, home: str | os.PathLike[str] | None = None) -> Run:
    """A recorded run, by uid, the beginning of one, or job id. Raises NotFound."""
    with open_cairn(os.fspath(home) if home is not None else None) as cairn:
        return Run(os.fspath(cairn.home.root), cairn.records.find_run(reference).uid)


def resume(run: Run, function_or_path: Any = None) -> None:
    with open_cairn(run.home) as cairn:
        record = cairn.records.run(run.uid)
        edited = source_of(function_or_path, cairn).pipeline() if function_or_path is not None else None
        if record.state == "SUCCEEDED" and edited is None:
            raise InputRefused(f"run {record.job_id} has succeeded: there is nothing to go on with")
        settings = msgspec.structs.replace(record.settings, detached=False)
        record = msgspec.structs.replace(record, settings=settings)
        pipeline = edited or cairn.runs.pipeline_of(record)
        _drive(cairn, record, pipeline, renewed=record.state.terminal, on_line=None)


def _composed(
    directory: str | os.PathLike[str] | None, name: str, imports: Sequence[str], overrides: Sequence[str]
) -> Composed | None:
    if directory is None:
        if overrides or imports:
            raise InputRefused("there is no configuration to override", place="overrides", remedy="give config_dir")
        return None
    from cairn.config.composing import compose

    return compose(Path(directory), name, overrides, imports=imports)


def _refuse_schedule(meant: ConfiguredRun) -> None:
    if meant.said.schedule is not None:
        raise InputRefused(
            "the configuration says when the pipeline is to run, and this runs it now",
            place="cairn.schedule",
            remedy="`cairn run` makes the schedule; overrides=['cairn.schedule=null'] leaves it out",
        )


def _images(images: Mapping[str, str]) -> tuple[ImageMapping, ...]:
    return tuple(ImageMapping.said(pattern, target) for pattern, target in images.items())


def _drive(
    cairn: Cairn, record: RecordedRun, pipeline: Pipeline, *, renewed: bool, on_line: Callable[[str], None] | None
) -> None:
    cairn.point_steps = at_home
    engine = cairn.engine(_observer(on_line, record.uid))
    try:
        cairn.runs.take(engine, record, renewed=renewed, pipeline=pipeline)
        turn_until_ended(engine, record.uid)
        if record.uid in engine.lost:
            raise engine.lost[record.uid]
    finally:
        engine.close()


def at_home(cairn: Cairn) -> Surroundings | None:
    """For `Cairn.point_steps`."""
    from cairn.api import home_steps  # for runs whose steps have something to ask

    return home_steps.at_home(cairn)


def turn_until_ended(
    engine: Engine, uid: str, *, seconds: float = TURN_SECONDS, between: Callable[[], None] | None = None
) -> None:
    """Until the run has ended. Ctrl-C in the main thread: the first cancels, the second one kills; both wait, and
    KeyboardInterrupt is raised. `between` is called every `seconds` at the least."""
    asked = 0

    def heard(*_: object) -> None:
        nonlocal asked
        asked += 1
        engine.wake()

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, heard) if in_main else None
    answered = 0
    try:
        while uid in engine.machines:
            if asked > answered:
                answered += 1
                engine.cancel(uid, kill=answered > 1)
            engine.turn(seconds)
            if between is not None:
                between()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    if asked:
        raise KeyboardInterrupt


def _observer(on_line: Callable[[str], None] | None, uid: str) -> Any:
    if on_line is None:
        return None

    def committed(run: RecordedRun, batch: Any) -> None:
        for record in batch.tasks if run.uid == uid else ():  # and not of what its steps have started
            if record.kind == "leaf":
                on_line(f"{record.path}  {record.state.lower()}{'  cached' if record.cached else ''}")

    return committed
