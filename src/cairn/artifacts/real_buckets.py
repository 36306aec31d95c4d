"""Which buckets are kept elsewhere, by the configuration's table [buckets]."""

from __future__ import annotations

from collections.abc import Mapping

from cairn.artifacts import locations
from cairn.errors import ConfigurationError, InputRefused, UnsupportedFeature

_LOCAL = ("", "local")


def real_buckets(table: Mapping[str, str]) -> dict[str, str]:
    """Names of gs:// buckets → the project that they belong to; "" where only who may see everything sees it.

    `"gs://name" = "real"` or `"real:PROJECT"`. Raises ConfigurationError.
    """
    found = {}
    for uri, told in table.items():
        kind, _, project = told.partition(":")
        try:
            scheme, bucket, key = locations.split_bucket(uri)
        except InputRefused as error:
            raise ConfigurationError(f"{uri}: {error.message}", place="[buckets]") from None
        if told in _LOCAL:
            continue
        if kind != "real" or scheme != "gs" or key:
            raise ConfigurationError(
                f"bucket {uri} is configured as {told!r}, which this version does not have",
                place="[buckets]",
                remedy='write "gs://NAME" = "local", "real" or "real:PROJECT"',
            )
        found[bucket] = project
    return found


def refuse_real(uri: str, real: Mapping[str, str], *, place: str = "") -> None:
    """For what the engine itself would read or write. Raises UnsupportedFeature."""
    if real and locations.scheme_of(uri) == "gs" and locations.split_bucket(uri)[1] in real:
        raise UnsupportedFeature(
            f"{uri} is kept in a real store, which the engine does not read or write in this version",
            place=place or uri,
            remedy="use a bucket of the home or a path, and let steps copy with google-cloud-storage or gcsfs",
        )
