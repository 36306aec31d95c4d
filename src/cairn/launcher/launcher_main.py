"""Entry of a warm parent, a script for the step's own interpreter: `PYTHON launcher_main.py FD SOURCE_ROOT RUNTIME`.

FD is the socket to the engine; SOURCE_ROOT the directory that holds the package `cairn`; RUNTIME is 1 to load kfp's
step runtime. Nothing may be imported above `_preload`: what is loaded by then is what each step starts with.
"""

import os
import sys


def _preload():  # type: ignore[no-untyped-def]  # noqa: ANN202 - naming types would import them
    """Import the step runtime as a fresh process would. None when this environment has none, or it fails to load.

    A failure is not reported here: steps then take fresh processes and show it in their own logs.
    """
    output = os.memfd_create("output"), os.memfd_create("errors")
    saved = os.dup(1), os.dup(2)
    os.dup2(output[0], 1)
    os.dup2(output[1], 2)
    try:
        import runpy

        # First, because it imports the packages above: what they print names it, as in a fresh process.
        details = runpy._get_module_details("kfp.dsl.executor_main")  # type: ignore[attr-defined]
        import kfp.dsl.executor_main  # noqa: F401

        del sys.modules["kfp.dsl.executor_main"]
        del sys.modules["kfp.dsl"].executor_main
        _use_argparse()  # type: ignore[no-untyped-call]
        sys.stdout.flush()
        sys.stderr.flush()
        printed = [os.pread(fd, 1 << 16, 0) for fd in output]
    except BaseException:  # noqa: BLE001 - whatever it is, each step meets it again
        return None
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for fd in output + saved:
            os.close(fd)
    return dict(sys.modules), list(sys.path), details, printed[0], printed[1]


def _use_argparse():  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Let it import and compile what it does at its first use, which the runtime makes before the user's code runs."""
    import argparse

    parser = argparse.ArgumentParser(description="")
    parser.add_argument("--required", type=str, required=True, help="")
    parser.parse_known_args(["--required", "", "--unknown", ""])


if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]  # a script has its directory there; a module does not
sys.argv[0] = "-m"
_loaded = _preload() if sys.argv[3] == "1" else None  # type: ignore[no-untyped-call]

import types  # noqa: E402

_package = types.ModuleType("cairn")
_package.__path__ = [os.path.join(sys.argv[2], "cairn")]
sys.modules["cairn"] = _package  # `cairn/__init__.py` belongs to the engine: only `cairn.launcher` is wanted here

from cairn.launcher import runtime, warm_parent  # noqa: E402

_call = warm_parent.serve(int(sys.argv[1]), runtime.Preload(*_loaded) if _loaded else None)
# From here on this is a step's own process. Its code is called from here, so that only one frame of ours is below it.
runtime.prepare(_call)
_error = None
try:
    sys.modules["runpy"]._run_module_as_main(runtime.RUNTIME_MODULE)
except BaseException as _raised:  # noqa: BLE001 - whatever it is, it is the step's end
    _error = _raised
_status = runtime.settle(_error)
runtime.end(_call, _status)
sys.exit(_status)
