"""The environment variables that point Google's and Kubeflow's clients at a server, and how a shell takes them.

`variables` is a pure function of the server's address and of what is set already. What the user has chosen (project,
region, KFP endpoint) stays; what would lead a client to Google (credentials) is replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

SHIM = Path(__file__).parent / "shim"
DEFAULT_PROJECT = "default"
DEFAULT_LOCATION = "us-central1"  # a name that aiplatform takes for a region, and its own default

_BEFORE = "CAIRN_ENV_BEFORE"  # JSON object: name → what it was, null for what was not set
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHELLS = ("bash", "fish", "powershell")


def variables(
    url: str,
    credentials_file: Path,
    *,
    project: str = DEFAULT_PROJECT,
    location: str = DEFAULT_LOCATION,
    roots_file: Path | None = None,
    login: bool = False,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """What to set, and with None what not to have. `url`: http://127.0.0.1:8080; `roots_file`: PEM of all authorities
    to trust, for an https one; `login`: the server asks for credentials.

    Sources: google.auth.environment_vars, google.cloud.storage._helpers, gcsfs.core._location, kfp.client.client
    (KF_PIPELINES_ENDPOINT), google.cloud.aiplatform.initializer (GOOGLE_CLOUD_REGION).
    """
    environ = os.environ if environ is None else environ
    present = before(environ)
    url = url.rstrip("/")
    found: dict[str, str | None] = {
        "CAIRN_URL": url,
        "PYTHONPATH": _first(str(SHIM), present.get("PYTHONPATH", "")),
        # With it the storage clients say nothing of who they are; without it, the shim turns them to us.
        "STORAGE_EMULATOR_HOST": None if login else url,
        "CAIRN_LOGIN": "1" if login else None,
        # gcsfs would ask each bucket's type by gRPC, always with TLS: 60 s for each (gcsfs.extended_gcsfs).
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials_file),
        # google-auth must not look for Google's metadata server: it is asked where no credentials are given.
        "NO_GCE_CHECK": "true",
        "GCE_METADATA_TIMEOUT": "1",
        "GOOGLE_API_USE_CLIENT_CERTIFICATE": "false",
        "KF_PIPELINES_ENDPOINT": url,
        **_without_proxy(urlsplit(url).hostname or "", present),
    }
    own_project = present.get("GOOGLE_CLOUD_PROJECT") or present.get("CLOUD_ML_PROJECT_ID") or project
    found["GOOGLE_CLOUD_PROJECT"] = own_project
    if not present.get("GOOGLE_CLOUD_REGION") and not present.get("CLOUD_ML_REGION"):
        found["GOOGLE_CLOUD_REGION"] = location
    if roots_file is not None:
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
            found[name] = str(roots_file)
    for name in saved(environ):  # what pointed elsewhere does not stay
        found.setdefault(name, present.get(name))
    found = {name: value for name, value in found.items() if value is not None or name in environ}
    found[_BEFORE] = json.dumps({name: present.get(name) for name in sorted(found)}, separators=(",", ":"))
    return found


def before(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as it was before `variables` were set in it; a copy of it when they were not."""
    earlier = dict(environ)
    for name, value in saved(environ).items():
        if value is None:
            earlier.pop(name, None)
        else:
            earlier[name] = value
    earlier.pop(_BEFORE, None)
    return earlier


def saved(environ: Mapping[str, str]) -> dict[str, str | None]:
    """What the variables that are set were before; empty when none of ours are."""
    try:
        found = json.loads(environ.get(_BEFORE, "") or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if value is None or isinstance(value, str)}


def assignments(values: Mapping[str, str | None], shell: str) -> list[str]:
    """One line each for `shell` to evaluate; None unsets."""
    write = {"bash": _bash, "fish": _fish, "powershell": _powershell}[shell]
    return [write(name, value) for name, value in values.items()]


def restoring(environ: Mapping[str, str]) -> dict[str, str | None]:
    """What undoes `variables` in `environ`; empty when they are not set."""
    found = saved(environ)
    return {**found, _BEFORE: None} if found else {}


def _first(entry: str, path: str) -> str:
    others = [each for each in path.split(os.pathsep) if each and each != entry]
    return os.pathsep.join([entry, *others])


def _without_proxy(host: str, present: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY in both spellings: each client reads another one first."""
    names: Iterable[str] = ("NO_PROXY", "no_proxy")
    listed = [each.strip() for each in (present.get("no_proxy") or present.get("NO_PROXY") or "").split(",")]
    wanted = [*_LOOPBACK, *([host] if host and host not in _LOOPBACK else [])]
    merged = ",".join([*(each for each in listed if each), *(each for each in wanted if each not in listed)])
    return dict.fromkeys(names, merged)


def _bash(name: str, value: str | None) -> str:
    if value is None:
        return f"unset {name}"
    quoted = value.replace("'", "'\\''")
    return f"export {name}='{quoted}'"


def _fish(name: str, value: str | None) -> str:
    if value is None:
        return f"set -e {name}"
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    # fish would take a variable whose name ends in PATH for a list.
    return f"set -gx --unpath {name} '{quoted}'"


def _powershell(name: str, value: str | None) -> str:
    if value is None:
        return f"Remove-Item -ErrorAction SilentlyContinue Env:{name}"
    quoted = value.replace("'", "''")
    return f"$Env:{name} = '{quoted}'"
