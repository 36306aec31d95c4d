"""What the documents say exists: links lead somewhere, and every `cairn …` line is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cairn.cli.commands import cairn
from cairn.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
DOCUMENTS = [ROOT / name for name in NAMES] + sorted((ROOT / "docs").glob("*.md"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`(cairn [^`]+)`")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*$")


def links(text: str) -> list[str]:
    return [link for link in _LINK.findall(_FENCE.sub("", text)) if "://" not in link]


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[str]:
    """Lines after a prompt, those that a backslash continues as one, and what stands in the running text as code."""
    for language, body in _FENCE.findall(text):
        if language == "console":
            yield from (line[2:] for line in re.sub(r"\\\n\s*", "", body).splitlines() if line.startswith("$ "))
    yield from _INLINE.findall(_FENCE.sub("", text))


def cairn_words(line: str) -> list[str] | None:
    """What follows `cairn`, without variables before it and comments behind it; None for another program."""
    words = shlex.split(line, comments=True)
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    return words[1:] if words and words[0] == "cairn" else None


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Hold words to the real tree of commands; nothing is run. Raises click.UsageError."""
    name = "cairn" if parent is None else command.name
    with command.make_context(name, list(words), parent=parent) as context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            _, found, below = command.resolve_command(context, rest)
            assert found is not None
            parse(found, below, context)


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in links(document.read_text()):
            file, _, anchor = link.partition("#")
            target = (document.parent / file) if file else document
            assert target.exists(), f"{document.name}: {link}"
            if anchor:
                assert anchor in anchors(target.read_text()), f"{document.name}: {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {ROOT / link.partition("#")[0] for link in links((ROOT / "README.md").read_text())}
    assert set((ROOT / "docs").glob("*.md")) <= reached


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_is_one_that_the_command_line_takes(document: Path) -> None:
    for line in commands(document.read_text()):
        words = cairn_words(line)
        if not words or words[-1] in ("--help", "--version") or "…" in line or "|" in line:
            continue
        try:
            parse(cairn, words)
        except click.UsageError as error:
            # Prose names a command without its arguments: `cairn runs resume`.
            if (
                isinstance(error, click.MissingParameter | click.exceptions.NoArgsIsHelpError)
                and f"`{line}`" in document.read_text()
            ):
                continue
            pytest.fail(f"{document.name}: {line}: {error.format_message()}")


def test_a_command_that_does_not_exist_is_found() -> None:
    for line in ("cairn runs lits", "cairn run x.yaml --no-cahce", "cairn gc a b"):
        with pytest.raises(click.UsageError):
            parse(cairn, cairn_words(line) or [])


def test_the_configuration_shown_is_the_configuration_there_is() -> None:
    import tomllib

    import msgspec

    text = (ROOT / "docs" / "configuration.md").read_text()
    shown = next(body for language, body in _FENCE.findall(text) if language == "toml" and "[machine]" in body)
    found = tomllib.loads(shown)
    real = msgspec.to_builtins(Settings())
    assert found.keys() == real.keys()
    for section, keys in found.items():
        if section not in ("images", "buckets"):
            assert keys.keys() == real[section].keys(), section
            same = {name: value for name, value in keys.items() if section != "machine"}
            assert same == {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in real[section].items()
                if name in same
            }
    msgspec.convert(found, Settings)
