"""Random requests in the shape of the Vertex API's own description, most of them a little wrong."""

import random
from typing import Any

from cairn.api.vertex.description import Method, Rule, descriptor

_TEXTS = (
    "",
    "a",
    "x" * 300,
    "projects/p/locations/l/pipelineJobs/j",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\x00",
    "\ud800",
    "né",
    "日本",
    "' OR 1=1 --",
    "{{$.inputs}}",
    "<script>",
    "2026-01-01T00:00:00Z",
    "3s",
    "gs://bucket/x",
    "*",
    ":",
    "\r\nX: y",
    "-1",
    "1e999",
    "true",
)
_FILTERS = (
    'state="PIPELINE_STATE_FAILED"',
    "state=",
    'display_name="x*" AND (labels.a:* OR NOT labels.b=c)',
    "((((",
    "a=" * 50,
    'in_context("projects/p/locations/l/metadataStores/default/contexts/c")',
    "metadata.k.number_value>1",
    "-state=x",
    'create_time>"yesterday"',
    'schema_title="a" ' * 200,
    "\x00=1",
    'a="\\',
    "labels.é=1",
    "AND AND",
    "NOT NOT NOT a=1",
)
_NUMBERS = (0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 1.5, 1e308, float("nan"), float("inf"), "12", "NaN")
_WRONG = (None, True, 0, -1, 1e300, "", "text", [], {}, [[]], {"a": {"b": []}}, [None], {"@type": "x"})
_LIMIT = 4  # levels of messages


class Requests:
    """`names`: resource names that exist, by the collection that they end in."""

    def __init__(self, seed: int, names: dict[str, list[str]]) -> None:
        self.random = random.Random(seed)
        self.names = names

    def path(self, rule: Rule) -> str:
        """The rule's template, its variables filled with what is there, what is not, and what cannot be."""
        text, found = rule.template, ""
        while "{" in text:
            before, _, rest = text.partition("{")
            variable, _, text = rest.partition("}")
            found += before + self._resource(variable.partition("=")[2] or "*")
        return found + text

    def query(self, method: Method, rule: Rule) -> list[tuple[str, str]]:
        if rule.body == "*" or self.random.random() < 0.2:
            return []
        fields = list(descriptor(method.request).fields)
        chosen = self.random.sample(fields, self.random.randint(0, min(4, len(fields))))
        found = []
        for field in chosen:
            name = self.random.choice((field.name, field.json_name))
            value = self.random.choice(_FILTERS) if field.name == "filter" else self._query_value()
            found.append((name, value.encode("utf-8", "replace").decode()))
        return found

    def body(self, method: Method, rule: Rule) -> Any:
        message = descriptor(method.request)
        if rule.body and rule.body != "*":
            message = message.fields_by_name[rule.body].message_type
        made = self.message(message, 0)
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 5))):
            made = self._spoiled(made)
        return made

    def message(self, message: Any, level: int) -> Any:
        known = self._well_known(message.full_name)
        if known is not None:
            return known
        fields = list(message.fields)
        count = self.random.randint(0, min(6, len(fields)))
        found = {}
        for field in self.random.sample(fields, count):
            if field.message_type is not None and level >= _LIMIT:
                continue
            name = self.random.choice((field.name, field.json_name))
            found[name] = self._field(field, level)
        return found

    def _field(self, field: Any, level: int) -> Any:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {self._text()[:40]: self._one(value, level) for _ in range(self.random.randint(0, 3))}
        if field.is_repeated:
            return [self._one(field, level) for _ in range(self.random.randint(0, 3))]
        return self._one(field, level)

    def _one(self, field: Any, level: int) -> Any:
        if field.message_type is not None:
            return self.message(field.message_type, level + 1)
        if field.enum_type is not None:
            values = field.enum_type.values
            chosen = self.random.choice(list(values))
            return self.random.choice((chosen.name, chosen.number, "NOT_A_VALUE", 999))
        if field.type == field.TYPE_BOOL:
            return self.random.choice((True, False, "true", 1))
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            return self._name_or_text(field)
        return self.random.choice(_NUMBERS)

    def _name_or_text(self, field: Any) -> str:
        known = [name for names in self.names.values() for name in names]
        if known and ("name" in field.name or field.name in ("artifact", "execution", "context")):
            return self.random.choice((*known, self._text()))
        return self._text()

    def _well_known(self, name: str) -> Any:
        match name:
            case "google.protobuf.Struct":
                return {self._text()[:20]: self._json(3) for _ in range(self.random.randint(0, 3))}
            case "google.protobuf.Value":
                return self._json(3)
            case "google.protobuf.Timestamp":
                return self.random.choice(("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789+02:00", "now", 5, ""))
            case "google.protobuf.Duration":
                return self.random.choice(("3s", "3.000000001s", "-1s", "1e9s", 3, "x"))
            case "google.protobuf.FieldMask":
                return self.random.choice(("name,displayName", "*", "a.b.c", "", ",,", "display_name"))
            case "google.protobuf.Any":
                return {"@type": "type.googleapis.com/google.protobuf.Empty"}
        return None

    def _json(self, depth: int) -> Any:
        if depth == 0 or self.random.random() < 0.6:
            return self.random.choice((*_NUMBERS[:6], True, None, self._text()))
        if self.random.random() < 0.5:
            return [self._json(depth - 1) for _ in range(3)]
        return {self._text()[:10]: self._json(depth - 1) for _ in range(3)}

    def _spoiled(self, made: Any) -> Any:
        """One place of it, changed for something that does not belong there."""
        if isinstance(made, dict) and made and self.random.random() < 0.8:
            key = self.random.choice(list(made))
            return {**made, key: self._spoiled(made[key])}
        if isinstance(made, list) and made and self.random.random() < 0.8:
            at = self.random.randrange(len(made))
            return [*made[:at], self._spoiled(made[at]), *made[at + 1 :]]
        if isinstance(made, dict) and self.random.random() < 0.3:
            return {**made, "noSuchField": 1}
        return self.random.choice(_WRONG)

    def _resource(self, pattern: str) -> str:
        collection = pattern.rpartition("/*")[0].rpartition("/")[2]
        known = self.names.get(collection, [])
        if known and self.random.random() < 0.6:
            return self.random.choice(known)
        parts = []
        for part in pattern.split("/"):
            parts.append(self._segment() if part in ("*", "**") else part)
        return "/".join(parts)

    def _segment(self) -> str:
        return self.random.choice(
            ("fuzz", "us-central1", "default", "1", "a%2Fb", "%00", "..", "x" * 300, "a:b", "%F0%9F")
        )

    def _query_value(self) -> str:
        return self.random.choice((self._text(), str(self.random.choice(_NUMBERS)), "name,state", "create_time desc"))

    def _text(self) -> str:
        return self.random.choice(_TEXTS)
