"""Lightweight components: forked from a warm parent, and the same in a fresh process."""

import json
import re
from pathlib import Path

import pytest
from tests.integration.process.conftest import output

from cairn.domain.states import ExitReason
from cairn.testing.executors import log, run

FRESH = {"PYTHONUNBUFFERED": ""}  # a start-up variable that changes nothing: the step takes a fresh process


def test_a_step_returns_its_output(executor, components):
    request = components.call("def step(a: int, b: int) -> int:\n    return a + b\n", {"a": 1, "b": 2})
    found = run(executor, request)
    assert (found.reason, found.code) == (ExitReason.EXITED, 0)
    assert output(request) == 3
    assert found.cpu_seconds > 0
    assert found.peak_memory_bytes > 1 << 20


def test_a_plain_step_is_forked_and_one_with_start_up_variables_is_not(executor, components):
    source = "def step() -> str:\n    return open('/proc/self/cmdline').read()\n"
    forked, fresh = components.call(source), components.call(source, variables=FRESH)
    run(executor, forked)
    run(executor, fresh)
    assert "launcher_main" in output(forked)
    assert "launcher_main" not in output(fresh)


def test_steps_share_no_state(executor, components):
    source = """
        def step() -> str:
            import json, os
            seen = getattr(json, 'left_behind', 'clean') + os.environ.get('LEFT_BEHIND', '')
            json.left_behind = 'dirty'
            os.environ['LEFT_BEHIND'] = 'dirty'
            return seen
    """
    for _ in range(3):
        request = components.call(source)
        assert run(executor, request).code == 0
        assert output(request) == "clean"


def test_random_numbers_differ_between_steps(executor, components):
    requests = [
        components.call("def step() -> str:\n    import random, uuid\n    return f'{random.random()}'") for _ in "ab"
    ]
    for request in requests:
        run(executor, request)
    assert output(requests[0]) != output(requests[1])


def test_an_exception_is_the_steps_failure_and_its_traceback_shows_none_of_our_frames(executor, components):
    request = components.call("def step() -> str:\n    raise ValueError('no good')\n")
    found = run(executor, request)
    assert (found.reason, found.code) == (ExitReason.EXITED, 1)
    text = log(request, "stderr")
    assert text.endswith("ValueError: no good\n")
    assert "cairn/launcher" not in text


def test_an_environment_without_the_runtime_says_so_in_the_steps_log(executor, components, kfp_environment, tmp_path):
    import subprocess
    import sys

    import msgspec

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = msgspec.structs.replace(kfp_environment, key="bare", python=str(tmp_path / "bare/bin/python"))
    request = components.call("def step() -> str:\n    return ''\n", environment=bare)
    assert run(executor, request).code == 1
    assert "No module named" in log(request, "stderr")


def test_an_interpreter_that_is_gone_is_named(executor, components, kfp_environment):
    import msgspec

    gone = msgspec.structs.replace(kfp_environment, key="gone", python="/nowhere/bin/python")
    found = run(executor, components.call("def step() -> str:\n    return ''\n", environment=gone))
    assert found.reason is ExitReason.NOT_STARTED
    assert "/nowhere/bin/python" in found.message


def test_an_interpreter_that_fails_to_start_is_reported_in_its_own_words(
    executor, components, kfp_environment, tmp_path
):
    import msgspec

    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho the library is missing >&2\nexit 4\n")
    broken.chmod(0o755)
    environment = msgspec.structs.replace(kfp_environment, key="broken", python=str(broken))
    for _ in range(2):
        found = run(executor, components.call("def step() -> str:\n    return ''\n", environment=environment))
        assert found.reason is ExitReason.NOT_STARTED
        assert "the library is missing" in found.message


# Each source is run both ways; everything it leaves must be the same.
OBSERVED = {
    "process": """
        def step() -> dict:
            import os, sys, signal, gc, threading
            main = sys.modules['__main__']
            return {
                'argv': sys.argv[0], 'arguments': len(sys.argv), 'orig_argv': getattr(sys, 'orig_argv', [])[1:3],
                'executable': sys.executable, 'prefix': sys.prefix, 'flags': str(sys.flags), 'path': sys.path,
                'base': getattr(sys, '_base_executable', ''), 'xoptions': str(sys._xoptions), 'warn': sys.warnoptions,
                'cwd': os.getcwd(), 'environ': dict(os.environ), 'umask': oct(os.umask(0o22)),
                'leader': os.getpid() == os.getsid(0) == os.getpgrp(), 'nice': os.nice(0),
                'main': sorted(k for k in vars(main)), 'main_spec': str(main.__spec__), 'main_file': main.__file__,
                'main_package': main.__package__, 'main_annotations': str(vars(main).get('__annotations__', 0)),
                'modules': sorted(sys.modules), 'meta_path': [str(m) for m in sys.meta_path],
                'signals': {n.name: str(signal.getsignal(n)) for n in signal.valid_signals() if hasattr(n, 'name')},
                'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
                'descriptors': sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3],
                'open': len(os.listdir('/proc/self/fd')),
                'streams': [repr(s) for s in (sys.stdin, sys.stdout, sys.stderr)],
                'buffering': [s.line_buffering for s in (sys.stdin, sys.stdout, sys.stderr)],
                'stdin': os.readlink('/proc/self/fd/0'), 'stdout': os.readlink('/proc/self/fd/1').split(':')[0],
                'threads': threading.active_count(), 'thread': threading.current_thread().name, 'gc': gc.isenabled(),
                'threshold': gc.get_threshold(), 'callbacks': len(gc.callbacks), 'recursion': sys.getrecursionlimit(),
                'hooks': [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
                'trace': [sys.gettrace(), sys.getprofile()], 'tid': threading.get_native_id() == os.getpid(),
                'kfp': sorted(dir(sys.modules['kfp'])), 'dsl': sorted(dir(sys.modules['kfp.dsl'])),
            }
    """,
    "logging": """
        def step() -> list:
            import logging, warnings
            logging.getLogger('x').info('informed')
            logging.warning('warned')
            warnings.warn('careful')
            root = logging.getLogger()
            return [root.level, [str(h) for h in root.handlers], str(warnings.filters)]
    """,
    "order": """
        def step() -> str:
            import os, subprocess, sys
            print('buffered')
            os.write(1, b'raw')
            subprocess.run(['echo', 'from a child'])
            print('error', file=sys.stderr)
            sys.stdout.write('no newline at the end')
            return ''
    """,
    "exception": "def step() -> str:\n    def deep():\n        raise KeyError('x')\n    try:\n        deep()\n"
    "    except KeyError as e:\n        raise RuntimeError('second') from e\n",
    "broken source": "def step() -> str:\n    return (\n",
    "wrong return": "def step() -> int:\n    return 'text'\n",
    "exit 3": "def step() -> str:\n    import sys\n    sys.exit(3)\n",
    "exit 300": "def step() -> str:\n    import sys\n    sys.exit(300)\n",
    "exit -1": "def step() -> str:\n    import sys\n    sys.exit(-1)\n",
    "exit none": "def step() -> str:\n    import sys\n    print('x', end='')\n    sys.exit()\n",
    "exit message": "def step() -> str:\n    import sys\n    print('first')\n    sys.exit('a message')\n",
    "exit hard": "def step() -> str:\n    import os\n    print('lost')\n    os._exit(5)\n",
    "abort": "def step() -> str:\n    import os\n    print('lost')\n    os.abort()\n",
    "interrupt": "def step() -> str:\n    import os, signal\n    os.kill(os.getpid(), signal.SIGINT)\n    return ''\n",
    "keyboard": "def step() -> str:\n    raise KeyboardInterrupt\n",
    "terminated": "def step() -> str:\n    import os\n    os.kill(os.getpid(), 15)\n    return ''\n",
    "pipe closed": """
        def step() -> str:
            import os
            reader, writer = os.pipe()
            os.close(reader)
            os.write(writer, b'x')
            return ''
    """,
    "at exit": """
        import atexit
        def step() -> str:
            import threading, time
            atexit.register(lambda: print('at exit'))
            threading.Thread(target=lambda: (time.sleep(0.05), print('thread done'))).start()
            return ''
    """,
    "failing exit handler": """
        def step() -> str:
            import atexit
            def bad(): raise ValueError('in the handler')
            atexit.register(bad)
            return ''
    """,
    "left open": """
        kept = open('left-open.txt', 'w')
        kept.write('unflushed')
        class Last:
            def __del__(self): print('collected')
        last = Last()
        def step() -> str:
            global cycle
            cycle = [Last()]
            cycle.append(cycle)
            return ''
    """,
    "excepthook": """
        def step() -> str:
            import sys
            sys.excepthook = lambda kind, value, trace: print('hooked', kind, trace.tb_frame.f_code.co_name)
            raise ValueError
    """,
    "broken excepthook": """
        def step() -> str:
            import sys
            def broken(*_): raise TypeError('hook')
            sys.excepthook = broken
            raise ValueError('original')
    """,
    "closed stdout": "def step() -> str:\n    import sys\n    print('x')\n    sys.stdout.close()\n    return ''\n",
    "full library": "def step() -> str:\n    import sqlite3, ctypes, ssl, decimal\n    print('used')\n    return ''\n",
    "multiprocessing": """
        def step() -> list:
            import multiprocessing
            with multiprocessing.get_context('fork').Pool(2) as pool:
                return sorted(pool.map(abs, [-1, -2, -3]))
    """,
    "spawn": """
        def step() -> list:
            import multiprocessing
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                return sorted(pool.map(abs, [-1, -2]))
    """,
    "forkserver": """
        def step() -> list:
            import concurrent.futures, multiprocessing
            context = multiprocessing.get_context('forkserver')
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                return list(pool.map(abs, [-1, -2]))
    """,
    "temporary": """
        def step() -> bool:
            import os, tempfile
            return tempfile.gettempdir() == os.environ['TMPDIR'] and os.path.isdir(tempfile.mkdtemp())
    """,
    "source": "def step() -> str:\n    import inspect\n    return inspect.getsource(step)\n",
    "unicode": """
        def step(text: str) -> str:
            print('größe ☃', text)
            return text + '\\udcff'.encode('utf-8', 'surrogateescape').decode('latin-1')
    """,
}


@pytest.mark.parametrize("name", OBSERVED)
def test_a_forked_step_cannot_be_told_from_a_fresh_process(executor, components, name):
    inputs = {"text": "ü"} if name == "unicode" else {}
    observed = []
    for variables in ({}, FRESH):
        request = components.call(OBSERVED[name], inputs, variables=variables)
        found = run(executor, request)
        observed.append(observation(request, found))
    forked, fresh = observed
    assert forked == fresh


def observation(request, found):
    """All a step leaves behind, with what differs between any two attempts taken out."""
    seen = {"reason": found.reason, "code": found.code, "signal": found.signal}
    roots = sorted([Path(request.directory), *map(Path, request.create_directories)])
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in ("exit.json", "waiter.lock", "order.log"):
                seen[path.relative_to(root).as_posix()] = _normal(path.read_text(errors="surrogateescape"), request)
    if "executor_output.json" in seen:
        seen["executor_output.json"] = json.loads(seen["executor_output.json"])
        value = seen["executor_output.json"]["parameterValues"].get("Output")
        if isinstance(value, str) and value.startswith("{"):
            value = json.loads(value)
        if isinstance(value, dict):
            value.get("environ", {}).pop("PYTHONUNBUFFERED", None)
            seen["executor_output.json"] = value
    return seen


def _normal(text, request):
    text = text.replace(request.directory, "ATTEMPT").replace(request.uid, "UID")
    text = text.replace(request.create_directories[0], "OUTPUTS")
    text = re.sub(r' *File "[^"]*launcher_main.py", line \d+, in <module>\n.*\n', "", text)  # in printed stacks only
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+", "TIME", text)
    return re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
