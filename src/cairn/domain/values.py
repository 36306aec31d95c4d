"""Parameter values: JSON, with integers kept apart from floating-point numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Value: TypeAlias = Any  # None | bool | int | float | str | list[Value] | dict[str, Value]


class ParameterType(StrEnum):
    """`ml_pipelines.ParameterType.ParameterTypeEnum` of the KFP pipeline spec."""

    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"


class Spilled(msgspec.Struct, frozen=True, tag="spilled", tag_field="kind"):
    """A parameter value too large for a row: its JSON text lies in the artifact store."""

    uri: str
    digest: str
    size: int  # bytes of JSON text
