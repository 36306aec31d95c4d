"""Adding to an image what lightweight components install: once, in a directory that their containers are shown.

The image's own Python does it (`inside_image`), so that what is installed fits it: versions, architecture, C library,
and the packages that the image holds already, which stay as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from cairn.config.container_engine import no_engine, user_of
from cairn.config.settings import DockerSettings, EnvironmentsSettings
from cairn.environments.building import describe, uv_cache
from cairn.environments.catalogue import OF_IMAGE, READY, BuiltRecord, Catalogue, replace_file
from cairn.environments.container_images import ContainerImages
from cairn.environments.container_running import remove, run_to_end
from cairn.environments.locking import exclusive, open_lock, try_lock
from cairn.environments.packaged import archives_of
from cairn.environments.specification import ImageFacts, UvSpec
from cairn.environments.uv_command import (
    SYSTEM_BUNDLES,
    Progress,
    find_uv,
    index_options,
    remedy_of,
    resolution_options,
    uv_variables,
)
from cairn.errors import EnvironmentBuildError
from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone

# Where things are in the container; nothing of the image's is called so.
ENVIRONMENT = "/cairn/environment"
_PROJECT = "/cairn/project"
_LOCK_LABEL = "cairn.lock"
_FORGOTTEN_SECONDS = 600.0
_UV = "/cairn/uv"
_CACHE = "/cairn/cache"
_OTHER_CACHES = "/cairn/caches"
_LOCK = "/cairn/lock"
_REQUIREMENTS = "/cairn/requirements.txt"
_CERTIFICATES = "/cairn/certificates.pem"
_NETRC = "/cairn/netrc"
_UV_CONFIGURATION = "/cairn/uv.toml"
_PASSED = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class ImageBuilder:
    """Threads and processes: any. A killed builder's container sees that the lock is free, and ends."""

    def __init__(
        self,
        catalogue: Catalogue,
        cache: Path,
        settings: EnvironmentsSettings,
        docker: DockerSettings,
        images: ContainerImages,
    ) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self._cache = cache
        self._docker = docker
        self._images = images

    def build(self, spec: UvSpec, facts: ImageFacts, progress: Progress | None = None) -> BuiltRecord:
        """Make it ready. Raises EnvironmentBuildError, NoContainerEngine."""
        with exclusive(self.catalogue.spec_lock(spec.key)):
            record = self.catalogue.record(spec.key)
            if record is not None and self.catalogue.is_ready(record.environment_key):
                return record
            lock, version = self._lock(spec, facts, progress)
            identity = f"{facts.id} {version} {spec.place} {spec.project_package}\n{lock.read_text()}"
            key = xxhash.xxh3_128_hexdigest(identity.encode())
            self._install(key, lock, spec, facts, progress)
            record = BuiltRecord(spec.key, key, version, f"{facts.name}, {describe(spec)}")
            self.catalogue.write_record(record)
            return record

    def _lock(self, spec: UvSpec, facts: ImageFacts, progress: Progress | None) -> tuple[Path, str]:
        """The lock, whose first line names the Python that it is for, and that."""
        path = self.catalogue.lock_file(spec.key)
        if not path.exists():
            if progress is not None:
                progress(f"Resolving {describe(spec)} in {facts.name}")
            stale = self.catalogue.stale_lock_file(spec.key)
            # Whoever asked for newer versions shall not be answered from what uv remembers of the index.
            refresh = ["--refresh"] if stale.exists() and not spec.offline else []
            answer = self._run(
                spec,
                facts,
                progress,
                what="resolve",
                lock_file=self.catalogue.spec_lock(spec.key),
                packages=spec.packages,
                bare=spec.bare,
                file=f"{_PROJECT}/{spec.project_file}" if spec.project_file else "",
                resolution=[*_resolution(spec), *refresh],
                shown=_project(spec),
            )
            replace_file(path, f"# {answer['python']}\n{answer['lock']}".encode())
            stale.unlink(missing_ok=True)
        return path, path.read_text().partition("\n")[0].removeprefix("# ")

    def _install(self, key: str, lock: Path, spec: UvSpec, facts: ImageFacts, progress: Progress | None) -> None:
        directory = self.catalogue.directory(key)
        with exclusive(self.catalogue.build_lock(key)):
            if self.catalogue.is_ready(key):
                return
            if directory.exists():
                shutil.rmtree(directory)  # what a killed builder left
            directory.mkdir(mode=0o755, parents=True)
            self._run(
                spec,
                facts,
                progress,
                what="install",
                lock_file=self.catalogue.build_lock(key),
                writable=[(spec.place or ENVIRONMENT, directory)],
                shown=[(_REQUIREMENTS, lock), *(_project(spec) if spec.project_package else [])],
                project=_PROJECT if spec.project_package else "",
                compile=self.settings.compile_bytecode,
            )
            replace_file(directory / OF_IMAGE, facts.id.encode())
            replace_file(directory / READY, b"")

    def _run(
        self,
        spec: UvSpec,
        facts: ImageFacts,
        progress: Progress | None,
        *,
        what: str,
        lock_file: Path,
        writable: list[tuple[str, Path]] | None = None,
        shown: list[tuple[str, Path]] | None = None,
        **more: Any,
    ) -> dict[str, str]:
        """What `inside_image` answers. Raises EnvironmentBuildError with the words of uv, or of the engine."""
        socket = self._images.socket
        variables = uv_variables(uv_cache(self.catalogue.root, self._cache), downloads=False)
        cache, others = Path(variables["UV_CACHE_DIR"]), self._cache / "uv-in-images"
        for each in (cache, others):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        uv, uv_mounts = _uv_anywhere(find_uv())
        request = {
            "what": what,
            "lock": _LOCK,
            "uv": uv,
            "libc": platform.libc_ver(),
            "cache": _CACHE,
            "other_caches": _OTHER_CACHES,
            "environment": spec.place or ENVIRONMENT,
            "requirements": _REQUIREMENTS,
            "index": index_options(spec),
            **more,
        }
        certificates, trusted = _trust(variables)
        mounts = [
            *(_mount(path, target) for target, path in uv_mounts),
            _mount(cache, _CACHE, writable=True),
            _mount(others, _OTHER_CACHES, writable=True),
            _mount(lock_file, _LOCK, writable=True),
            *(_mount(path, target, writable=True) for target, path in writable or ()),
            *(_mount(path, target) for target, path in shown or ()),
            *(_mount(path, target) for target, path in _configured_files(spec)),
            *certificates,
        ]
        mounts += [_mount(path, os.fspath(path)) for path in archives_of(spec.packages)]
        passed = {name: value for name, value in variables.items() if name.upper().startswith(_PASSED)}
        mounts += [_mount(path, path) for path in _named_paths(passed, {each["Target"] for each in mounts})]
        passed |= {**trusted, "HOME": "/tmp", "TMPDIR": "/tmp", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        for name in ("UV_CACHE_DIR", "PIP_CERT"):
            passed.pop(name, None)
        body = {
            "Image": facts.id,
            "Entrypoint": ["python3"],
            "Cmd": ["-I", "-c", _program(), json.dumps(request)],
            "User": user_of(msgspec.structs.replace(self._docker, user="auto"), socket),
            "Env": [f"{name}={value}" for name, value in passed.items()],
            "WorkingDir": "/",
            "Labels": {_LOCK_LABEL: os.fspath(lock_file)},
            "HostConfig": {
                "Mounts": mounts,
                "NetworkMode": "host",  # the way to the index is this machine's, whatever steps may reach
                "AutoRemove": True,
                "SecurityOpt": ["no-new-privileges"],
                "Tmpfs": {"/tmp": "exec,mode=1777"},
            },
        }
        try:
            _sweep(ContainerApi(socket))
            output, words = run_to_end(ContainerApi(socket), f"cairn-{what}-{lock_file.stem}", body, progress)
        except EngineGone as error:
            raise no_engine(socket, str(error)) from None
        except EngineError as error:
            raise _not_started(error, facts) from None
        if not output.strip():
            said = "\n".join(words).strip() or "the container that builds it has vanished"
            raise EnvironmentBuildError(said, place=f"image {facts.name}", remedy=remedy_of(said))
        answer: dict[str, str] = json.loads(output)
        return answer


def _sweep(api: ContainerApi) -> None:
    """Remove what builders that were killed have created and never started: nobody holds the lock that it names."""
    for left in api.list(_LOCK_LABEL):
        if left["State"] == "running":
            continue  # it ends by itself
        lock = Path(left["Labels"][_LOCK_LABEL])
        if not lock.exists():  # with its home
            if time.time() - left["Created"] > _FORGOTTEN_SECONDS:
                remove(api, left["Id"])
            continue
        with contextlib.suppress(OSError):  # another user's home
            descriptor = open_lock(lock)
            try:
                if try_lock(descriptor, shared=False):
                    remove(api, left["Id"])
            finally:
                os.close(descriptor)


def _project(spec: UvSpec) -> list[tuple[str, Path]]:
    return [(_PROJECT, Path(spec.project))] if spec.project else []


def _program() -> str:
    return files("cairn.environments").joinpath("inside_image.py").read_text()


def _not_started(error: EngineError, facts: ImageFacts) -> EnvironmentBuildError:
    if "python3" in error.message and error.status in (400, 404, 500):
        return EnvironmentBuildError(
            "it has no python3 to run a Python component with",
            place=f"image {facts.name}",
            remedy="name an image with Python as base_image, or map it: --image "
            f"'{facts.name}=host' runs the component on this machine",
        )
    return EnvironmentBuildError(error.message, place=f"image {facts.name}")


def _mount(path: Path | str, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": os.path.realpath(path), "Target": target, "ReadOnly": not writable}


def _resolution(spec: UvSpec) -> list[str]:
    places = {name: f"/cairn/{name}.txt" for name in ("constraints", "overrides") if getattr(spec, name)}
    return resolution_options(msgspec.structs.replace(spec, **places))


def _configured_files(spec: UvSpec) -> Iterator[tuple[str, Path]]:
    """Files and folders of this machine that uv is told of."""
    for name in ("constraints", "overrides"):
        if getattr(spec, name):
            yield f"/cairn/{name}.txt", Path(getattr(spec, name))
    for place in (spec.index_url, *spec.extra_index_urls, *spec.find_links):
        local = place.removeprefix("file://")
        if local.startswith("/") and os.path.exists(local):
            yield local, Path(local)


def _named_paths(variables: dict[str, str], known: set[str]) -> list[str]:
    """What is on this machine of the folders and files that uv's variables name: wheelhouses, constraints, an index."""
    named = {
        part.removeprefix("file://")
        for name, value in variables.items()
        if name.startswith("UV_")
        for part in re.split(r"[,\s]+", value)
    }
    return sorted(path for path in named - known if path.startswith("/") and os.path.exists(path))


def _trust(variables: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(mounts, variables): the authorities and credentials that this machine goes by. An image may have none."""
    mounts: list[dict[str, Any]] = []
    given: dict[str, str] = {}
    bundle = variables.get("SSL_CERT_FILE") or next(filter(os.path.isfile, SYSTEM_BUNDLES), "")
    if os.path.isfile(bundle):
        mounts.append(_mount(bundle, _CERTIFICATES))
        given["SSL_CERT_FILE"] = _CERTIFICATES
    netrc = os.path.expanduser(variables.get("NETRC") or "~/.netrc")
    if os.path.isfile(netrc):
        mounts.append(_mount(netrc, _NETRC))
        given["NETRC"] = _NETRC
    if not variables.get("UV_CONFIG_FILE"):
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        for path in (f"{config}/uv/uv.toml", "/etc/uv/uv.toml"):
            if os.path.isfile(path):
                mounts.append(_mount(path, _UV_CONFIGURATION))
                given["UV_CONFIG_FILE"] = _UV_CONFIGURATION
                break
    return mounts, given


def _uv_anywhere(uv: str) -> tuple[list[str], list[tuple[str, str]]]:
    """(command, mounts): uv with its own loader and C library, so that the image's does not matter."""
    loader = _loader(uv)
    if not loader:
        return [f"{_UV}/uv"], [(f"{_UV}/uv", uv)]
    try:
        listed = subprocess.run([loader, "--list", uv], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentBuildError(f"its libraries cannot be listed: {error}", place=uv) from None
    libraries = [line.split("=>")[1].split()[0] for line in listed.splitlines() if "=> /" in line]
    mounts = [(f"{_UV}/uv", uv), (f"{_UV}/loader", loader)]
    mounts += [(f"{_UV}/lib/{os.path.basename(path)}", path) for path in libraries]
    return [f"{_UV}/loader", "--library-path", f"{_UV}/lib", f"{_UV}/uv"], mounts


def _loader(program: str) -> str:
    """What an ELF program names as its interpreter; "" for a static one. Source: elf(5)."""
    with open(program, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return ""
        start, size, count = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            entry = file.read(size)
            if struct.unpack_from("<I", entry)[0] == 3:  # PT_INTERP
                offset, length = struct.unpack_from("<Q", entry, 8)[0], struct.unpack_from("<Q", entry, 32)[0]
                file.seek(offset)
                return file.read(length).rstrip(b"\0").decode()
    return ""
