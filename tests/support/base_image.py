"""A container image made of this machine: its Python, a shell, the usual small programs. No registry is asked."""

import functools
import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = (
    *("sh", "bash", "env", "true", "false", "cat", "cp", "mv", "rm", "ls", "ln", "mkdir", "mktemp", "chmod", "touch"),
    *("test", "[", "echo", "printf", "pwd", "id", "head", "tail", "yes", "seq", "sleep", "wc", "sort", "tr", "cut"),
    *("date", "dirname", "basename", "readlink", "stat", "tee", "sed", "grep", "find", "xargs", "setsid", "kill"),
)
# What wheels of compiled packages expect of any Linux, and the programs above may not load: PEP 600's list, in short.
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2"),
    *("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
)
LEFT_OUT = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
)
MERGED = ("bin", "sbin", "lib", "lib64", "lib32")
ENVIRONMENT = ("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8")


def tag(programs: Iterable[str] = PROGRAMS) -> str:
    """The image's name: a new one for another Python or another recipe."""
    recipe = Path(__file__).read_bytes() + "\n".join((_python(), *programs)).encode()
    return f"cairn-test-base:{hashlib.sha256(recipe).hexdigest()[:12]}"


def make(engine_socket: str, programs: Iterable[str] = PROGRAMS) -> tuple[str, str]:
    """(name, id) of the image in the engine behind `engine_socket`, made unless it is there."""
    name = tag(programs)
    found = _ask(engine_socket, "GET", f"/images/{name}/json")
    if found is None:
        changes = "&".join(f"changes=ENV%20{variable}" for variable in ENVIRONMENT)
        repository, _, version = name.partition(":")
        path = f"/images/create?fromSrc=-&repo={repository}&tag={version}&{changes}"
        _ask(engine_socket, "POST", path, _tar(programs))
        found = _ask(engine_socket, "GET", f"/images/{name}/json")
    return name, found["Id"]


@functools.cache
def _python() -> str:
    """The system's Python, which is small; else the one that runs the tests."""
    return os.path.realpath(shutil.which("python3", path="/usr/bin") or sys._base_executable)


def _tar(programs: Iterable[str]) -> bytes:
    script = "import sysconfig; print(sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib'))"
    libraries = set(subprocess.check_output([_python(), "-c", script], text=True).split())
    files = {_python(), *filter(None, map(shutil.which, programs)), *_libraries()}
    for library in libraries:
        files.update(_below(library))
    files.update(_needed(files))
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in MERGED:
                if os.path.islink(f"/{name}"):
                    _link(archive, name, os.readlink(f"/{name}"))
            for path in sorted({_merged(path): path for path in files}.items()):
                archive.add(os.path.realpath(path[1]), path[0])
            _link(archive, _merged("/usr/bin/python3"), _python())
            _link(archive, _merged("/usr/bin/python"), _python())
            for directory, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700), ("proc", 0o755)):
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                archive.addfile(entry)
            _text(archive, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
            _text(archive, "etc/group", "root:x:0:\nnogroup:x:65534:\n")
        return buffer.getvalue()


def _merged(path: str) -> str:
    """Where a file lies once the links at the root are followed, without the first slash."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name).lstrip("/")


def _below(library: str) -> set[str]:
    found = set()
    for directory, directories, names in os.walk(library):
        directories[:] = [one for one in directories if one not in LEFT_OUT and not one.startswith("config-")]
        found.update(os.path.join(directory, name) for name in names)
    return found


def _libraries() -> set[str]:
    """Of LIBRARIES, those that this machine has, beside the one that all programs load."""
    libc = next(path for path in _needed({_python()}) if "/libc." in path)
    found = (os.path.join(os.path.dirname(os.path.realpath(libc)), name) for name in LIBRARIES)
    found = {*found, *(os.path.join("/usr/lib", os.path.basename(os.path.dirname(libc)), name) for name in LIBRARIES)}
    return {path for path in found if os.path.exists(path)}


def _needed(files: set[str]) -> set[str]:
    """The shared libraries that programs and extension modules load, with the loader."""
    binaries = [path for path in files if path.endswith(".so") or os.access(path, os.X_OK)]
    told = subprocess.run(["ldd", *binaries], capture_output=True, text=True).stdout
    return {word for line in told.splitlines() for word in line.split() if word.startswith("/") and word[-1] != ":"}


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text.encode()))


def _ask(engine_socket: str, method: str, path: str, body: bytes | None = None) -> dict | None:
    """An answer of the engine; None for 404. Raises AssertionError for its other errors."""
    connection = http.client.HTTPConnection("engine", timeout=120)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine_socket)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status == 404:
        return None
    assert answer.status < 300 and '"error"' not in text, f"{method} {path}: {answer.status} {text}"
    return json.loads(text.splitlines()[-1])
