import pytest

from cairn.environments import compilation, interpreters
from cairn.environments.projects import named_packages, read_project
from cairn.errors import InputRefused


@pytest.fixture(autouse=True)
def pythons(monkeypatch):
    monkeypatch.setattr(interpreters, "installed", lambda: {f"3.{minor}": "x" for minor in (8, 9, 10, 11, 12, 13)})


def write(root, **files):
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)
    return root


@pytest.mark.parametrize(
    ("requires", "version"),
    [
        (">=3.10", "3.13"),
        (">=3.10,<3.13", "3.12"),
        ("==3.9.*", "3.9"),
        ("~=3.11", "3.13"),
        (">=3.8,!=3.13.*,!=3.12.*", "3.11"),
        (">=3.20", "3.20"),
        ("<3.10", "3.9"),
    ],
)
def test_requires_python_chooses_the_newest_that_fits(tmp_path, requires, version):
    write(tmp_path, pyproject__toml=f'[project]\nname = "x"\ndependencies = []\nrequires-python = "{requires}"\n')
    assert read_project(tmp_path).python == version


def test_a_pinned_version_wins(tmp_path):
    write(tmp_path, pyproject__toml='[project]\nname = "x"\nrequires-python = ">=3.9"\n')
    (tmp_path / ".python-version").write_text("3.10.4\n")
    assert read_project(tmp_path).python == "3.10"


def test_the_lock_goes_before_pyproject_before_requirements(tmp_path):
    assert read_project(tmp_path).file == ""
    write(tmp_path, requirements__txt="pandas\n")
    assert read_project(tmp_path).file == "requirements.txt"
    write(tmp_path, pyproject__toml="[tool.ruff]\n")
    assert read_project(tmp_path).file == "requirements.txt"
    write(tmp_path, pyproject__toml='[project]\nname = "x"\ndependencies = ["pandas"]\n')
    assert read_project(tmp_path).file == "pyproject.toml"
    write(tmp_path, uv__lock="version = 1\n")
    assert read_project(tmp_path).file == "uv.lock"


def test_only_a_project_with_a_build_system_is_installed_itself(tmp_path):
    write(tmp_path, pyproject__toml='[project]\nname = "x"\n')
    assert not read_project(tmp_path).is_package
    write(tmp_path, pyproject__toml='[project]\nname = "x"\n[build-system]\nrequires = ["hatchling"]\n')
    assert read_project(tmp_path).is_package


def test_an_edit_of_the_sources_does_not_resolve_anew_but_one_of_included_requirements_does(tmp_path):
    write(tmp_path, requirements__txt="-r base.txt\n", base__txt="pandas\n", train__py="1")
    before = read_project(tmp_path)
    write(tmp_path, train__py="2")
    assert read_project(tmp_path) == before
    write(tmp_path, base__txt="numpy\n")
    assert read_project(tmp_path) != before


def test_a_broken_pyproject_is_refused_with_its_place(tmp_path):
    write(tmp_path, pyproject__toml="[project\n")
    with pytest.raises(InputRefused, match=r"pyproject\.toml"):
        read_project(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("requirements.txt", "pyyaml\nkfp>=2\n", True),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = [\n  "kfp>=2",\n]\n', True),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["pyyaml", "kfp[all]>=2"]\n', True),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["not-kfp"]\n', False),
        ("requirements.txt", "mykfp\n", False),
    ],
)
def test_a_folder_whose_dependencies_name_kfp_is_what_its_pipelines_are_compiled_in(tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    assert (compilation.project_of(tmp_path) == tmp_path) == found


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("requirements.txt", "# all\nkfp == 2.16  # pinned\n-r more.txt\nPy_Yaml[x]>=6,<7\n", ["kfp", "Py_Yaml"]),
        ("requirements.txt", "tomli; python_version < '3.11'\n./here\na @ https://host/a.whl\nb\n", ["b"]),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["kfp>=2", "uv;os_name==\'nt\'"]\n', ["kfp"]),
        ("pyproject.toml", '[project]\nname = "x"\n', []),
        ("setup.py", "", []),
    ],
)
def test_the_packages_that_a_folder_names(tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    assert named_packages(tmp_path) == found


POETRY = '[tool.poetry]\nname = "x"\n[build-system]\nrequires = ["poetry-core"]\n'


@pytest.mark.parametrize(
    ("files", "file", "is_package", "unread"),
    [
        ({"pyproject__toml": POETRY, "poetry__lock": ""}, "pyproject.toml", True, ("poetry.lock",)),
        ({"pyproject__toml": POETRY, "requirements__txt": ""}, "requirements.txt", True, ()),
        ({"pyproject__toml": POETRY + "[tool.poetry.x]\n"}, "pyproject.toml", True, ()),
        ({"pyproject__toml": "[tool.poetry]\npackage-mode = false\n"}, "", False, ("pyproject.toml",)),
        ({"setup__py": ""}, "", False, ("setup.py",)),
        ({"environment__yml": "", "requirements__txt": ""}, "requirements.txt", False, ()),
        ({"pyproject__toml": '[project]\nname = "x"\n', "uv__lock": "", "poetry__lock": ""}, "uv.lock", False, ()),
        ({}, "", False, ()),
    ],
)
def test_what_others_read_is_told(tmp_path, files, file, is_package, unread):
    write(tmp_path, **files)
    found = read_project(tmp_path)
    assert (found.file, found.is_package, found.unread) == (file, is_package, unread)
