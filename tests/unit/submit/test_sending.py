"""A client program is not left behind, whatever ends who waits for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cairn

WAITING = """
import sys
from pathlib import Path
from cairn.submit import sending
from cairn.submit.requests import Request

sending._PROGRAMS = Path(sys.argv[1])
try:
    with sending.sending("client.py", Request({}, "name"), sys.executable, {}) as events:
        for event in events:
            print(event.text, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
CLIENT = """
import json, os, time
print(json.dumps({"event": "note", "text": str(os.getpid())}), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_client_and_leaves_no_file(tmp_path, number):
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "files").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "files"), "PYTHONPATH": str(Path(cairn.__file__).parents[1])},
    )  # fmt: skip
    client = int(process.stdout.readline())
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert list((tmp_path / "files").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(client, 0)


def test_a_client_whose_parent_was_killed_ends_by_itself(tmp_path):
    program = (
        "import os, sys, time\nfrom cairn.submit.clients import telling\n"
        "telling.LONGEST_WAIT = telling.ANSWER_SECONDS = 0.1\n"
        "def work(teller, request):\n    teller.say('note', text=str(os.getpid()))\n    time.sleep(60)\n"
        "telling.main(work, None)\n"
    )
    (tmp_path / "request.json").write_text("{}")
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}, sys.argv[1]])"
    process = subprocess.Popen(
        [sys.executable, "-c", middle, str(tmp_path / "request.json")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cairn.__file__).parents[1])},
    )  # fmt: skip
    client = int(process.stdout.readline().split('"')[-2])
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while Path(f"/proc/{client}/stat").exists() and Path(f"/proc/{client}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.05)
    process.stdout.close()
