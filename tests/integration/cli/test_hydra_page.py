"""docs/hydra.md: its complete example is taken from the page and run."""

import re
from pathlib import Path

import pytest
import yaml

from cairn.config.mapping import CUSTOM_JOB_KEYS, RUN_KEYS, SCHEDULE_KEYS, STEP_KEYS, SWEEP_KEYS, TARGET_KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "hydra.md").read_text()
_FILE = re.compile(r"^`([\w./]+\.(?:py|yaml))`.*?\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(cli, tmp_path, monkeypatch):
    found = dict(_FILE.findall(PAGE))
    assert set(found) == {
        "train.py", "conf/config.yaml", "conf/env/dev.yaml", "conf/env/prod.yaml", "conf/nightly.yaml"
    }  # fmt: skip
    for name, text in found.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(cli, "work", tmp_path)
    return found


def _run(cli, *words):
    return cli("run", "train.py", "--config-dir", "conf", "--json", *words)


def test_the_complete_example_runs(cli, files):
    first = _run(cli, "train.lr=0.5")
    assert first.status == 0, first.err
    assert first.json["outputs"] == {"Output": "dev: adam with 0.5 on 100 rows"}
    assert "warning" not in first.err
    second = _run(cli, "env=prod", "train.optimizer.name=sgd")
    assert second.json["outputs"] == {"Output": "prod: sgd with 0.1 on 5000 rows"}
    shown = cli("run", "train.py", "--config-dir", "conf", "--cfg", "job", "env=prod")
    assert yaml.safe_load(shown.out)["cairn"]["target"]["to"] == "vertex"
    differs = cli("runs", "diff", first.json["run_id"], second.json["run_id"])
    assert differs.status == 0
    assert "rows" in differs.out
    assert cli("runs", "list", "--json").json[0]["labels"] == {"team": "vision"}
    try:
        nightly = _run(cli, "--config-name", "nightly", "env=prod")
        assert nightly.json["cron"] == "0 3 * * *"
        assert nightly.json["display_name"] == "training on 5000 rows"
        assert nightly.json["parameters"]["rows"] == 5000
    finally:
        cli("schedules", "delete", nightly.json["schedule_id"], "--yes")
        cli("stop")


def test_every_key_is_on_the_page():
    keys = [*RUN_KEYS, *STEP_KEYS, *SCHEDULE_KEYS, *TARGET_KEYS, *SWEEP_KEYS]
    keys += [key for key in CUSTOM_JOB_KEYS if key in ("machine_type", "replica_count", "env")]
    assert [key for key in keys if not re.search(rf"[`{{, ]{key}[`,:}}]", PAGE)] == []
