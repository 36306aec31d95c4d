"""Typed configuration: `HOME/config.toml`, then `CAIRN_*` environment variables over it.

    [machine]                       # what all runs of this home share; what is missing is detected
    cpu = 4                         # cores, may be a fraction
    memory = "16Gi"                 # bytes or a Kubernetes quantity
    accelerators = 0

    [records]
    url = ""                        # empty: SQLite in the home; else postgresql://…

    [run]                           # what a flag of `cairn run` says otherwise wins
    executor = "process"
    failure_policy = "slow"         # slow | fast
    cache = true
    cache_ttl = 0                   # seconds; 0: no limit
    strict = false
    notify = ""                     # webhook URL or command called at a run's end

    [images]                        # the same as --image PATTERN=TARGET, after the flags, in this order; a relative
    "gcr.io/acme/*" = "project:/home/me/trainer"  # DIR starts from the home

    [environments]
    index_url = ""                  # instead of PyPI; credentials belong in ~/.netrc or the keyring
    extra_index_urls = []
    find_links = []                 # directories or pages with wheels
    trusted_hosts = []
    offline = false                 # only wheels at hand: find_links and the cache
    constraints = ""                # requirements files applied to every resolution
    overrides = ""
    exclude_newer = ""              # a date: nothing uploaded later is taken
    kfp = "2.17.0"                  # where a component expects its image to bring kfp
    default_python = ""             # where an image names none; empty: the newest of 3.11 to 3.13 at hand
    python_downloads = false        # uv may fetch interpreters
    link_mode = ""                  # hardlink | copy | clone | symlink; empty: uv's choice
    compile_bytecode = true
    passed_variables = []           # names or patterns ("WANDB_*") that steps inherit from the shell, besides the usual

    [artifacts]
    seal = true                     # published files are made read-only
    allow_private_hosts = false     # an importer may name http(s) hosts on private networks

    [buckets]                       # "gs://name" = "real" or "real:PROJECT": in its own store; without an entry it is a
                                    # directory here

    [server]                        # `cairn serve`
    host = "127.0.0.1"              # any other than loopback needs logins, and TLS or behind_proxy
    port = 8080
    tls = "off"                     # off | local (an authority of the home's own) | files
    certificate = ""                # of tls = "files": PEM, the chain included
    key = ""
    behind_proxy = false            # a proxy in front terminates TLS; it alone reaches this port
    allowed_hosts = []              # names by which clients call the server, besides the address it listens on
    allowed_origins = []            # web pages of elsewhere that may call it: "https://notebooks.example.com"
    authentication = "auto"         # auto (none on loopback) | required | off
    requests_per_second = 0         # of one identity; 0: 200, and no limit on loopback without logins
    burst = 1000
    body_limit = "32Mi"             # of a request that is JSON; uploads of objects have their own
    drain_seconds = 10              # what requests at work have when the server ends
    step_clients = "here"           # Google's clients in steps: pointed at the home's server, or untouched

    [docker]                        # --executor docker, and --image PATTERN=docker
    socket = ""                     # unix:///PATH of the engine; empty: DOCKER_HOST, /var/run/docker.sock, Podman's
    network = "host"                # of the containers: host | none | the name of one of the engine's networks
    user = "auto"                   # who a step runs as: auto (you, where the engine is root's) | image | UID:GID
    read_only_root = false          # the image's files cannot be written to; /tmp can
    no_new_privileges = true
    cap_drop = []                   # capabilities taken away: "NET_RAW", "ALL"
    shm = "64Mi"                    # /dev/shm of a step that does not say
    pids = 0                        # processes and threads that a step may have; 0: as many as the engine allows
    extra_hosts = []                # "NAME:ADDRESS": names that a step's network knows besides
    pull = "missing"                # images that are not here: missing (fetched) | never

    [directories]                   # elsewhere than in the home
    secrets = ""
    config_maps = ""
    volumes = ""

An environment variable is CAIRN_ + section + _ + key, e.g. `CAIRN_ENVIRONMENTS_OFFLINE=true`; lists are separated by
spaces. Unknown keys are refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from cairn.config.home import Home
from cairn.errors import ConfigurationError


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of config.toml."""


class MachineSettings(Section, frozen=True):
    cpu: float = 0.0  # cores; 0: detected
    memory: str | int = 0  # bytes or a quantity; 0: detected
    accelerators: int = -1  # -1: detected


class RecordsSettings(Section, frozen=True):
    url: str = ""


class RunDefaults(Section, frozen=True):
    executor: str = "process"
    failure_policy: Literal["slow", "fast"] = "slow"
    cache: bool = True
    cache_ttl: int = 0
    strict: bool = False
    notify: str = ""


class EnvironmentsSettings(Section, frozen=True):
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    offline: bool = False
    constraints: str = ""
    overrides: str = ""
    exclude_newer: str = ""
    kfp: str = "2.17.0"
    default_python: str = ""
    python_downloads: bool = False
    link_mode: Literal["", "hardlink", "copy", "clone", "symlink"] = ""
    compile_bytecode: bool = True
    passed_variables: tuple[str, ...] = ()


class ArtifactsSettings(Section, frozen=True):
    seal: bool = True
    allow_private_hosts: bool = False


class ServerSettings(Section, frozen=True):
    host: str = "127.0.0.1"
    port: int = 8080
    tls: Literal["off", "local", "files"] = "off"
    certificate: str = ""
    key: str = ""
    behind_proxy: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    authentication: Literal["auto", "required", "off"] = "auto"
    requests_per_second: float = 0.0
    burst: int = 1000
    body_limit: str | int = "32Mi"
    drain_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    step_clients: Literal["here", "untouched"] = "here"
    tensorboard_idle_seconds: Annotated[float, msgspec.Meta(gt=0)] = 600.0


class DockerSettings(Section, frozen=True):
    socket: str = ""  # unix:///PATH, or a path
    network: str = "host"
    user: Annotated[str, msgspec.Meta(pattern=r"^(auto|image|\d+(:\d+)?)$")] = "auto"
    read_only_root: bool = False
    no_new_privileges: bool = True
    cap_drop: tuple[str, ...] = ()
    shm: str | int = "64Mi"  # bytes or a quantity
    pids: Annotated[int, msgspec.Meta(ge=0)] = 0
    extra_hosts: tuple[Annotated[str, msgspec.Meta(pattern=r"^[^:]+:.+$")], ...] = ()
    pull: Literal["missing", "never"] = "missing"


class DirectoriesSettings(Section, frozen=True):
    secrets: str = ""
    config_maps: str = ""
    volumes: str = ""


class Settings(Section, frozen=True):
    machine: MachineSettings = MachineSettings()
    records: RecordsSettings = RecordsSettings()
    run: RunDefaults = RunDefaults()
    images: dict[str, str] = {}
    environments: EnvironmentsSettings = EnvironmentsSettings()
    artifacts: ArtifactsSettings = ArtifactsSettings()
    buckets: dict[str, str] = {}
    server: ServerSettings = ServerSettings()
    docker: DockerSettings = DockerSettings()
    directories: DirectoriesSettings = DirectoriesSettings()


# Not sections: what other parts of Cairn read from the environment themselves, or give to a step.
_OTHER_VARIABLES = (
    "CAIRN_HOME", "CAIRN_TEST_", "CAIRN_FAULT", "CAIRN_BACKGROUND_IDLE", "CAIRN_URL", "CAIRN_SHIM", "CAIRN_ENV_BEFORE"
)  # fmt: skip


def load_settings(home: Home, variables: Mapping[str, str] | None = None) -> Settings:
    """Read and check. Raises ConfigurationError naming the file or variable, and for an unknown key the nearest one."""
    text = b""
    try:
        text = home.configuration.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", place=str(home.configuration)) from None
    given = _parse(text, home.configuration) if text.strip() else {}
    settings = _convert(given, str(home.configuration))
    over = _from_variables(os.environ if variables is None else variables, given)
    return _convert(over, "environment variables CAIRN_*") if over is not None else settings


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    import tomllib  # a home without a config.toml does not pay for it

    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"is not TOML: {error}", place=str(path)) from None


def _convert(given: Mapping[str, Any], place: str) -> Settings:
    _refuse_unknown(given, Settings, place, "")
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(str(error), place=place) from None


def _refuse_unknown(given: Mapping[str, Any], struct: type[msgspec.Struct], place: str, inside: str) -> None:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in given.items():
        if key not in fields:
            import difflib  # only on the way to an error

            near = difflib.get_close_matches(key, fields, n=2)
            where = f"[{inside}] " if inside else ""
            known = ", ".join(near or sorted(fields))
            raise ConfigurationError(f"{where}has no key {key!r}", place=place, remedy=f"known: {known}")
        kind = fields[key]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            _refuse_unknown(value, kind, place, key)


def _from_variables(variables: Mapping[str, str], given: dict[str, Any]) -> dict[str, Any] | None:
    """`given` with CAIRN_SECTION_KEY put in; None when there is none."""
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    merged: dict[str, Any] | None = None
    for name, text in variables.items():
        if not name.startswith("CAIRN_") or name.startswith(_OTHER_VARIABLES):
            continue
        section, _, key = name[len("CAIRN_") :].lower().partition("_")
        struct = sections.get(section)
        if not key or not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
            continue
        fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
        if key not in fields:
            raise ConfigurationError(
                f"sets no known key of [{section}]", place=name, remedy=f"known: {', '.join(fields)}"
            )
        if merged is None:
            merged = {part: dict(table) for part, table in given.items() if isinstance(table, dict)}
        try:
            merged.setdefault(section, {})[key] = _value(text, fields[key])
        except ValueError:
            raise ConfigurationError(f"{text!r} does not fit", place=name) from None
    return merged


def mistaken_variables(variables: Mapping[str, str] | None = None) -> list[str]:
    """Warnings about variables that set nothing, where one that does is near: `CAIRN_ENVIRONMENT_OFFLINE`."""
    found = []
    for name in os.environ if variables is None else variables:
        if name.startswith("CAIRN_") and not name.startswith(_OTHER_VARIABLES):
            near = _nearest_variable(name)
            if near:
                found.append(f"{name} is not known and sets nothing: did you mean {near}?")
    return found


def _nearest_variable(name: str) -> str:
    """ "" for one whose section is known, and for one that is like none."""
    section, _, key = name[len("CAIRN_") :].lower().partition("_")
    tables = {
        field.name: [one.name for one in msgspec.structs.fields(field.type)]
        for field in msgspec.structs.fields(Settings)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }
    if not key or section in tables:
        return ""
    import difflib  # only for a variable of ours that is not known

    near = difflib.get_close_matches(section, tables, n=1, cutoff=0.7)
    if not near:
        return ""
    keys = difflib.get_close_matches(key, tables[near[0]], n=1)
    return f"CAIRN_{near[0]}_{keys[0] if keys else '…'}".upper()


def _value(text: str, kind: Any) -> Any:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is bool:
        lowered = text.strip().lower()
        if lowered not in {"1", "true", "yes", "on", "0", "false", "no", "off", ""}:
            raise ValueError(text)
        return lowered in {"1", "true", "yes", "on"}
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    if kind == tuple[str, ...]:
        return text.split()
    return text
