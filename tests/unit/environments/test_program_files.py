import os
from pathlib import Path

import pytest

from cairn.environments.program_files import code_digest, packages_digest
from cairn.errors import InputRefused


@pytest.fixture
def program(tmp_path: Path) -> Path:
    directory = tmp_path / "program"
    (directory / "data").mkdir(parents=True)
    (directory / "train.py").write_text("print(1)\n")
    (directory / "data" / "rows.csv").write_text("1,2\n")
    return directory


def test_a_changed_added_or_renamed_file_changes_the_digest(program):
    digests = {code_digest(program, ())}
    (program / "train.py").write_text("print(2)\n")
    digests.add(code_digest(program, ()))
    (program / "more.py").write_text("")
    digests.add(code_digest(program, ()))
    (program / "more.py").rename(program / "other.py")
    digests.add(code_digest(program, ()))
    assert len(digests) == 4


def test_what_hydra_writes_is_not_code(program):
    before = code_digest(program, ())
    for name in (
        "outputs/today/1/.hydra/config.yaml",
        "outputs/today/1/model.pt",
        "runs/0/.hydra/config.yaml",
        "runs/0/x.log",
    ):
        path = program / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert code_digest(program, ()) == before
    (program / "outputs" / "notes.py").write_text("")
    assert code_digest(program, ()) != before


def test_a_home_among_the_sources_is_not_code(program):
    home = program / "cairn"
    before = code_digest(program, (), outputs=[home])
    home.mkdir()
    (home / "cairn.db").write_text("records")
    assert code_digest(program, (), outputs=[home]) == before
    assert code_digest(program, ()) != before


def test_patterns_say_what_the_code_is(program):
    only = code_digest(program, ("*.py",))
    without = code_digest(program, ("!data",))
    (program / "data" / "rows.csv").write_text("3,4\n")
    assert code_digest(program, ("*.py",)) == only
    assert code_digest(program, ("!data",)) == without
    (program / "train.py").write_text("print(2)\n")
    assert code_digest(program, ("*.py",)) != only
    assert code_digest(program, ("!data",)) != without
    with pytest.raises(InputRefused, match="'lib' fits no file there"):
        code_digest(program, ("lib",))


def test_sources_from_elsewhere_count_unless_patterns_say_what_does(program, tmp_path):
    library = tmp_path / "library.py"
    library.write_text("A = 1\n")
    before, only = code_digest(program, (), (library,)), code_digest(program, ("*.py",), (library,))
    library.write_text("A = 2\n")
    assert code_digest(program, (), (library,)) != before
    assert code_digest(program, ("*.py",), (library,)) == only


def test_a_large_file_is_known_by_its_size_and_time(program):
    large = program / "weights.bin"
    with large.open("wb") as file:
        file.truncate(64 << 20)
    before = code_digest(program, ())
    os.utime(large, (1, 1))
    assert code_digest(program, ()) != before


def test_an_installed_version_is_part_of_the_packages(tmp_path):
    (tmp_path / "torch-2.1.0.dist-info").mkdir()
    before = packages_digest([str(tmp_path), "/nowhere"])
    assert packages_digest([str(tmp_path)]) == before
    (tmp_path / "torch-2.1.0.dist-info").rename(tmp_path / "torch-2.2.0.dist-info")
    assert packages_digest([str(tmp_path)]) != before


def test_what_a_link_leads_to_is_code(program, tmp_path):
    library = tmp_path / "library.py"
    library.write_text("A = 1\n")
    (program / "library.py").symlink_to(library)
    (program / "nowhere").symlink_to("away")
    before = code_digest(program, ())
    library.write_text("A = 2\n")
    assert code_digest(program, ()) != before
