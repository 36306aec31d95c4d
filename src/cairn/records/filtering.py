"""Filters and orderings as SQL. What a user wrote reaches the database as parameters only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or, Scalar

Dialect: TypeAlias = str  # sqlite | postgres, as `Connection.dialect`


class Condition(NamedTuple):
    sql: str
    values: list[Any]


Custom: TypeAlias = Callable[[Comparison | Membership, Dialect], Condition]
Kind: TypeAlias = Literal["text", "number", "time", "flag", "word", "label_rows", "labels", "metadata", "custom"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALARS = ("text", "number", "time", "flag", "word")


@dataclass(frozen=True, slots=True)
class Column:
    """What a field of a filter is compared with; made by the functions below. `sql` must never be NULL."""

    kind: Kind
    sql: str = ""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    custom: Custom | None = None

    @property
    def sortable(self) -> bool:
        return self.kind in _SCALARS

    @property
    def textual(self) -> bool:
        """Whether it holds texts; else numbers."""
        return self.kind in ("text", "word")


def text(sql: str) -> Column:
    return Column("text", sql)


def number(sql: str) -> Column:
    return Column("number", sql)


def time(sql: str) -> Column:
    """Microseconds since the epoch, compared with an instant by RFC 3339."""
    return Column("time", sql)


def flag(sql: str) -> Column:
    """An integer that is 0 or 1, compared with true or false."""
    return Column("flag", sql)


def words(sql: str, meaning: Mapping[str, Sequence[str]]) -> Column:
    """An enumeration: for each word of the API, what the column holds for it."""
    return Column("word", sql, meaning)


def label_rows(row: str, table: str, owner: str) -> Column:
    """Labels in a table of their own, with columns `name` and `value`; `owner` names the one that holds the key `row`.

    As a list and not as EXISTS: a label that few have is found by the table's index on it.
    """
    return Column("label_rows", f"{row} IN (SELECT {owner} FROM {table}")


def labels(sql: str) -> Column:
    """A column that holds them as JSON."""
    return Column("labels", sql)


def metadata(sql: str) -> Column:
    """A column that holds a Struct as JSON: `metadata.lr.number_value > 0.1`."""
    return Column("metadata", sql)


def custom(function: Custom) -> Column:
    """`function` makes the SQL of a comparison with this field, whatever is behind its first name."""
    return Column("custom", custom=function)


def compile_filter(filter_: Filter | None, columns: Mapping[str, Column], dialect: Dialect) -> Condition:
    """A condition for WHERE; an always true one for None. Raises InputRefused with the place in the filter."""
    if filter_ is None:
        return Condition("1 = 1", [])
    if isinstance(filter_, Not):
        inner = compile_filter(filter_.part, columns, dialect)
        return Condition(f"NOT ({inner.sql})", inner.values)
    if isinstance(filter_, And | Or):
        parts = [compile_filter(part, columns, dialect) for part in filter_.parts]
        between = " AND " if isinstance(filter_, And) else " OR "
        return Condition(f"({between.join(part.sql for part in parts)})", [v for part in parts for v in part.values])
    return _leaf(filter_, columns, dialect)


def refused(part: Comparison | Membership, message: str, remedy: str = "") -> InputRefused:
    return InputRefused(message, place=f"filter, offset {part.place}", remedy=remedy)


def _leaf(part: Comparison | Membership, columns: Mapping[str, Column], dialect: Dialect) -> Condition:
    name = ".".join(part.field)
    column = columns.get(name)
    if column is None or not column.sortable:
        column = columns.get(part.field[0])
        if column is None or (column.sortable and len(part.field) > 1):
            raise refused(part, f"there is no field {name[:80]!r}", f"fields: {', '.join(sorted(columns))}")
    if column.custom is not None:
        return column.custom(part, dialect)
    if isinstance(part, Membership):
        return _membership(part, column)
    if column.kind == "metadata":
        return _member(part, column.sql, dialect)
    if column.kind in ("labels", "label_rows"):
        return _label(part, column, dialect)
    return _scalar(part, column, dialect)


def _membership(part: Membership, column: Column) -> Condition:
    if not column.sortable:
        raise refused(part, f"{part.field[0]!r} cannot be one of several values")
    found = [value for one in part.values for value in _values(part, column, one)]
    if not found:
        return Condition("1 = 0", [])
    return Condition(f"{column.sql} IN ({','.join('?' * len(found))})", found)


def _scalar(part: Comparison, column: Column, dialect: Dialect) -> Condition:
    if column.kind == "text":
        return text_condition(column.sql, part, dialect)
    if part.wildcard:
        raise refused(part, f"{'.'.join(part.field)!r} takes no wildcard")
    if part.operator == ":" and part.value == "*":
        return Condition(f"{column.sql} <> 0" if column.kind != "word" else "1 = 1", [])
    operator = "=" if part.operator == ":" else part.operator
    found = _values(part, column, part.value)
    if column.kind in ("word", "flag"):
        if operator not in ("=", "!="):
            raise refused(part, f"{'.'.join(part.field)!r} takes only = and !=")
        sql = f"{column.sql} IN ({','.join('?' * len(found))})" if found else "1 = 0"
        return Condition(f"NOT ({sql})" if operator == "!=" else sql, found)
    return Condition(f"{column.sql} {operator} ?", found)


def _values(part: Comparison | Membership, column: Column, value: Scalar) -> list[Any]:
    """What the column would hold for a value."""
    if column.kind == "text":
        return [as_text(value)]
    if column.kind == "time":
        return [instant(part, value)]
    if column.kind == "number":
        return [as_number(part, value)]
    if column.kind == "flag":
        return [int(_truth(part, value))]
    known = column.words.get(str(value))
    if known is None:
        raise refused(part, f"{str(value)[:40]!r} is no value of it", f"values: {', '.join(column.words)}")
    return list(known)


def text_condition(sql: str, part: Comparison, dialect: Dialect) -> Condition:
    """`sql` as a string against a comparison's value."""
    value = as_text(part.value)
    if part.wildcard:
        condition = f"{sql} GLOB ?" if dialect == "sqlite" else f"{sql} LIKE ?"
        pattern = _glob(value) if dialect == "sqlite" else _like(value)
        return Condition(f"NOT ({condition})" if part.operator == "!=" else condition, [pattern])
    if part.operator == ":":
        if value == "*":
            return Condition(f"{sql} <> ''", [])
        return Condition(f"{'instr' if dialect == 'sqlite' else 'strpos'}({sql}, ?) > 0", [value])
    return Condition(f"{sql} {'<>' if part.operator == '!=' else part.operator} ?", [value])


def _pieces(pattern: str) -> list[str]:
    """Literal characters, and `\\*` for a wildcard."""
    found = re.findall(r"\\.|[^\\]", pattern, re.DOTALL)
    return ["\\*" if one == "*" else one[-1] for one in found]


def _glob(pattern: str) -> str:
    special = {"\\*": "*", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(special.get(one, one) for one in _pieces(pattern))


def _like(pattern: str) -> str:
    special = {"\\*": "%", "%": "\\%", "_": "\\_", "\\": "\\\\"}
    return "".join(special.get(one, one) for one in _pieces(pattern))


def _label(part: Comparison, column: Column, dialect: Dialect) -> Condition:
    if column.kind == "label_rows":
        rows, name, value = f"{column.sql} WHERE 1 = 1", "name", "value"
    else:
        rows, name = f"EXISTS (SELECT 1 FROM json_each({_json(column.sql, dialect)}) j WHERE 1 = 1", "j.key"
        value = "j.value" if dialect == "sqlite" else "j.value #>> '{}'"
    if len(part.field) == 1:
        if part.operator != ":" or part.wildcard:
            raise refused(part, "labels are compared by key", "write labels.KEY = VALUE, labels.KEY:* or labels:KEY")
        if part.value == "*":
            return Condition(f"{rows})", [])
        return Condition(f"{rows} AND {name} = ?)", [as_text(part.value)])
    key = ".".join(part.field[1:])
    if part.operator == ":" and part.value == "*":
        return Condition(f"{rows} AND {name} = ?)", [key])
    same = part if part.operator != ":" or part.wildcard else Comparison(part.field, "=", part.value)
    inner = text_condition(value, same, dialect)
    return Condition(f"{rows} AND {name} = ? AND {inner.sql})", [key, *inner.values])


def _member(part: Comparison, sql: str, dialect: Dialect) -> Condition:
    """A field of a Struct, as one of its types; what is not there or of another type does not match."""
    if len(part.field) == 1 and part.operator == ":" and not part.wildcard:
        key, kind = as_text(part.value), ""
    elif len(part.field) == 2 and part.operator == ":" and part.value == "*":
        key, kind = part.field[1], ""
    elif len(part.field) > 2 and part.field[-1] in ("number_value", "string_value", "bool_value"):
        key, kind = ".".join(part.field[1:-1]), part.field[-1]
    else:
        raise refused(
            part,
            f"{'.'.join(part.field)[:80]!r} does not say of which type it is",
            "write metadata.KEY.number_value, .string_value or .bool_value",
        )
    rows = f"SELECT 1 FROM json_each({_json(sql, dialect)}) j WHERE j.key = ?"
    if not kind or (part.operator == ":" and part.value == "*"):
        return Condition(f"EXISTS ({rows})", [key])
    inner = _typed(part, kind, dialect)
    return Condition(f"EXISTS ({rows} AND {inner.sql})", [key, *inner.values])


def _typed(part: Comparison, kind: str, dialect: Dialect) -> Condition:
    sqlite = dialect == "sqlite"
    plain = "j.value" if sqlite else "(j.value #>> '{}')"
    type_ = "j.type" if sqlite else "json_typeof(j.value)"
    if kind == "string_value":
        inner = text_condition(plain, part, dialect)
        return Condition(f"({type_} = '{'text' if sqlite else 'string'}' AND {inner.sql})", inner.values)
    if part.wildcard:
        raise refused(part, f"a {kind.partition('_')[0]} takes no wildcard")
    operator = "=" if part.operator == ":" else part.operator
    if kind == "bool_value":
        if operator not in ("=", "!="):
            raise refused(part, "a bool takes only = and !=")
        true = _truth(part, part.value) is (operator == "=")
        word = "true" if true else "false"
        return Condition(f"{type_} = '{word}'" if sqlite else f"({type_} = 'boolean' AND {plain} = '{word}')", [])
    value = as_number(part, part.value)
    if sqlite:
        return Condition(f"(j.type IN ('integer', 'real') AND j.value {operator} ?)", [value])
    # Numbers of any size are compared as they are written; the server may look at the sides of AND in any order.
    return Condition(
        f"CASE WHEN {type_} = 'number' THEN CAST({plain} AS NUMERIC) {operator} ? ELSE FALSE END",
        [Decimal(repr(value))],
    )


def _json(sql: str, dialect: Dialect) -> str:
    """A JSON column, unwrapped where it is wrapped (`records/encoding.py`)."""
    if dialect == "sqlite":
        return f"CASE WHEN substr({sql}, 1, 1) = '~' THEN json_extract(substr({sql}, 2), '$.value') ELSE {sql} END"
    # PostgreSQL refuses to read a text with NUL in it, and with it the whole list: there it stands for itself.
    # Backslashes of their own are put aside meanwhile, behind a character that JSON never has as it is.
    aside = f"replace({sql}, '\\\\', chr(1))"
    readable = f"replace(replace({aside}, '\\u0000', '\\ufffd'), chr(1), '\\\\')"
    sql = f"(CASE WHEN strpos({sql}, '\\u0000') > 0 THEN {readable} ELSE {sql} END)"
    return f"CASE WHEN substr({sql}, 1, 1) = '~' THEN substr({sql}, 2)::json->'value' ELSE {sql}::json END"


def member(sql: str, name: str, type_: str, dialect: Dialect) -> str:
    """A member of a JSON column as SQL of its own, 0 where it is not there. `name` and `type_` are ours."""
    if dialect == "sqlite":
        return f"coalesce(json_extract({_json(sql, dialect)}, '$.{name}'), 0)"
    return f"coalesce((({_json(sql, dialect)})->>'{name}')::{type_}, 0)"


def text_member(sql: str, path: Sequence[str], dialect: Dialect) -> str:
    """The text at a path in a JSON column as SQL of its own, '' where it is not there. `path` is ours."""
    if dialect == "sqlite":
        return f"coalesce(json_extract({_json(sql, dialect)}, '$.{'.'.join(path)}'), '')"
    within = "".join(f"->'{name}'" for name in path[:-1])
    return f"coalesce((({_json(sql, dialect)}){within})->>'{path[-1]}', '')"


def as_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_number(part: Comparison | Membership, value: Scalar) -> int | float:
    try:
        found = int(value) if re.fullmatch(r"-?[0-9]{1,18}", str(value)) else float(value)
    except ValueError:
        raise refused(part, f"{str(value)[:40]!r} is not a number") from None
    if isinstance(found, float) and not abs(found) < float("inf"):
        raise refused(part, f"{str(value)[:40]!r} is not a finite number")
    return found


def instant(part: Comparison | Membership, value: Scalar) -> int:
    """RFC 3339 as microseconds since the epoch; UTC where no zone is said."""
    try:
        found = datetime.fromisoformat(str(value))
        found = found.replace(tzinfo=found.tzinfo or UTC)
        return (found - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        message = f"{str(value)[:40]!r} is not a time"
        raise refused(part, message, 'write it as in "2026-01-31T08:00:00Z"') from None


def _truth(part: Comparison | Membership, value: Scalar) -> bool:
    found = {"true": True, "false": False, "1": True, "0": False}.get(as_text(value).lower())
    if found is None:
        raise refused(part, f"{str(value)[:40]!r} is neither true nor false")
    return found
