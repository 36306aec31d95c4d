"""Lightweight components as kfp compiles them, and what can be observed of a step."""

import json
import re
import textwrap
from pathlib import Path

from cairn.testing.executors import Attempts

FRESH = {"PYTHONUNBUFFERED": ""}  # a start-up variable that changes nothing: the step takes a fresh process
PRELUDE = "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


class Components(Attempts):
    """`call(source)` makes an attempt of the function `step` in `source`, as kfp compiles it."""

    def call(self, source, inputs=None, **fields):
        directory = self.root / f"outputs-{len(list(self.root.iterdir()))}"
        executor_input = {
            "inputs": {"parameterValues": inputs or {}},
            "outputs": {
                "parameters": {"Output": {"outputFile": str(directory / "Output")}},
                "outputFile": str(directory / "executor_output.json"),
            },
        }
        arguments = ("--executor_input", json.dumps(executor_input), "--function_to_execute", "step")
        return self.command(
            call_source=PRELUDE + textwrap.dedent(source),
            call_arguments=arguments,
            create_directories=(str(directory),),
            **fields,
        )


def output(request):
    """What the step returned."""
    text = Path(request.create_directories[0], "executor_output.json").read_text()
    return json.loads(text)["parameterValues"]["Output"]


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
