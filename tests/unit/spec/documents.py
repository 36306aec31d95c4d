"""Compiled documents for tests: read once, copied for each, changed by path."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

PIPELINES = Path(__file__).parent / "pipelines"
DELETE = object()

_read: dict[str, list[dict]] = {}


def compiled(name: str = "training") -> list[dict[str, Any]]:
    """The YAML documents of pipelines/NAME.yaml: the pipeline, perhaps its platform configuration."""
    if name not in _read:
        _read[name] = list(yaml.safe_load_all((PIPELINES / f"{name}.yaml").read_text()))
    return copy.deepcopy(_read[name])


def text_of(documents: list[Any]) -> str:
    """As JSON when there is one document, else as YAML: faster than YAML for both."""
    if len(documents) == 1:
        return json.dumps(documents[0])
    return "\n---\n".join(json.dumps(document) for document in documents)


def change(document: Any, path: str, value: Any) -> None:
    """`path` is of keys joined by `/`; numbers index lists. DELETE takes the last key away."""
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in parents:
        document = document[key] if isinstance(key, int) else document.setdefault(key, {})
    if value is DELETE:
        del document[last]
    elif isinstance(document, list) and last == len(document):
        document.append(value)
    else:
        document[last] = value
