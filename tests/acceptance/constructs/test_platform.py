"""Secrets, config maps, volumes, field paths, and what a machine can only be warned about."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.network


@pytest.fixture
def credentials(home: Path) -> None:
    for folder, key, value in (
        ("secrets/credentials", "user", "alice"),
        ("secrets/credentials", "password", "s3cret!\n"),
        ("secrets/others", "user", "bob"),
        ("secrets/others", "password", "hidden"),
        ("config-maps/paint", "colour", "blue"),
    ):
        directory = home / folder
        directory.mkdir(parents=True, exist_ok=True)
        (directory / key).write_text(value)
        (directory / key).chmod(0o600)


@pytest.mark.usefixtures("credentials")
def test_secrets_and_config_maps_are_variables_and_files(cli, home) -> None:
    outcome = cli.run("secrets_and_config_maps")
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {
        "seen": ["alice", "s3cret!", "blue", "s3cret!\n", "blue"],
        "optional": ["<unset>", "<missing>"],
    }
    other = cli.run("secrets_and_config_maps", parameters={"secret": "others"})
    assert other.outputs["seen"][:2] == ["bob", "hidden"]
    attempt = next((home / "runs" / outcome.run_id / "show").iterdir())
    kept = b"".join(path.read_bytes() for path in attempt.rglob("*") if path.is_file() and path.suffix != ".log")
    assert b"alice" not in kept


@pytest.mark.usefixtures("credentials")
def test_names_of_secrets_and_config_maps_may_come_from_loops_and_from_upstream(cli) -> None:
    outcome = cli.run("names_from_elsewhere")
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"each": [["alice"], ["bob"]], "upstream": ["blue"], "scratch": []}


def test_a_missing_secret_fails_the_task_with_the_remedy(cli) -> None:
    outcome = cli.run("secret_missing")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    error = outcome.task("show")["error"]
    assert "not-there" in error["message"]
    assert "secrets/not-there" in error["remedy"]


def test_volumes_are_directories_shared_between_steps_and_scratch_is_a_steps_own(cli, home) -> None:
    outcome = cli.run("volumes", parameters={"name": "shared-data"})
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"text": "through a volume", "scratch": ["[] ['file']", "[] ['file']"]}
    assert (home / "volumes" / "shared-data" / "note").read_text() == "through a volume"
    assert not Path("/mnt/shared").exists()


def test_claims_are_made_and_deleted_with_the_pipeline(cli, home) -> None:
    outcome = cli.run("claims")
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"Output": "through a claim"}
    assert outcome.task("createpvc")["outputs"] == {"name": "made-here"}
    assert not (home / "volumes" / "made-here").exists()
    assert "storage class" in outcome.warnings


def test_what_only_a_cluster_has_is_warned_about_and_nothing_is_ignored_in_silence(cli) -> None:
    outcome = cli.run("warned_about")
    assert outcome.exit == 0, outcome
    pod, namespace = outcome.outputs["Output"]
    assert pod.startswith("show-")
    assert namespace == "default"
    for what in ("node selector", "toleration", "affinity", "pod metadata", "pull policy", "pull secrets"):
        assert what in outcome.warnings, outcome.warnings
