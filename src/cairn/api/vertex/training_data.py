"""Where a training pipeline's code finds its data: what `inputDataConfig` comes to without managed datasets.

Vertex AI exports a dataset to `GCS_DESTINATION/dataset-ID-…/{training,validation,test}-*.FORMAT` and names these in
AIP_TRAINING_DATA_URI and its like. Cairn exports nothing: it names what lies in such a directory already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.api.named_buckets import check_bucket
from cairn.errors import InputRefused, UnsupportedFeature

_PLACE = "trainingPipeline.inputDataConfig"
_PARTS = {
    "training": "AIP_TRAINING_DATA_URI",
    "validation": "AIP_VALIDATION_DATA_URI",
    "test": "AIP_TEST_DATA_URI",
}
_FORMATS = ("jsonl", "csv")
_ID = re.compile(r"[A-Za-z0-9_-]{1,63}")


def data_variables(config: Mapping[str, Any] | None, call: Call) -> dict[str, str]:
    """Raises InputRefused where there is no such data, and says where it is looked for."""
    if not config:
        return {}
    if config.get("bigqueryDestination"):
        raise UnsupportedFeature(
            "Cairn has no BigQuery",
            place=f"{_PLACE}.bigqueryDestination",
            remedy="export the data to files, and give a gcsDestination",
        )
    dataset, prefix = config.get("datasetId", ""), (config.get("gcsDestination") or {}).get("outputUriPrefix", "")
    if not _ID.fullmatch(dataset):
        raise InputRefused(f"{dataset[:80]!r} is no id of a dataset", place=f"{_PLACE}.datasetId")
    if not prefix:
        raise InputRefused(
            "there are no managed datasets here: the data has to lie in a bucket",
            place=f"{_PLACE}.gcsDestination",
            remedy=f"give the directory that holds dataset-{dataset}/training-*.csv",
        )
    check_bucket(call, prefix, Role.VIEWER, f"{_PLACE}.gcsDestination.outputUriPrefix")
    store = call.context.cairn.store
    store.check(prefix, f"{_PLACE}.gcsDestination.outputUriPrefix")
    found = _newest(Path(store.path_of(prefix) or "/nowhere"), dataset)
    if found is None:
        wanted = f"{prefix.rstrip('/')}/dataset-{dataset}/training-*.jsonl or .csv"
        raise InputRefused(
            f"dataset {dataset!r} is not kept here, and no {wanted} lies in its place",
            place=f"{_PLACE}.datasetId",
            remedy="put the exported files there, or give their URIs as arguments of the job",
        )
    directory, kind = found
    base = f"{prefix.rstrip('/')}/{directory.name}"
    present = {name: part for part, name in _PARTS.items() if any(directory.glob(f"{part}-*.{kind}"))}
    return {"AIP_DATA_FORMAT": kind, **{name: f"{base}/{part}-*.{kind}" for name, part in present.items()}}


def _newest(root: Path, dataset: str) -> tuple[Path, str] | None:
    """The directory whose name sorts last (an export's ends in its time), and the format of its files."""
    if not root.is_dir():
        return None
    wanted = re.compile(rf"dataset-{dataset}(-.*)?")
    for directory in sorted((path for path in root.iterdir() if wanted.fullmatch(path.name)), reverse=True):
        for kind in _FORMATS:
            if any(directory.glob(f"training-*.{kind}")):
                return directory, kind
    return None
