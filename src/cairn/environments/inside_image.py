"""What runs in a container of an image, on the image's own Python: finding what its packages lack, and adding it.

`python3 -I -c THIS REQUEST`. The answer is one line of JSON on standard output; uv's words go to standard error.
Standard library only, Python 3.7 and newer; it may import nothing of ours.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys
import threading
from typing import Any

# ` + kfp==2.17.0`, ` + six @ https://…`, in older versions of uv ` + six==1.17.0 (from https://…)`
_PLANNED = re.compile(r" [+~] (?P<name>[^\s=]+)(?:==(?P<version>\S+))?(?: @ (?P<url>\S+)| \(from (?P<source>\S+)\))?$")
_UV: dict[str, int] = {}  # the process of uv that runs


class Failed(Exception):
    pass


def main() -> int:
    request = json.loads(sys.argv[1])
    end_with(request["lock"])
    os.environ["UV_CACHE_DIR"] = cache_directory(request["libc"], request["cache"], request["other_caches"])
    try:
        answer = resolve(request) if request["what"] == "resolve" else install(request)
    except Failed:
        return 1
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def end_with(lock: str) -> None:
    """End when whoever has started this has ended: until then it holds the lock."""

    def wait() -> None:
        descriptor = os.open(lock, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for process in list(_UV.values()):
            os.kill(process, 9)
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def cache_directory(libc: list[str], same: str, others: str) -> str:
    """uv keeps what it has built by the version of Python only: where the C library is another one than the machine's,
    it has a cache of its own."""
    own = list(platform.libc_ver())
    if own == libc:
        return same
    name = "-".join(filter(None, own)) or ("musl" if glob.glob("/lib/ld-musl-*") else "other")
    return os.path.join(others, name)


def resolve(request: dict[str, Any]) -> dict[str, str]:
    """The lock of what the image lacks: a requirements file with hashes."""
    options = request["index"] + request["resolution"]
    file = request["file"]
    if file.endswith("/uv.lock"):
        return {"lock": exported(request, os.path.dirname(file)), "python": version()}
    if file:
        return {"lock": locked(request, lacking(request, ["-r", file], options)), "python": version()}
    bare = lacking(request, named(request["bare"]), ["--no-deps", *options]) if request["bare"] else {}
    packages: dict[str, str] = {}
    if request["packages"]:
        wanted = named(request["packages"])
        pins = "".join(f"{line}\n" for line in bare.values() if "==" in line)
        write("/tmp/pins.txt", pins)
        try:
            # What is there already counts for pip: a package that needs kfp is content with the kfp that is pinned.
            packages = lacking(
                request, request["packages"], ["--constraints", "/tmp/pins.txt", *options], told=not pins
            )
        except Failed:
            if not pins:
                raise
            # Nor would pip mind a misfit: what is installed without dependencies is not asked whether it fits.
            packages = lacking(request, wanted, options)
    return {"lock": locked(request, {**packages, **bare}), "python": version()}


def exported(request: dict[str, Any], project: str) -> str:
    """What a uv.lock pins, taken as it is."""
    form = ["--quiet", "--no-header", "--no-annotate", "--format", "requirements.txt"]
    selection = ["--frozen", "--no-default-groups", "--no-emit-workspace", "--python", sys.executable]
    return uv(request, ["export", *form, *selection, "--project", project])


def named(packages: list[str]) -> list[str]:
    write("/tmp/requirements.txt", "".join(f"{each}\n" for each in packages))
    return ["-r", "/tmp/requirements.txt"]


def lacking(request: dict[str, Any], wanted: list[str], options: list[str], *, told: bool = True) -> dict[str, str]:
    """Name → pin of each package that pip would install beside what the image holds."""
    flags = ["--dry-run", "--break-system-packages", "--python", sys.executable, *wanted]
    found: dict[str, str] = {}
    for line in uv(request, ["pip", "install", *flags, *options], words=True, told=told).splitlines():
        plan = _PLANNED.match(line)
        if plan:
            place = plan["url"] or plan["source"]
            pin = f"{plan['name']} @ {place}" if place else f"{plan['name']}=={plan['version']}"
            found[re.sub(r"[-_.]+", "-", plan["name"]).lower()] = pin
    return found


def locked(request: dict[str, Any], pins: dict[str, str]) -> str:
    """With hashes, which later installations are held to."""
    lines = "".join(f"{pins[name]}\n" for name in sorted(pins))
    form = ["--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--no-deps", "--python", sys.executable]
    return uv(request, ["pip", "compile", *form, *request["index"], "-"], given=lines) if lines else ""


def install(request: dict[str, Any]) -> dict[str, str]:
    """A virtual environment that sees the image's packages behind its own."""
    place = request["environment"]
    uv(request, ["venv", "--quiet", "--no-project", "--allow-existing", "--python", sys.executable, place])
    for directory in glob.glob(f"{place}/lib/*/site-packages"):
        # Not `--system-site-packages`: where the image's python3 is one of a virtual environment, those are others.
        line = f"import site; list(map(site.addsitedir, {site.getsitepackages()!r}))\n"
        write(f"{directory}/image_packages.pth", line)
    if os.path.getsize(request["requirements"]):
        flags = ["--no-deps", "--python", f"{place}/bin/python", "-r", request["requirements"], "--link-mode", "copy"]
        flags += ["--compile-bytecode"] if request["compile"] else []
        uv(request, ["pip", "install", *flags, *request["index"]], shown=True)
    if request["project"]:
        shutil.copytree(request["project"], "/tmp/project", symlinks=True)  # a build writes beside the sources
        flags = ["--no-deps", "--python", f"{place}/bin/python", "--link-mode", "copy", *request["index"]]
        uv(request, ["pip", "install", *flags, "/tmp/project"], shown=True)
    return {"python": version()}


def uv(
    request: dict[str, Any],
    arguments: list[str],
    *,
    given: str = "",
    words: bool = False,
    shown: bool = False,
    told: bool = True,
) -> str:
    """Standard output, or with `words` standard error. `shown`: its words as they come; else only those of a failure,
    and none unless `told`."""
    process = subprocess.Popen(
        [*request["uv"], *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if shown else subprocess.PIPE,
        universal_newlines=True,
    )
    _UV["pid"] = process.pid
    output, said = process.communicate(given)
    del _UV["pid"]
    if process.returncode:
        if told and said:
            sys.stderr.write(said)
        raise Failed
    return said if words else output


def version() -> str:
    return f"{platform.python_implementation().lower()}-{platform.python_version()}"


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
