"""The filter and ordering language of Vertex AI's lists: https://google.aip.dev/160 and https://google.aip.dev/132.

As there, OR binds tighter than AND: `a AND b OR c` means `a AND (b OR c)`.
"""

from __future__ import annotations

import re
from typing import NoReturn, cast

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Operator, Or, Order

MAX_LENGTH = 16_384  # characters
MAX_DEPTH = 32  # of parentheses and NOT
MAX_COMPARISONS = 250
MAX_WILDCARDS = 4  # in one value: the time to match grows with each

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"!=|<=|>=|[=<>:]")
_WORD = re.compile(r"""[^\s()"',.=<>!:]+""")  # a segment of a field's path
_BARE = re.compile(r"""[^\s()"',]+""")  # a value without quotes: 2020-11-19T11:30:00-04:00, projects/p/locations/l
_KEYWORD = re.compile(r"(AND|OR|NOT)(?=[\s()]|$)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r"}
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


def parse_filter(text: str) -> Filter | None:
    """None for a blank text. Raises InputRefused with the offset of what is wrong."""
    parser = _Parser(text)
    if not text.strip():
        return None
    found = parser.expression(0)
    if parser.at < len(text):
        parser.refuse("nothing was expected here", parser.at)
    return found


def parse_order(text: str) -> tuple[Order, ...]:
    """`create_time desc, display_name`. Raises InputRefused."""
    orders: list[Order] = []
    for part in text.split(",") if text.strip() else ():
        words = part.split()
        direction = words[1].lower() if len(words) == 2 else "asc"
        usable = 0 < len(words) < 3 and direction in ("asc", "desc") and not _UNUSABLE.search(part)
        if not usable or len(orders) == 8 or len(part) > 200:
            raise InputRefused(
                f"{part.strip()[:80]!r} is not an ordering",
                place="order_by",
                remedy="write up to 8 of `field` or `field desc`, with commas between",
            )
        orders.append(Order(snake_case(words[0]), direction == "desc"))
    return tuple(orders)


def snake_case(name: str) -> str:
    """`createTime` → `create_time`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


class _Parser:
    """Recursive descent over AIP-160's grammar; `at` is the offset of what comes next, behind white space."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise InputRefused(f"it has more than {MAX_LENGTH} characters", place="filter")
        self.text = text
        self.at = 0
        self.count = 0
        unusable = _UNUSABLE.search(text)
        if unusable:
            self.refuse("this character cannot be used", unusable.start())
        self.space()

    def refuse(self, message: str, place: int) -> NoReturn:
        near = self.text[place : place + 24]
        where = f"before {near!r}" if near else "at the end"
        raise InputRefused(f"{message} ({where})", place=f"filter, offset {place}")

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def keyword(self) -> str:
        """AND, OR or NOT, if it comes next."""
        found = _KEYWORD.match(self.text, self.at)
        return found[1] if found else ""

    def take(self, word: str) -> None:
        self.at += len(word)
        self.space()

    def expression(self, depth: int) -> Filter:
        """Sequences with AND between; what merely stands side by side is joined likewise."""
        parts = [self.factor(depth)]
        while self.at < len(self.text) and self.peek() not in "),":
            if self.keyword() == "AND":
                self.take("AND")
            parts.append(self.factor(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def factor(self, depth: int) -> Filter:
        parts = [self.term(depth)]
        while self.keyword() == "OR":
            self.take("OR")
            parts.append(self.term(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def term(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            self.refuse(f"it is nested more than {MAX_DEPTH} deep", self.at)
        if self.keyword() == "NOT":
            self.take("NOT")
            return Not(self.term(depth + 1))
        if self.peek() == "-":
            self.at += 1
            return Not(self.term(depth + 1))
        if self.peek() == "(":
            opened = self.at
            self.take("(")
            found = self.expression(depth + 1)
            if self.peek() != ")":
                self.refuse("this parenthesis is not closed", opened)
            self.take(")")
            return found
        return self.restriction()

    def restriction(self) -> Filter:
        self.count += 1
        if self.count > MAX_COMPARISONS:
            self.refuse(f"it has more than {MAX_COMPARISONS} comparisons", self.at)
        place = self.at
        if self.keyword():
            self.refuse("a comparison was expected, not a keyword", place)
        field = self.field()
        if self.peek() == "(":
            return self.function(field, place)
        self.space()
        operator = _OPERATOR.match(self.text, self.at)
        if operator is None:
            self.refuse("one of = != < <= > >= : was expected", self.at)
        self.take(operator[0])
        return self.compared(field, cast("Operator", operator[0]), place)

    def field(self) -> tuple[str, ...]:
        names: list[str] = []
        quoted: set[int] = set()
        while True:
            if self.peek() in ("'", '"') and names:
                quoted.add(len(names))
                names.append(self.string()[0])
            else:
                found = _WORD.match(self.text, self.at)
                if found is None:
                    self.refuse("the name of a field was expected", self.at)
                names.append(found[0])
                self.at = found.end()
            if self.peek() != ".":
                return _path(names, quoted)
            self.at += 1

    def function(self, field: tuple[str, ...], place: int) -> Membership:
        self.take("(")
        values: list[str] = []
        while True:
            values.append(self.value()[0])
            self.space()
            if self.peek() == ",":
                self.take(",")
            elif self.peek() == ")":
                self.take(")")
                return Membership(field, tuple(values), place)
            else:
                self.refuse("a comma or a closing parenthesis was expected", self.at)

    def compared(self, field: tuple[str, ...], operator: Operator, place: int) -> Comparison:
        start = self.at
        value, pattern = self.value()
        end = self.at
        self.space()
        if self.at == end and self.peek() not in ("", ")"):
            self.refuse("white space was expected behind the value", end)
        wildcard = pattern is not None and operator in ("=", "!=", ":") and value != "*"
        if wildcard and len(re.findall(r"(?<!\\)\*", re.sub(r"\\\\", "", pattern or ""))) > MAX_WILDCARDS:
            self.refuse(f"a value may have {MAX_WILDCARDS} wildcards", start)
        return Comparison(field, operator, pattern if wildcard and pattern is not None else value, wildcard, place)

    def value(self) -> tuple[str, str | None]:
        """The value, and the pattern that it is where it holds a `*` that is not escaped."""
        if self.peek() in ("'", '"') and self.peek():
            return self.string()
        found = _BARE.match(self.text, self.at)
        if found is None:
            self.refuse("a value was expected", self.at)
        self.at = found.end()
        pattern = found[0].replace("\\", "\\\\")
        return found[0], pattern if "*" in found[0] else None

    def string(self) -> tuple[str, str | None]:
        """Behind a backslash, n, t and r mean what they do everywhere, and every other character itself."""
        opened, quote = self.at, self.peek()
        value: list[str] = []
        pattern: list[str] = []
        wildcard = False
        self.at += 1
        while self.peek() != quote:
            character = self.peek()
            if not character:
                self.refuse("this string does not end", opened)
            self.at += 1
            if character == "\\":
                character = _PLAIN.get(self.peek(), self.peek())
                self.at += 1
                pattern.append("\\" + character if character in ("*", "\\") else character)
            else:
                wildcard = wildcard or character == "*"
                pattern.append(character)
            value.append(character)
        self.at += 1
        return "".join(value), "".join(pattern) if wildcard else None


def _path(names: list[str], quoted: set[int]) -> tuple[str, ...]:
    """Snake case, except for what a user has named: the keys of labels and metadata."""
    first = snake_case(names[0])
    if first == "labels":
        kept = set(range(1, len(names)))
    elif first == "metadata":
        kept = set(range(1, max(len(names) - 1, 2)))
    else:
        kept = quoted
    return tuple(name if at in kept | quoted else snake_case(name) for at, name in enumerate(names))
