"""Environments built from wheels that are written here: no index is asked, so that every machine can run this."""

import base64
import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from cairn.config.home import Home
from cairn.config.settings import EnvironmentsSettings
from cairn.environments.command_shape import Install
from cairn.environments.interpreters import default_version
from cairn.environments.service import UvEnvironments
from cairn.environments.specification import UvSpec


def write_wheel(
    directory: Path, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()
) -> Path:
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in contents.items():
            wheel.writestr(inside, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{inside},sha256={digest},{len(text)}\n")
        wheel.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return path


@pytest.fixture
def wheelhouse(tmp_path):
    directory = tmp_path / "wheels"
    directory.mkdir()
    write_wheel(directory, "lower", "1.0", {"lower.py": "value = 1\n"})
    write_wheel(directory, "upper", "1.0", {"upper.py": "import lower\n"}, ("lower",))
    write_wheel(directory, "kfp", "2.17.0", {"kfp/__init__.py": "", "kfp/dsl/__init__.py": ""}, ("unobtainable",))
    many = {f"large/module_{number}.py": f"x = {number}\n" * 200 for number in range(400)}
    write_wheel(directory, "large", "1.0", {"large/__init__.py": "", **many})
    return directory


@pytest.fixture
def add_wheel(wheelhouse):
    """`add_wheel("name", "1.0", {file: text}, requires)` puts one more package into the wheelhouse."""

    def add(name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> None:
        write_wheel(wheelhouse, name, version, files, requires)

    return add


@pytest.fixture
def settings(wheelhouse):
    return EnvironmentsSettings(find_links=(str(wheelhouse),), offline=True)


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return Home.open(tmp_path / "home")


@pytest.fixture
def environments(home, settings):
    return UvEnvironments(home, settings)


@pytest.fixture
def spec(environments):
    """`spec("upper", bare=("kfp==2.17.0",))`: what a plan would hold."""

    def make(*packages, bare=(), brought="", source=environments, **more) -> UvSpec:

        base = source.specification(more.pop("python", default_version()), Install(packages, bare))
        return msgspec.structs.replace(base, brought=brought, **more)

    return make
