"""Where a pipeline is submitted to: what the command line says, over the configuration, over the shell's variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from cairn.client.environment import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.domain.configuration import TargetConfiguration
from cairn.errors import ConfigurationError, InputRefused

_FORMS = "write vertex, kfp, or the address of a Cairn: http://HOST:PORT or https://HOST:PORT"


class Kind(StrEnum):
    VERTEX = "vertex"
    KUBEFLOW = "kfp"
    CAIRN = "cairn"

    @property
    def spoken(self) -> str:
        return _SPOKEN[self]

    @property
    def client(self) -> tuple[str, str, str]:
        """(program, the module that it needs, the requirement that brings it)."""
        if self is Kind.KUBEFLOW:
            return "kubeflow_runs.py", "kfp/client", "kfp>=2.7,<3"
        return "vertex_jobs.py", "google/cloud/aiplatform", "google-cloud-aiplatform[pipelines]>=1.150,<3"


_SPOKEN = {Kind.VERTEX: "Vertex AI", Kind.KUBEFLOW: "Kubeflow Pipelines", Kind.CAIRN: "another Cairn"}


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """As TargetConfiguration, with what is missing there filled in. `url`: of a Cairn, or of Kubeflow's API."""

    kind: Kind
    url: str = ""
    project: str = ""
    region: str = ""
    namespace: str = ""
    credentials: str = ""
    authority: str = ""  # PEM file of the authority to trust, for https
    service_account: str = ""
    network: str = ""
    reserved_ip_ranges: tuple[str, ...] = ()
    encryption_key: str = ""
    staging_bucket: str = ""


def target_of(
    said: TargetConfiguration, *, authority: str = "", project: str = "", environ: Mapping[str, str] | None = None
) -> Target:
    """`said` has the flags in it already; `project`: the run's own, where the target names none.

    Raises InputRefused for no target or one that is none, ConfigurationError for a file that cannot be read.
    """
    shell = os.environ if environ is None else environ
    kind, url = _kind(said.to, said.host or shell.get("KF_PIPELINES_ENDPOINT", ""))
    project, region = said.project or project, said.region
    if kind is Kind.VERTEX:
        project = project or shell.get("GOOGLE_CLOUD_PROJECT", "") or shell.get("CLOUD_ML_PROJECT_ID", "")
        region = region or shell.get("GOOGLE_CLOUD_REGION", "") or shell.get("CLOUD_ML_REGION", "")
    elif kind is Kind.CAIRN:
        project, region = project or DEFAULT_PROJECT, region or DEFAULT_LOCATION
    return Target(
        kind=kind,
        url=url,
        project=project,
        region=region,
        namespace=said.namespace,
        credentials=_file(said.credentials, "--credentials"),
        authority=_file(authority or said.authority, "--authority"),
        service_account=said.service_account,
        network=said.network,
        reserved_ip_ranges=said.reserved_ip_ranges,
        encryption_key=said.encryption_key,
        staging_bucket=said.staging_bucket,
    )


def _kind(to: str, host: str) -> tuple[Kind, str]:
    if to == Kind.VERTEX:
        return Kind.VERTEX, ""
    if to == Kind.KUBEFLOW:
        if host and "://" not in host:
            raise InputRefused(f"{host!r} is no address", place="--host", remedy="write https://HOST or http://HOST")
        return Kind.KUBEFLOW, host.rstrip("/")
    if not to:
        raise InputRefused("neither it nor cairn.target.to says where to send the run", place="--to", remedy=_FORMS)
    parts = urlsplit(to)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise InputRefused(f"{to!r} is no target", place="--to", remedy=_FORMS)
    return Kind.CAIRN, to.rstrip("/")


def _file(path: str, place: str) -> str:
    """Absolute. Raises ConfigurationError for one that cannot be read."""
    if not path:
        return ""
    found = os.path.abspath(os.path.expanduser(path))
    try:
        with open(found, "rb"):
            return found
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", place=place) from None
