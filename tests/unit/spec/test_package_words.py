"""Commands that install Python packages and run a module: Cairn's own, and those of google-cloud-aiplatform."""

import pytest

from cairn.spec.package_words import PackageRun, package_words, read_package_words

SDIST = "/gcs/stage/aiplatform-2026-01-02-03:04:05.678-aiplatform_custom_trainer_script-0.1.tar.gz"
MODULE = "aiplatform_custom_trainer_script.task"


def test_what_is_written_is_read() -> None:
    words = package_words(["gs://b/a b.whl", "gs://b/c'd.tar.gz"], "trainer.task")
    assert read_package_words(words, ["--x", "$y"]) == PackageRun(
        ("/gcs/b/a b.whl", "/gcs/b/c'd.tar.gz"), "trainer.task", ("--x", "$y")
    )


@pytest.mark.parametrize("upgrade", ["", "pip install --upgrade pip && "])
def test_from_local_script_is_read(upgrade: str) -> None:
    script = f"{upgrade}pip3 install -q --user {SDIST} && python3 -m {MODULE} --epochs 3 --name 'a b'"
    run = read_package_words(["sh", "-c", script], [])
    assert run == PackageRun((SDIST,), MODULE, ("--epochs", "3", "--name", "a b"))


@pytest.mark.parametrize(
    "script",
    [
        f"pip3 install -q --user {SDIST} && python3 -m {MODULE} $HOME",
        f"pip3 install -q --user {SDIST} && python3 -m {MODULE} | tee log",
        f"pip3 install -q --user {SDIST}; python3 -m {MODULE}",
        f"pip3 install --index-url http://x {SDIST} && python3 -m {MODULE}",
        f"pip3 install -q --user {SDIST} && python3 {MODULE}.py",
        f"make && pip3 install -q --user {SDIST} && python3 -m {MODULE}",
    ],
)
def test_what_a_shell_would_do_more_for_is_the_users_own(script: str) -> None:
    assert read_package_words(["sh", "-c", script], []) is None


def test_arguments_behind_a_script_are_the_shells_and_do_nothing() -> None:
    script = f"pip3 install -q --user {SDIST} && python3 -m {MODULE} --epochs 3"
    run = read_package_words(["sh", "-c", script], ["--rate=0.1"])
    assert run == PackageRun((SDIST,), MODULE, ("--epochs", "3"), ("--rate=0.1",))
    assert read_package_words(["sh", "-c", f"{script} $1"], ["--rate=0.1"]) is None
