"""Making an environment: resolve once, build once, however many processes ask."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import xxhash

from cairn.config.settings import EnvironmentsSettings
from cairn.environments import interpreters
from cairn.environments.catalogue import READY, BuiltRecord, Catalogue, replace_file
from cairn.environments.locking import exclusive
from cairn.environments.redaction import redact
from cairn.environments.resolution import resolve
from cairn.environments.specification import BesideSpec, UvSpec
from cairn.environments.uv_command import Progress, index_options, run_uv, uv_variables
from cairn.errors import EnvironmentBuildError

_SHOW_VERSION = "import platform; print(platform.python_implementation().lower() + '-' + platform.python_version())"


class Builder:
    """Threads: any; processes: any. Locks are file locks that uv inherits, so that a killed builder's uv, which still
    writes, keeps the next builder waiting."""

    def __init__(self, catalogue: Catalogue, cache: Path, settings: EnvironmentsSettings) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self._cache = cache

    def build(self, spec: UvSpec, progress: Progress | None = None) -> BuiltRecord:
        """Make it ready. Raises EnvironmentBuildError."""
        with exclusive(self.catalogue.spec_lock(spec.key)) as held:
            record = self.catalogue.record(spec.key)
            if record is not None and self.catalogue.is_ready(record.environment_key):
                return record
            interpreter, warnings = self._interpreter(spec)
            version = _version(interpreter)
            lock = self._lock(spec, interpreter, held, progress)
            package = f"{spec.project_package} {spec.project if spec.editable else ''}"
            identity = f"{version} {os.uname().sysname} {os.uname().machine} {package}\n{lock.read_text()}"
            key = xxhash.xxh3_128_hexdigest(identity.encode())
            self._install(key, lock, interpreter, spec, progress)
            record = BuiltRecord(spec.key, key, version, describe(spec), warnings)
            self.catalogue.write_record(record)
            return record

    def _interpreter(self, spec: UvSpec) -> tuple[str, tuple[str, ...]]:
        have = interpreters.installed()
        if spec.python in have:
            return have[spec.python], ()
        if self.settings.python_downloads:
            try:
                self._uv(["python", "install", spec.python])
                return self._uv(["python", "find", "--no-project", spec.python]).strip(), ()
            except EnvironmentBuildError:
                pass  # a closed network: the nearest one will do, and is said
        version = interpreters.nearest(spec.python)
        return have[version], (f"Python {spec.python} is not installed; {version} takes its place",)

    def _lock(self, spec: UvSpec, interpreter: str, held: int, progress: Progress | None) -> Path:
        path = self.catalogue.lock_file(spec.key)
        if path.exists():
            return path
        if progress is not None:
            progress(f"Resolving {describe(spec)}")
        stale = self.catalogue.stale_lock_file(spec.key)
        # Whoever asked for newer versions shall not be answered from what uv remembers of the index.
        refresh = ["--refresh"] if stale.exists() and not spec.offline else []

        def uv(arguments: Sequence[str], stdin: str) -> str:
            return self._uv([*arguments, *refresh], stdin=stdin, progress=progress, keep_open=[held])

        replace_file(path, resolve(spec, interpreter, uv, path.with_suffix(".constraints")).encode())
        stale.unlink(missing_ok=True)
        return path

    def _install(self, key: str, lock: Path, interpreter: str, spec: UvSpec, progress: Progress | None) -> None:
        """Build in place, the marker last: a virtual environment knows its own path and cannot be moved."""
        directory = self.catalogue.directory(key)
        with exclusive(self.catalogue.build_lock(key)) as held:
            if self.catalogue.is_ready(key):
                return
            if directory.exists():
                shutil.rmtree(directory)  # what a killed builder left
            directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(directory.parent).free
            if free < 16 * 1024 * 1024:
                raise EnvironmentBuildError("no space is left for an environment", place=str(directory.parent))
            self._uv(["venv", "--quiet", "--no-project", "--python", interpreter, str(directory)], keep_open=[held])
            python = str(directory / "bin" / "python")
            if lock.stat().st_size:
                arguments = ["pip", "install", "--no-deps", "--python", python, "-r", str(lock)]
                arguments += index_options(spec)
                if self.settings.link_mode:
                    arguments += ["--link-mode", self.settings.link_mode]
                if self.settings.compile_bytecode:
                    arguments.append("--compile-bytecode")
                self._uv(arguments, progress=progress, keep_open=[held])
            if spec.project_package:
                self._install_project(spec, directory, python, progress, held)
            replace_file(directory / READY, b"")

    def _install_project(
        self, spec: UvSpec, directory: Path, python: str, progress: Progress | None, held: int
    ) -> None:
        """The project itself. A build writes beside the sources, so it gets a copy of the snapshot."""
        arguments = ["pip", "install", "--no-deps", "--python", python, *index_options(spec)]
        if spec.editable:
            self._uv([*arguments, "--editable", spec.project], progress=progress, keep_open=[held])
            return
        source = directory / ".source"
        shutil.copytree(spec.project, source, symlinks=True, copy_function=shutil.copyfile)
        self._uv([*arguments, str(source)], progress=progress, keep_open=[held])
        shutil.rmtree(source)

    def put_beside(self, beside: BesideSpec, python: str, spec: UvSpec, progress: Progress | None) -> None:
        """Install packages without what they depend on into a directory that is then complete. `python`: the
        interpreter that will see it; "" for the machine's. Raises EnvironmentBuildError."""
        from cairn.environments.packaged import is_beside  # what jobs alone have

        target = Path(beside.directory)
        with exclusive(self.catalogue.build_lock(target.name)) as held:
            if is_beside(beside):
                return
            interpreter = python or shutil.which("python3") or ""
            if not interpreter:
                raise EnvironmentBuildError("no Python interpreter was found", remedy="put a python3 on PATH")
            shutil.rmtree(target, ignore_errors=True)  # what a killed builder left
            arguments = ["pip", "install", "--no-deps", "--python", interpreter, "--target", str(target)]
            self._uv([*arguments, *index_options(spec), *beside.requirements], progress=progress, keep_open=[held])
            replace_file(target / READY, b"")

    def _uv(
        self,
        arguments: Sequence[str],
        *,
        stdin: str = "",
        progress: Progress | None = None,
        keep_open: Sequence[int] = (),
    ) -> str:
        self.catalogue.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return run_uv(
            arguments,
            variables=self._variables(),
            directory=self.catalogue.root,
            stdin=stdin,
            progress=progress,
            keep_open=keep_open,
        )

    def _variables(self) -> dict[str, str]:
        cache = uv_cache(self.catalogue.root, self._cache)
        return uv_variables(cache, downloads=self.settings.python_downloads)


def uv_cache(root: Path, cache: Path) -> Path:
    """The user's own uv cache when hard links from it reach `root`, else one in the home's."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    return usual if _same_device(usual, root) else cache / "uv"


def describe(spec: UvSpec) -> str:
    """`python 3.11: pandas, kfp==2.14.3`."""
    python = f"python {spec.python}" if spec.python else "its python"  # an image's
    if spec.project_file or spec.project_package:
        return f"{python}: {spec.project}/{spec.project_file or 'pyproject.toml'}"
    named = [redact(each) for each in (*spec.packages, *spec.bare) if not each.startswith("typing-extensions")]
    return f"{python}: {', '.join(named)}" if named else python


def _version(interpreter: str) -> str:
    try:
        return subprocess.run(
            [interpreter, "-I", "-S", "-c", _SHOW_VERSION], capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentBuildError(f"this interpreter does not run: {error}", place=interpreter) from None


def _same_device(first: Path, second: Path) -> bool:
    """Whether hard links reach from one to the other; what does not exist yet goes by the nearest that does."""

    def device(path: Path) -> int:
        while not path.exists():
            path = path.parent
        return path.stat().st_dev

    return device(first) == device(second)
