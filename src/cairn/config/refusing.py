"""What Hydra and OmegaConf raise as ConfigurationError: their own words, the file they are about, the nearest names.

Imported together with Hydra, by `loading`.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)

from cairn.config.absent import package_of
from cairn.config.places import default_place, place_of
from cairn.errors import ConfigurationError

if TYPE_CHECKING:
    from cairn.config.loading import Loader

SHOWN_NAMES = 10
_OF_READING = (yaml.YAMLError, OSError, UnicodeError, OmegaConfBaseException)
_IN = re.compile(r"^In '?([^':\n]+)'?:")
_NOT_FOUND = re.compile(r"Could not (?:find|load) '([^']+)'")
_KEY = re.compile(r"(?:Could not override|delete from config\.(?: The value of)?) '([^']+)'")
_MARKED = re.compile(r'in "([^"]+)", line (\d+)')
_INTERPOLATION = re.compile(r"\$\{([.\w\-\[\]]+)\}")
_MISSING = re.compile(r"Missing mandatory value: (\S+)")
_VARIABLE = re.compile(r"Environment variable '([^']+)' not found")
_SEARCHED = re.compile(r"provider=hydra\.searchpath[^,]*, path=file://(.+)")
_LISTED = re.compile(r"Did you mean to override one of ([^?]+)\?")
_NOISE = re.compile(r"\s*(?:object_type=|full_key: *$)")
_OVERRIDE = re.compile(r"^(?:~|\+{1,2})?([^=@]*)(?:@[^=]*)?(?:=(.*))?$", re.DOTALL)


def refused(error: Exception, loader: Loader, overrides: list[str]) -> ConfigurationError:
    """`overrides` as they were given."""
    if isinstance(error, MissingConfigException):
        return _option_missing(error, loader, overrides)
    if isinstance(error, OverrideParseException):
        return _of_override(error.message, error.override, loader, _quoted(error.override))
    message = _message(error)
    culprit = _culprit(message, overrides)
    if culprit:
        return _of_override(message, culprit, loader, _nearest_keys(error, message, culprit, loader, overrides))
    place = _place(error, message, loader, overrides)
    return ConfigurationError(_with_cycle(message, error, loader), place=place, remedy=_remedy(error, message))


def _message(error: Exception) -> str:
    """As Hydra prints it: its own message and that of the OmegaConf error behind it."""
    said = [str(error)] if str(error).strip() else []
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and str(cause) not in said:
        said.append(str(cause))
    if not said:
        said.append(type(error).__name__)
    if not _is_hydras(error):  # Python's own: without its name `'HOME'` says nothing
        said[0] = f"{type(error).__name__}: {said[0]}"
    return "\n".join(line for line in "\n".join(said).splitlines() if line.strip() and not _NOISE.match(line))


def _is_hydras(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in {"hydra", "omegaconf", "yaml"} or type(error) is ValueError


# --- options of groups -----------------------------------------------------------------------------------------------


def _option_missing(error: MissingConfigException, loader: Loader, overrides: list[str]) -> ConfigurationError:
    message = str(error).strip()
    found = _NOT_FOUND.search(message)
    if found is None:  # the primary configuration, or its directory
        return ConfigurationError(message, place=loader.directory, remedy=_primary_names(loader))
    option = found.group(1)
    group, _, name = option.rpartition("/")
    remedy = _remedy_of_option(option, message, list(error.options or loader.options(group)), loader)
    for override in overrides:
        match = _OVERRIDE.match(override)
        if match and match.group(1) == group and name in (match.group(2) or ""):
            return ConfigurationError(message, place=f"{loader.primary}: {override}", remedy=remedy)
    parent = _IN.match(message)
    file = loader.file_of(parent.group(1)) if parent else ""
    return ConfigurationError(message, place=default_place(file, option) if file else loader.primary, remedy=remedy)


def _remedy_of_option(option: str, message: str, options: list[str], loader: Loader) -> str:
    group, _, name = option.rpartition("/")
    if package := package_of(option):
        return f"install it beside Cairn, in the same environment: pip install {package}"
    if absent := [folder for folder in _SEARCHED.findall(message) if not os.path.isdir(folder)]:
        from_here = "a path from the configuration's own directory is file://${cairn.config_dir:}/…"
        return f"hydra.searchpath: there is no folder {os.path.abspath(absent[0])}; {from_here}"
    if renamed := _yml(loader, option):
        return renamed
    if inside := loader.options(option):
        return f"{option} is a group, of {', '.join(inside[:SHOWN_NAMES])}: write `- {option}: {inside[0]}`"
    if options:
        return _choice(name, options) + ("" if group else "; Python that registers more is given with --config-import")
    return _choice(group or name, _groups(loader), "the groups are")


def _yml(loader: Loader, option: str) -> str:
    file = f"{loader.directory}/{option.removesuffix('.yml')}.yml"
    return f"Hydra reads .yaml files: rename {file}" if os.path.isfile(file) else ""


def _primary_names(loader: Loader) -> str:
    if not os.path.isdir(loader.directory):
        return "--config-dir names the directory that holds the configuration's files"
    if renamed := _yml(loader, loader.name):
        return renamed
    names = loader.options("", in_files=True)
    return _choice(loader.name, names) if names else "it holds no .yaml file"


def _groups(loader: Loader, below: str = "") -> list[str]:
    found = []
    for name in loader.options(below, ObjectType.GROUP):
        path = f"{below}/{name}" if below else name
        if path != "hydra":
            found += [path, *_groups(loader, path)]
    return found


def _choice(name: str, known: Iterable[str], words: str = "there is") -> str:
    """All there is, the nearest first."""
    known = list(dict.fromkeys(known))
    if not known:
        return ""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    ordered = [*near, *(one for one in sorted(known) if one not in near)]
    more = f" and {len(ordered) - SHOWN_NAMES} more" if len(ordered) > SHOWN_NAMES else ""
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}{words} {', '.join(ordered[:SHOWN_NAMES])}{more}"


# --- overrides -------------------------------------------------------------------------------------------------------


def _culprit(message: str, overrides: list[str]) -> str:
    """The override that the message is about; "" for none."""
    for override in sorted(overrides, key=len, reverse=True):
        if re.search(rf"(?:^|[\s'+(]){re.escape(override)}(?:$|[\s'.)])", message):
            return override
    found = _KEY.search(message)
    for override in overrides if found else ():
        match = _OVERRIDE.match(override)
        if found and match and found.group(1).partition("@")[0] == match.group(1):
            return override
    return ""


def _of_override(message: str, override: str, loader: Loader, remedy: str) -> ConfigurationError:
    return ConfigurationError(message, place=f"{loader.primary}: {override}", remedy=remedy)


def _quoted(override: str) -> str:
    """How a text that Hydra's grammar does not take as it is is written, for a shell; "" for what is no plain text."""
    key, sign, value = override.partition("=")
    if not sign:
        return "write NAME=VALUE" if re.fullmatch(r"[\w.]+", key) else ""
    if not re.fullmatch(r"(?:~|\+{1,2})?[\w.@/]+", key) or re.match(r"\w*\(|[\[{'\"]", value):
        return ""
    # Hydra's grammar: a backslash is one unless a quote follows it.
    text = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), value)
    return "a text like this is quoted for Hydra, too: " + shlex.quote(f'{key}="{text}"')


def _nearest_keys(error: Exception, message: str, override: str, loader: Loader, overrides: list[str]) -> str:
    """Of a key that does not exist: those that are near, and how to add it."""
    wrong_key = isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError) or _KEY.search(message)
    match = _OVERRIDE.match(override)
    if not wrong_key or match is None:
        return ""
    key = match.group(1)
    others = [one for one in overrides if one != override]
    if elsewhere := _LISTED.search(message):  # the group, but in another package
        meant = (f"{one.strip()}={match.group(2)}" for one in elsewhere.group(1).split(","))
        return f"did you mean {' or '.join(meant)}?"
    if "No match in the defaults list" in message:
        chosen = _choices(loader, others)
        listed = _choice(key, chosen, "its groups are") if chosen else "it has none"
        return f"+{override.lstrip('+')} adds it to the defaults list: {listed}"
    known = _keys(loader, others) or _keys(loader, [])
    if not key.startswith("hydra"):
        known = [one for one in known if one != "hydra" and not one.startswith("hydra.")]
    near = nearest_keys(key, known)
    add = "" if override.startswith("~") else f"+{override.lstrip('+')} adds it"
    if add and (of_the_run := _of_the_run(key)):
        return add if key.split(".")[1] == of_the_run else f"did you mean +cairn.{of_the_run}?"
    if near:
        return f"did you mean {' or '.join(near)}?" + (f" {add}" if add else "")
    tops = [one for one in known if "." not in one]
    return (f"{add}; " if add else "") + _choice(key, tops, "its keys are")


def _of_the_run(key: str) -> str:
    """The key of the `cairn` node, which may have it and only does not have it yet, or the nearest; "" for no such."""
    from cairn.config.mapping import RUN_KEYS  # which needs composing, as it maps what was composed

    node, _, below = key.partition(".")
    name = below.partition(".")[0]
    if node != "cairn" or not name:
        return ""
    return name if name in RUN_KEYS else next(iter(difflib.get_close_matches(name, RUN_KEYS, n=1)), "")


def nearest_keys(key: str, known: list[str]) -> list[str]:
    """Full dotted keys that `key` may have meant: spelt alike, or with the same last part."""
    last = key.rpartition(".")[2]
    alike = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    ends = [one for one in known if one.rpartition(".")[2] == last]
    tails = {one.rpartition(".")[2] for one in known}
    near_ends = [
        one for tail in difflib.get_close_matches(last, tails, n=1, cutoff=0.75) for one in known
        if one.rpartition(".")[2] == tail
    ]  # fmt: skip
    return list(dict.fromkeys([*(one for one in alike if one in near_ends), *ends, *alike, *near_ends]))[:3]


def _keys(loader: Loader, overrides: list[str]) -> list[str]:
    with suppress(Exception):  # it is only for a hint: what else is wrong is told when this is put right
        container = OmegaConf.to_container(loader.loaded(overrides), resolve=False)
        return list(_dotted(container, ""))
    return []


def _choices(loader: Loader, overrides: list[str]) -> list[str]:
    """The groups of the defaults list."""
    with suppress(Exception):
        return [one for one in loader.loaded(overrides).hydra.runtime.choices if not one.startswith("hydra/")]
    return []


def _dotted(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            path = f"{prefix}.{key}" if prefix else str(key)
            yield path
            yield from _dotted(one, path)


# --- what stands in a file -------------------------------------------------------------------------------------------


def _place(error: Exception, message: str, loader: Loader, overrides: list[str]) -> str:
    """`file:line` as near as it is known, at least the primary file."""
    if isinstance(error, yaml.MarkedYAMLError) and (marks := _MARKED.findall(str(error))):
        return f"{marks[-1][0]}:{marks[-1][1]}"
    key = _full_key(error)
    inside = _IN.match(message)
    if inside and (file := loader.file_of(inside.group(1))):
        packages = [package for one, package in loader.files if one == file]
        within = [(file, package) for package in packages] or [(file, "")]
        of_defaults = default_place(file, "") if "defaults list" in message.lower() else file
        return (place_of(within, key) if key else "") or of_defaults
    for override in overrides if key else ():
        match = _OVERRIDE.match(override)
        if match and match.group(1) == key:  # nothing in a file says this: the command line does
            return f"{loader.primary}: {override}"
    if key and (place := place_of(loader.files, key)):
        return place
    if loader.files or not isinstance(error.__cause__ or error, _OF_READING):
        return loader.primary
    return (place_of([(loader.reading, "")], key) if key else "") or loader.reading or loader.primary


def _full_key(error: Exception) -> str:
    """Of the innermost OmegaConf error that knows it."""
    seen: BaseException | None = error
    while seen is not None:
        key = getattr(seen, "full_key", None)
        if key:
            return str(key)
        seen = seen.__cause__ or seen.__context__
    return ""


def _remedy(error: Exception, message: str) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InterpolationToMissingValueError | MissingMandatoryValue):
            found = _MISSING.search(message)
            return f"give {found.group(1)}=…" if found else ""
        if isinstance(seen, UnsupportedInterpolationType):
            return "--config-import FILE imports the Python that registers this resolver"
        seen = seen.__cause__
    variable = _VARIABLE.search(message)
    return f"set it, or say what else: ${{oc.env:{variable.group(1)},DEFAULT}}" if variable else ""


def _with_cycle(message: str, error: Exception, loader: Loader) -> str:
    """The way round a cycle of interpolations, which OmegaConf does not tell."""
    key = _full_key(error)
    if "ecursive interpolation" not in message or not key or loader.latest is None:
        return message
    way = [key]
    while way[-1] not in way[:-1]:
        following = _followed(loader, way[-1])
        if not following:
            return message
        way.append(following)
    told = "\n".join(f"    {one}  {place_of(loader.files, one)}" for one in way[way.index(way[-1]) : -1])
    return f"{message.splitlines()[0]}: {' → '.join(way)}\n{told}"


def _followed(loader: Loader, key: str) -> str:
    """What the key's interpolation names; the first of several that is itself one."""
    written = OmegaConf.to_container(loader.latest, resolve=False) if loader.latest is not None else {}
    for reference in _INTERPOLATION.findall(str(_value(written, key))):
        base = key.split(".")
        dots = len(reference) - len(reference.lstrip("."))
        name = ".".join([*base[: len(base) - dots], reference.lstrip(".")]) if dots else reference
        if "${" in str(_value(written, name)):
            return name
    return ""


def _value(container: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(container, dict):
            container = container.get(part)
        elif isinstance(container, list) and part.isdigit() and int(part) < len(container):
            container = container[int(part)]
        else:
            return None
    return container
