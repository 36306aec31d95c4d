"""A bucket's names in the order of their UTF-8, page by page, without holding more than the directories on the way.

A directory sorts as its name with a slash. An empty one, and one that was made as a marker, is an object itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator

from cairn.artifacts import object_names
from cairn.artifacts.object_globs import Glob
from cairn.domain.objects import Query

LAST = "\U0010ffff"


def page(root: str, query: Query, markers: Collection[str]) -> tuple[list[str], list[str], str]:
    """(names of objects, prefixes, where the next page begins or ""); `root` is the bucket's directory."""
    names: list[str] = []
    prefixes: list[str] = []
    last = ""
    for name, prefix in _found(root, query, markers):
        if len(names) + len(prefixes) >= query.limit:
            return names, prefixes, last
        if name:
            names.append(name)
        if prefix:
            prefixes.append(prefix)
        last = prefix + LAST if prefix else name
    return names, prefixes, ""


def _found(root: str, query: Query, markers: Collection[str]) -> Iterator[tuple[str, str]]:
    """An object's name, a prefix, or both where a name ends with the delimiter and that was asked for."""
    glob = Glob(query.glob) if query.glob else None
    told = ""
    for name, unlooked in _walk(root, query, markers):
        if query.end and name >= query.end:
            return
        prefix = rolled(name, query)
        is_object = not prefix or (query.trailing_delimiter and prefix == name)
        if is_object and unlooked:
            is_object = _is_marker(root, name, markers)
        shown = name if is_object and (glob is None or glob.matches(name)) else ""
        new_prefix = prefix if prefix != told else ""
        told = prefix or told
        if shown or new_prefix:
            yield shown, new_prefix


def rolled(name: str, query: Query) -> str:
    """The prefix that stands for this name; "" when it stands for itself."""
    if not query.delimiter:
        return ""
    at = name.find(query.delimiter, len(query.prefix))
    return name[: at + len(query.delimiter)] if at >= 0 else ""


def _is_marker(root: str, name: str, markers: Collection[str]) -> bool:
    if name in markers:
        return True
    with os.scandir(f"{root}/{name}") as entries:
        return next(entries, None) is None


def _walk(root: str, query: Query, markers: Collection[str]) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a directory that was not looked into) in order, from where the query begins."""
    above = query.prefix.rpartition("/")[0]
    if above and not object_names.is_fit(above):
        return
    top = f"{root}/{above}" if above else root
    if not os.path.isdir(top) or not object_names.leads_inside(top, root):
        return

    def wanted(name: str) -> bool:
        """Whether a name, or what is below it when it ends with a slash, can be on this page."""
        if name.endswith("/"):
            related = name.startswith(query.prefix) or query.prefix.startswith(name)
        else:
            related = name.startswith(query.prefix)
        return related and _reaches(name, query.after) and _reaches(name, query.start)

    def descends(name: str) -> bool:
        bounded = query.start.startswith(name) or query.end.startswith(name)  # some of what is below may not count
        return bounded or not (query.delimiter == "/" and "/" in name[len(query.prefix) :])

    yield from _directory(root, f"{above}/" if above else "", query, markers, wanted, descends)


def _reaches(name: str, floor: str) -> bool:
    """Whether it, or something below it, is not before `floor`."""
    return name >= floor or (name.endswith("/") and floor.startswith(name))


def _directory(
    root: str,
    name: str,
    query: Query,
    markers: Collection[str],
    wanted: Callable[[str], bool],
    descends: Callable[[str], bool],
) -> Iterator[tuple[str, bool]]:
    """`name` ends with a slash, or is "" for the bucket itself."""
    try:
        with os.scandir(f"{root}/{name}") as entries:
            below = sorted(_child(entry, name, root) for entry in entries)
    except OSError:  # gone meanwhile, or not ours to read
        return
    if name and (not below or name in markers) and name.startswith(query.prefix) and _follows(name, query):
        yield name, False
    for child in below:
        if not child or not wanted(child):
            continue
        if not child.endswith("/"):
            if _follows(child, query):
                yield child, False
        elif descends(child):
            yield from _directory(root, child, query, markers, wanted, descends)
        elif child + LAST > query.after:
            yield child, True


def _follows(name: str, query: Query) -> bool:
    return name > query.after and name >= query.start


def _child(entry: os.DirEntry[str], above: str, root: str) -> str:
    """The object's name, with a slash when it is a directory; "" for what is no object."""
    name = above + entry.name
    if entry.is_dir(follow_symlinks=False):
        name += "/"
    elif entry.is_symlink():
        if not os.path.isfile(entry.path) or not object_names.leads_inside(entry.path, root):
            return ""
    elif not entry.is_file(follow_symlinks=False):
        return ""
    return name if object_names.is_fit(name) else ""
