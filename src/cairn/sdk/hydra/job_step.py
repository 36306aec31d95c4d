"""One job of a Hydra application in the step's own process. Copied beside what `job_payload` has pickled and run from
there by the application's interpreter, so that a recorded run can be resumed whatever has become of Cairn's sources.

    python job_step.py LAUNCH RETURNED OUTPUT REPORT

LAUNCH: the directory of `job_payload`. RETURNED, OUTPUT: where the artifacts go, the pickled JobReturn and a copy of
the job's output directory; REPORT: KFP's executor_output.json. The job's number stands in CAIRN_TASK, `jobs[3]/job`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

PROGRAM, ABOUT, JOBS, RETURNS = "program.pickle", "about.json", "jobs", "returns"
VALUE = "return_value"  # the metric of a job that returns one number
_CLONE = 0x40049409  # FICLONE


def versions() -> dict[str, str]:
    """What a pickle of a job is good for."""
    import cloudpickle
    import hydra
    import omegaconf

    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "hydra-core": hydra.__version__,
        "omegaconf": omegaconf.__version__,
        "cloudpickle": cloudpickle.__version__,
    }


def main(launch: Path, returned: Path, output: Path, report: Path) -> int:
    number = int(os.environ["CAIRN_TASK"].partition("[")[2].partition("]")[0])
    try:
        about = json.loads((launch / ABOUT).read_bytes())
    except OSError as error:
        return _refused(f"{launch / ABOUT}: {error.strerror}: what was to be run is gone")
    sys.path[:] = about["path"]
    sys.argv[:] = about["argv"]
    try:
        os.chdir(about["directory"])
    except OSError as error:
        return _refused(f"{about['directory']}: {error.strerror}: the application was started there")
    here = versions()
    if here != about["versions"]:
        return _refused(f"the job was pickled with {_said(about['versions'])}, and here is {_said(here)}")
    from hydra.core.utils import JobStatus

    place = launch / RETURNS / f"{number}.pickle"
    place.unlink(missing_ok=True)
    result = _run(launch, number, about.get("main", {}))
    failure = _failure(result)
    try:
        whole = pickled(result, failure)
    except TypeError as error:
        result.return_value, result.status = error, JobStatus.FAILED
        failure = f"TypeError: {error}\n"
        whole = pickled(result, failure)
    write_whole(place, whole)
    if failure:
        sys.stderr.write(failure)
        return 1
    shutil.copyfile(place, returned)
    if about["keep"]:
        assert result.hydra_cfg is not None
        copy_tree(Path(result.hydra_cfg.hydra.runtime.output_dir), output)
    found = metrics(result.return_value)
    write_whole(report, json.dumps({"artifacts": {"metrics": {"artifacts": [{"metadata": found}]}}}).encode())
    return 0


def _refused(text: str) -> int:
    sys.stderr.write(f"cairn: {text}\ncairn: start the application again\n")
    return 1


def _said(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def be_main(function: Any, main: dict[str, str]) -> None:
    """Have `__main__` be what the application was started as, `{file, name}`: processes that a job starts look up there
    by name what the script defines, and by multiprocessing's spawn they read it again."""
    import inspect
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    module = ModuleType("__main__")
    wrapped = inspect.unwrap(function) if inspect.isroutine(function) else function
    if getattr(wrapped, "__module__", "") == "__main__":
        module.__dict__.update(getattr(wrapped, "__globals__", {}))
        module.__dict__.setdefault(getattr(wrapped, "__name__", "__main__"), wrapped)
    if main.get("file"):
        module.__file__ = main["file"]
    if main.get("name"):
        module.__spec__ = ModuleSpec(main["name"], None)
    sys.modules["__main__"] = module


def _run(launch: Path, number: int, main: dict[str, str]) -> JobReturn:
    """As Hydra's own launchers do it."""
    import cloudpickle
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton
    from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals

    program = cloudpickle.loads((launch / PROGRAM).read_bytes())
    be_main(program["function"], main)
    config = cloudpickle.loads((launch / JOBS / f"{number}.pickle").read_bytes())
    Singleton.set_state(program["singletons"])
    setup_globals()
    HydraConfig.instance().set_config(config)
    try:
        return run_job(
            hydra_context=program["context"],
            task_function=program["function"],
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except SystemExit as left:
        result = JobReturn(overrides=list(config.hydra.overrides.task), task_name=config.hydra.job.name)
        result.return_value = RuntimeError(f"the job left its interpreter: sys.exit({left.code!r})")
        result.status = JobStatus.FAILED
        return result


def _failure(result: JobReturn) -> str:
    """The traceback of a job that failed, "" of one that did not."""
    from hydra.core.utils import JobStatus

    if result.status is JobStatus.COMPLETED:
        return ""
    error = result._return_value
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return f"the job ended {result.status}\n"


def pickled(result: JobReturn, failure: str) -> bytes:
    """(JobReturn, traceback). An exception that cannot be carried over is told in words; another value is the job's
    failure: raises TypeError."""
    import cloudpickle

    try:
        whole: bytes = cloudpickle.dumps((result, failure))
        cloudpickle.loads(whole)
        return whole
    except Exception as error:
        if not failure:
            raise TypeError(f"what the job returned cannot be pickled: {error}") from error
        told = result._return_value
        result.return_value = RuntimeError(f"{type(told).__name__}: {told}")
        again: bytes = cloudpickle.dumps((result, failure))
        return again


def metrics(value: Any, name: str = "") -> dict[str, float | str]:
    """The numbers in what a job returned: one, a list of them, or mappings of them (`a.b`). Others are left out; NaN
    and infinities, which JSON does not have, are text."""
    if callable(getattr(value, "item", None)):  # numpy's and torch's
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):  # holds more than one
            return {}
    if isinstance(value, (bool, int, float)):
        finite = value == value and value not in (float("inf"), float("-inf"))
        return {name or VALUE: value if finite else str(value)}
    found: dict[str, float | str] = {}
    if hasattr(value, "items"):
        for key, each in value.items():
            found.update(metrics(each, f"{name}.{key}" if name else str(key)))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            found.update(metrics(each, f"{name or VALUE}_{index}"))
    return found


def copy_tree(source: Path, target: Path, *, writable: bool = False) -> None:
    """Files, links and directories, with their times; what is the same there already stays. A file that vanishes
    meanwhile was somebody's temporary one. `writable`: for whom it is copied may write to it, whatever the source says.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        copy = target / entry.name
        try:
            if entry.is_symlink():
                copy.unlink(missing_ok=True)
                copy.symlink_to(os.readlink(entry.path))
            elif entry.is_dir():
                copy_tree(Path(entry.path), copy, writable=writable)
            elif entry.is_file() and not _same(entry.stat(), copy):
                _copy_file(entry.path, copy)
                shutil.copystat(entry.path, copy)
                if writable:
                    copy.chmod(copy.stat().st_mode | 0o600)
        except FileNotFoundError:
            if os.path.lexists(entry.path):
                raise


def _same(status: os.stat_result, copy: Path) -> bool:
    try:
        there = copy.lstat()
    except FileNotFoundError:
        return False
    return (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def _copy_file(source: str, target: Path) -> None:
    """The filesystem's own copy where it has one: checkpoints are large."""
    try:
        import fcntl

        with open(source, "rb") as read, target.open("wb") as written:
            fcntl.ioctl(written.fileno(), _CLONE, read.fileno())
    except (ImportError, OSError):
        shutil.copyfile(source, target)


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:5])))
