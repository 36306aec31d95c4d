"""The step runtime of kfp, as it is preloaded, and as a forked step runs it: like `python -m kfp.dsl.executor_main`.

`launcher_main` fills a Preload before anything of ours is imported, so that it knows what a fresh process would have.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import os
import signal
import sys
import types
from typing import Any, Dict, List, Optional, Sequence, Tuple

RUNTIME_MODULE = "kfp.dsl.executor_main"
# Modules whose C state wants the interpreter's own end, although they belong to the standard library.
_FULL_END = frozenset({"_ctypes", "_sqlite3", "_tkinter", "readline", "_curses", "_dbm", "_gdbm"})


class Preload:
    """What a fresh interpreter holds once it has imported the runtime.

    `modules` is sys.modules then; `details` what runpy found (name, spec, code) for `-m`; `output` and `errors` what
    the imports printed (a warning for old Pythons): each step's log gets it, as from a fresh process.
    """

    def __init__(
        self, modules: Dict[str, Any], path: List[str], details: Tuple[Any, ...], output: bytes, errors: bytes
    ) -> None:
        self.modules = modules
        self._ours: List[str] = []
        self._size = 0
        self.path = path
        self.details = details
        self.output = output
        self.errors = errors

    def own_modules(self) -> List[str]:
        """Names in sys.modules that a fresh process would not have.

        Found anew only after an import: in a forked process each look touches a page of memory, and so copies it.
        """
        if len(sys.modules) != self._size:
            self._ours = [name for name in sys.modules if name not in self.modules]
            self._size = len(sys.modules)
        return self._ours


class Call:
    """A lightweight component to run in this process, which is the step's own and already looks like one."""

    def __init__(self, preload: Preload, module_path: str, arguments: Sequence[str]) -> None:
        self.preload = preload
        self.module_path = module_path
        self.arguments = command_arguments(module_path, arguments)


def command_arguments(module_path: str, arguments: Sequence[str]) -> List[str]:
    """What follows `python -m kfp.dsl.executor_main` in the command that kfp compiles."""
    return ["--component_module_path", module_path, *arguments]


def prepare(call: Call) -> None:
    """After `become_main`: make this process look like `python -m kfp.dsl.executor_main` before its first line, and let
    runpy take the code that it has found already."""
    _take_arguments(call)
    import runpy

    original = runpy._get_module_details  # type: ignore[attr-defined]

    def found_already(*_: Any) -> Any:
        runpy._get_module_details = original  # type: ignore[attr-defined]
        return call.preload.details

    runpy._get_module_details = found_already  # type: ignore[attr-defined]


def settle(error: Optional[BaseException]) -> int:
    """The exit status after the user's code ended with `error`; what the interpreter would print is printed.

    Our frame, the first one, is cut off the traceback.
    """
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return _exit_status(error)
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    _report(error)
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def end(call: Call, status: int) -> None:
    """End the process as the interpreter would. Returns when only the interpreter itself can do that in full.

    A forked child that tears the whole interpreter down touches, and so copies, every page it shares with its parent:
    five times the cost of the fork. So the parts a step can notice are done one by one: threads joined, exit handlers
    run, its modules cleared and collected, streams flushed.
    """
    added = [name for name in sys.modules if name not in call.preload.modules]
    if status != -signal.SIGINT and not all(_ends_simply(sys.modules[name], call.module_path) for name in added):
        return
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    try:
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - it was printed; before 3.10 it is raised as well, and the interpreter drops it
        pass
    status = _flush(status)
    _clear(added)
    gc.collect()
    status = _flush(status)
    if status == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


def become_main(preload: Preload) -> None:
    """Put away what a fresh interpreter would not have: our modules, our `__main__`."""
    for name in preload.own_modules():
        del sys.modules[name]
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins)
    if sys.version_info < (3, 14):
        main.__dict__.setdefault("__annotations__", {})
    sys.modules["__main__"] = main
    gc.enable()


def _take_arguments(call: Call) -> None:
    preload = call.preload
    sys.path[:] = [os.getcwd(), *preload.path]
    sys.argv[:] = ["-m", *call.arguments]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.orig_argv[0], "-m", RUNTIME_MODULE, *call.arguments]
    _restart_clocks()
    for stream, text in ((sys.stdout, preload.output), (sys.stderr, preload.errors)):
        if text:
            stream.write(text.decode(stream.encoding, "replace"))


def _restart_clocks() -> None:
    """What a module took from the process's start must come from this process's."""
    logging = sys.modules.get("logging")
    if logging is not None:
        import time

        whole = isinstance(getattr(logging, "_startTime", 0.0), int)
        logging._startTime = time.time_ns() if whole else time.time()  # type: ignore[attr-defined]


def _report(error: BaseException) -> None:
    """Print an uncaught exception as the interpreter does, beginning with runpy's own first frame."""
    trace = error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    broken: Optional[BaseException] = None
    try:
        sys.excepthook(type(error), error, trace)
    except BaseException as hook_error:  # noqa: BLE001 - a broken hook of the step's own
        broken = hook_error
    if broken is not None and not isinstance(broken, SystemExit):
        print("Error in sys.excepthook:", file=sys.stderr)
        below = broken.__traceback__.tb_next if broken.__traceback__ is not None else None
        sys.__excepthook__(type(broken), broken.with_traceback(below), below)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, trace)


def _exit_status(end: SystemExit) -> int:
    code = end.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _ends_simply(module: Any, module_path: str) -> bool:
    """Whether nothing but the interpreter's memory hangs on a module: the component itself, or standard library."""
    name = getattr(module, "__name__", "")
    if name in ("__main__", "__mp_main__"):
        return True
    if name in _FULL_END:
        return False
    spec = getattr(module, "__spec__", None)
    origin: Optional[str] = getattr(spec, "origin", None)
    if origin in ("built-in", "frozen"):
        return True
    library = os.path.dirname(os.__file__) + os.sep
    return origin == module_path or (
        origin is not None and origin.startswith(library) and "-packages" not in origin[len(library) :]
    )


def _clear(added: Sequence[str]) -> None:
    """Drop the modules that the step brought, newest first, as the interpreter does: private names, then the rest."""
    modules = [sys.modules.pop(name) for name in reversed(added)]
    main = sys.modules.pop("__main__", None)
    if main is not None:
        modules.append(main)
    for module in modules:
        names = getattr(module, "__dict__", {})
        for private in (True, False):
            for key in list(names):
                is_private = key.startswith("_") and not key.startswith("__")
                if is_private == private and key != "__builtins__":
                    names[key] = None


def _flush(status: int) -> int:
    ok = _flush_stream(sys.stdout)
    _flush_stream(sys.stderr)
    return status if ok else 120


def _flush_stream(stream: Any) -> bool:
    if stream is None or getattr(stream, "closed", False):
        return True
    try:
        stream.flush()
    except Exception as error:  # noqa: BLE001 - reported as the interpreter reports it
        print(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}", file=sys.__stderr__)
        return False
    return True
