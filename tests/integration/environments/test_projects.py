import os
import subprocess

import pytest

from cairn.environments.service import UvEnvironments
from cairn.environments.uv_command import find_uv
from cairn.errors import EnvironmentBuildError
from cairn.spec.types import ContainerSpec


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "train.py").write_text("import upper, lower; print('trained', lower.value)\n")
    return root


def build(environments, project, *, in_place=False, command=("python", "train.py")):
    planned = environments.plan(
        "comp", ContainerSpec("acme/x", command), [("acme/*", f"project:{project}")], strict=False, in_place=in_place
    )
    return environments.build(planned)


def run(environment, *command):
    done = subprocess.run(
        command,
        cwd=environment.working_directory,
        env=environment.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_requirements_are_installed_and_the_command_runs_in_a_snapshot(environments, project):
    (project / "requirements.txt").write_text("-r base.txt\n")
    (project / "base.txt").write_text("upper\n")
    built = build(environments, project)
    assert run(built, "python", "train.py") == "trained 1\n"
    assert built.working_directory != str(project)
    assert not built.in_place


def test_an_edit_changes_the_identity_but_not_the_environment(environments, project):
    (project / "requirements.txt").write_text("upper\n")
    before = build(environments, project)
    (project / "train.py").write_text("print('edited')\n")
    after = build(environments, project)
    assert after.key == before.key
    assert after.identity != before.identity
    assert run(before, "python", "train.py") == "trained 1\n"
    assert run(after, "python", "train.py") == "edited\n"


def test_in_place_runs_in_the_directory_with_the_same_identity(environments, project):
    (project / "requirements.txt").write_text("upper\n")
    built = build(environments, project, in_place=True)
    assert built.working_directory == str(project)
    assert built.in_place
    assert built.identity == build(environments, project).identity


def test_a_pyproject_without_a_build_system_gives_its_dependencies(environments, project):
    (project / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\ndependencies = ["upper"]\n')
    assert run(build(environments, project), "python", "train.py") == "trained 1\n"


# A build backend that leaves out what is no Python, as setuptools does where nobody told it otherwise.
BACKEND = """
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "mine-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.write("src/mine/__init__.py", "mine/__init__.py")
        wheel.write("src/mine/app.py", "mine/app.py")
        wheel.writestr("mine-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1\\n")
        wheel.writestr("mine-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("mine-1.dist-info/RECORD", "")
    return name
"""


def test_a_package_is_run_with_all_the_files_of_its_folder(environments, project):
    package = project / "src" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "config.yaml").write_text("lr: 1")
    (package / "app.py").write_text(
        "import importlib.metadata, pathlib\n"
        "print(pathlib.Path(__file__).with_name('config.yaml').read_text(), importlib.metadata.version('mine'))\n"
    )
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    assert run(build(environments, project), "python", "-m", "mine.app") == "lr: 1 1\n"


def test_a_requirement_beside_the_folder_is_not_in_its_copy(environments, project):
    (project / "requirements.txt").write_text("-e ../beside\n")
    with pytest.raises(EnvironmentBuildError) as failed:
        build(environments, project)
    assert "--in-place" in failed.value.remedy


def test_a_lock_is_taken_as_it_is(environments, project, wheelhouse):
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["upper"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{wheelhouse}"]\n'
    )
    subprocess.run([find_uv(), "lock", "--quiet", "--offline"], cwd=project, env=os.environ, check=True)
    assert run(build(environments, project), "python", "train.py") == "trained 1\n"


def test_kfp_lies_beside_a_containerised_component(environments, project):
    (project / "requirements.txt").write_text("upper\n")
    built = build(environments, project, command=("python3", "-m", "kfp.dsl.executor_main"))
    assert run(built, "python3", "-c", "import kfp.dsl, upper; print('both')") == "both\n"


def test_pipelines_are_compiled_in_the_users_environment_when_it_has_kfp(
    home, settings, environments, tmp_path, monkeypatch
):
    venv = tmp_path / "pipelines" / ".venv"
    (venv / "lib/python3.11/site-packages/kfp/dsl").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python3").symlink_to("/bin/sh")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    found = environments.compile_environment(tmp_path / "pipelines")
    assert found.python == str(venv / "bin" / "python3")
    assert found.variables["PATH"].startswith(str(venv / "bin"))


def test_a_directory_that_names_kfp_is_compiled_in_its_own_environment(
    home, settings, environments, project, add_wheel, monkeypatch
):
    from cairn.environments import compilation

    monkeypatch.setattr(compilation, "users_python", lambda directory: "")
    add_wheel("kfp", "2.16.0", {"kfp.py": "version = 16\n"})
    (project / "requirements.txt").write_text("kfp==2.16.0\nlower\n")
    built = UvEnvironments(home, settings).compile_environment(project)
    assert run_python(built, "import kfp, lower; print(kfp.version)") == "16\n"


def test_the_users_environment_is_passed_by_where_it_lacks_what_the_directory_names_beside_kfp(
    home, settings, environments, project, add_wheel, monkeypatch
):
    packages = project / ".venv" / "lib/python3.11/site-packages"
    (packages / "kfp/dsl").mkdir(parents=True)
    (packages / "kfp-2.16.0.dist-info").mkdir()
    (project / ".venv/bin").mkdir()
    (project / ".venv/pyvenv.cfg").touch()
    (project / ".venv/bin/python3").symlink_to("/bin/sh")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    add_wheel("kfp", "2.16.0", {"kfp.py": "version = 16\n"})
    (project / "requirements.txt").write_text("kfp==2.16.0\nlower\n")
    built = UvEnvironments(home, settings).compile_environment(project)
    assert run_python(built, "import kfp, lower; print(kfp.version)") == "16\n"
    (packages / "Lower-1.0.dist-info").mkdir()
    assert environments.compile_environment(project).key == "host"


def run_python(environment, code):
    done = subprocess.run(
        [environment.python, "-c", code], env=environment.variables, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
