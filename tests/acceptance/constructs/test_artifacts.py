"""Artifacts from hand to hand: types, metadata, importers, custom paths, workspaces, pipeline roots."""

import json
import stat
from pathlib import Path

import pytest

pytestmark = pytest.mark.network


def test_types_metadata_files_and_folders_reach_the_next_step_and_are_sealed(cli) -> None:
    outcome = cli.run("artifact_types")
    assert outcome.exit == 0, outcome
    plain, metadata, model_class, framework, names, uri_is_path, writable = json.loads(outcome.outputs["text"])
    assert plain == "plain"
    assert metadata == {"rows": 1, "ratio": 0.5, "ok": True, "names": ["a", "b"], "deep": {"k": None}, "ü": "ß"}
    assert (model_class, framework, names) == ("Model", "none", ["one", "two"])
    assert uri_is_path is True
    assert writable is False
    data = Path(outcome.outputs["data"])
    assert data.read_text() == "a,b\n1,2\n"
    assert not data.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert "'empty'" in outcome.warnings  # declared and not written: told, since the run goes on


def test_a_pipeline_gives_lists_of_artifacts_in_the_order_of_its_loop(cli) -> None:
    outcome = cli.run("artifact_list")
    assert outcome.exit == 0, outcome
    assert [Path(uri).read_text() for uri in outcome.outputs["datasets"]] == ["a", "b"]
    assert outcome.outputs["words"] == ["a", "b"]


def test_an_importer_takes_what_is_recorded_unless_it_is_to_import_again(cli, tmp_path) -> None:
    source = tmp_path / "it's data.txt"
    source.write_text("imported")
    runs = [cli.run("importing", parameters={"source": str(source), "label": "blue"}) for _ in range(2)]
    for outcome in runs:
        assert outcome.exit == 0, outcome
        assert outcome.outputs == {
            "text": "imported",
            "metadata": {"label": "blue", "blue": "as key", "nested": {"list": ["blue", 1]}, "count": 3},
            "uri": str(source),
            "upstream": "imported",
        }
    artifacts = cli.json("artifacts", "list")
    listed = artifacts["artifacts"] if isinstance(artifacts, dict) else artifacts
    ours = [artifact for artifact in listed if artifact["uri"] == str(source)]
    assert len(ours) == 3, ours  # one for both runs, and one for each that imports again


@pytest.mark.parametrize(
    "source", ["ftp://host/file", "/tmp/../etc/passwd", "gs://bucket/../../x", "http://169.254.169.254/latest"]
)
def test_an_importer_reads_nothing_it_must_not(cli, source) -> None:
    outcome = cli.run("importing", parameters={"source": source})
    assert outcome.exit in (1, 2), outcome
    assert outcome.state in ("FAILED", "REJECTED")
    assert source in outcome.error, outcome


def test_an_output_at_a_custom_path_is_found_under_the_artifacts_uri(cli, tmp_path) -> None:
    outcome = cli.run("custom_path", parameters={"folder": str(tmp_path / "elsewhere")})
    assert outcome.exit == 0, outcome
    text, path = outcome.outputs["Output"].split(" ", 1)
    assert text == "elsewhere"
    assert Path(path).read_text() == "elsewhere"
    assert (tmp_path / "elsewhere" / "here.txt").stat().st_mode & stat.S_IWUSR  # the user's file is as it was


def test_a_workspace_is_shared_by_the_steps_of_a_run_and_takes_downloads(cli, tmp_path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("imported")
    outcomes = [cli.run("workspace", parameters={"source": str(source)}) for _ in range(2)]
    for outcome in outcomes:
        assert outcome.exit == 0, outcome
        assert outcome.outputs == {"Output": "kept imported True"}
    left = {outcome.task("leave")["outputs"]["Output"] for outcome in outcomes}
    assert len(left) == 2  # each run has its own


def test_a_bucket_root_is_a_directory_of_the_home_that_steps_see_under_gcs(cli, home) -> None:
    outcome = cli.run("bucket_root")
    assert outcome.exit == 0, outcome
    uri, path = outcome.outputs["uri"], outcome.outputs["path"]
    assert uri.startswith("gs://acme-pipelines/root/")
    assert path == uri.replace("gs://", "/gcs/")
    assert outcome.outputs["text"] == "in a bucket by get_uri in a bucket"
    here = home / "buckets" / "gs" / uri.removeprefix("gs://")
    assert here.read_text() == "in a bucket"
    assert not Path("/gcs").exists()


def test_the_pipeline_root_can_be_chosen_for_a_run(cli, tmp_path) -> None:
    root = tmp_path / "root"
    outcome = cli.run("artifact_types", "--root", str(root))
    assert outcome.exit == 0, outcome
    assert outcome.outputs["data"].startswith(f"{root}/")
    assert Path(outcome.outputs["data"]).read_text() == "a,b\n1,2\n"
