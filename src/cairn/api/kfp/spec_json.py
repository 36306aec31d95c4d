"""A pipeline's text as the API's `pipeline_spec` field has it, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from cairn.errors import InputRefused
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline


def told(text: str) -> Any:
    """JSON to stand in an answer: the spec, or with a platform `{"pipeline_spec": …, "platform_spec": …}`."""
    if '"pipelineSpec":' not in text and '"pipeline_spec":' not in text:
        return msgspec.Raw(text.encode())
    document = msgspec.json.decode(text)
    spec = document.get("pipelineSpec", document.get("pipeline_spec"))
    if spec is None:
        return document
    platform = document.get("platformSpec", document.get("platform_spec"))
    return {"pipeline_spec": spec, "platform_spec": platform} if platform else spec


def read(spec: dict[str, Any]) -> Pipeline:
    """A `pipeline_spec` that came in a request. Raises SpecError with the place in it."""
    try:
        text = msgspec.json.encode(spec, order="sorted").decode()
    except UnicodeEncodeError:
        raise InputRefused("holds half of a surrogate pair, which is no character", place="pipeline_spec") from None
    return load_text(text, origin="pipeline_spec")
