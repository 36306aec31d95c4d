"""The commands that kfp.dsl compiles for Python components, taken apart.

Source: `kfp/dsl/component_factory.py` of kfp 2.0 to 2.17 (in 2.0, `kfp/components/component_factory.py`).
A lightweight component's command is

    sh -c <install packages with pip, then "$0" "$@">  sh -ec <write $0 to a file, run it with executor_main>  SOURCE

where the first half is missing when there is nothing to install. What deviates in one token is the user's own command
and is not touched.
"""

from __future__ import annotations

import shlex

import msgspec

DSL_MODULE = "kfp.dsl.executor_main"
_MODULES = (DSL_MODULE, "kfp.components.executor_main", "kfp.v2.components.executor_main")

_INSTALL_HEAD = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip
fi

PIP_DISABLE_PIP_VERSION_CHECK=1 """
_INSTALL_TAIL = ' && "$0" "$@"\n'
_USE_VENV = """
export PIP_DISABLE_PIP_VERSION_CHECK=1
tmp=$(mktemp -d)
python3 -m venv "$tmp/venv" --system-site-packages
. "$tmp/venv/bin/activate"
"""
_PIP = ["python3", "-m", "pip", "install", "--quiet", "--no-warn-script-location"]
_PROGRAM_HEAD = 'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py"'
_PROGRAM_TAIL = '--component_module_path "$program_path/ephemeral_component.py" "$@"'

_VALUE_OPTIONS = {
    "-i": "index",
    "--index-url": "index",
    "--extra-index-url": "extra",
    "--trusted-host": "trusted",
    "-f": "links",
    "--find-links": "links",
}
# They change how pip goes about it, not what a fresh environment holds.
_NEUTRAL_OPTIONS = frozenset(
    {"-U", "--upgrade", "-q", "--quiet", "--no-cache-dir", "--no-cache", "--user", "--force-reinstall", "--no-input",
     "--break-system-packages", "--disable-pip-version-check", "--no-warn-script-location", "--prefer-binary"}
)  # fmt: skip


class Install(msgspec.Struct, frozen=True):
    """What the install script asks of pip: packages with their dependencies, then packages alone, as named."""

    packages: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()  # behind --no-deps
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    prerelease: bool = False


class Lightweight(msgspec.Struct, frozen=True):
    """A lightweight component's command. `module` reads `source` and is given `arguments`."""

    install: Install
    module: str
    source: str
    arguments: tuple[str, ...]
    program: str  # the script of `sh -ec`, as it stands


def added_by(shape: Lightweight) -> tuple[Install, tuple[str, ...]]:
    """What it installs, and its command once that is there."""
    return shape.install, ("sh", "-ec", shape.program, shape.source, *shape.arguments)


class Containerized(msgspec.Struct, frozen=True):
    """`python3 -m kfp.dsl.executor_main …`: the source is in the image."""

    module: str
    arguments: tuple[str, ...]


def recognise(command: tuple[str, ...], args: tuple[str, ...]) -> Lightweight | Containerized | None:
    """What kfp compiled, or None when the command is the user's own."""
    if len(command) == 3 and command[:2] == ("python3", "-m") and command[2] in _MODULES:
        return Containerized(command[2], args)
    install: Install | None = Install()
    if len(command) >= 3 and command[:2] == ("sh", "-c"):
        install = read_install_script(command[2])
        command = command[3:]
    if install is None or len(command) < 4 or command[:2] != ("sh", "-ec"):
        return None
    module = _program_module(command[2])
    if module is None:
        return None
    return Lightweight(install, module, command[3], command[4:] + args, command[2])


def _program_module(program: str) -> str | None:
    words = " ".join(program.split())
    for module in _MODULES:
        for runtime in ("_KFP_RUNTIME=true ", ""):
            if words == f"{_PROGRAM_HEAD} {runtime}python3 -m {module} {_PROGRAM_TAIL}":
                return module
    return None


def read_install_script(script: str) -> Install | None:
    """The packages an install script asks for, or None when kfp did not write it."""
    if not script.startswith(_INSTALL_HEAD) or not script.endswith(_INSTALL_TAIL):
        return None
    body = script[len(_INSTALL_HEAD) : -len(_INSTALL_TAIL)].replace(_USE_VENV, " ", 1)
    words = _words(body)
    if words is None:
        return None
    reading = _Reading()
    for command in _split(words, "&&"):
        if command[: len(_PIP)] != _PIP or not reading.take(command[len(_PIP) :]):
            return None
    return reading.install()


def _words(text: str) -> list[str] | None:
    """Shell words; None where the shell would do more than split and unquote."""
    if "`" in text or "$(" in text or "\n" in text.strip():
        return None
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return None
    return None if any(word and set(word) <= set("();<>|&") and word != "&&" for word in words) else words


def _split(words: list[str], separator: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            groups.append([])
        else:
            groups[-1].append(word)
    return groups


class _Reading:
    """pip's command line, one `pip install` after the other."""

    def __init__(self) -> None:
        self.packages: list[str] = []
        self.bare: list[str] = []
        self.values: dict[str, list[str]] = {"index": [], "extra": [], "trusted": [], "links": []}
        self.prerelease = False

    def take(self, words: list[str]) -> bool:
        """Add one command's words; False when an option is not known."""
        found: list[str] = []
        no_deps = False
        rest = iter(words)
        for word in rest:
            name, equals, value = word.partition("=")
            if word == "--no-deps":
                no_deps = True
            elif word == "--pre":
                self.prerelease = True
            elif name in _VALUE_OPTIONS:
                self.values[_VALUE_OPTIONS[name]].append(value if equals else next(rest, ""))
            elif word in _NEUTRAL_OPTIONS:
                continue
            elif word.startswith("-") or not word:
                return False
            else:
                found.append(word)
        self._sort(found, no_deps)
        return bool(found)

    def _sort(self, found: list[str], no_deps: bool) -> None:
        """kfp 2.1 names its own `kfp==… --no-deps …` in the same command as the user's packages: those keep theirs."""
        for package in found:
            own = package.startswith(("kfp==", "typing-extensions"))
            alone = no_deps and (own or not any(other.startswith("kfp==") for other in found))
            (self.bare if alone else self.packages).append(package)

    def install(self) -> Install:
        def unique(values: list[str]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(values))

        return Install(
            packages=unique(self.packages),
            bare=unique(self.bare),
            index_url=self.values["index"][-1] if self.values["index"] else "",
            extra_index_urls=unique(self.values["extra"]),
            find_links=unique(self.values["links"]),
            trusted_hosts=unique(self.values["trusted"]),
            prerelease=self.prerelease,
        )
