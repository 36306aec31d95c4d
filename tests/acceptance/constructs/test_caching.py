"""A result is taken again when everything it depends on is the same, and `runs why` says what was not."""

import time

import pytest

pytestmark = pytest.mark.network


def _hits(outcome) -> dict[str, bool]:
    return {task["path"]: task["cached"] for task in outcome.record["tasks"]}


def test_hits_misses_and_their_reasons(own_cli) -> None:
    cli = own_cli()
    first = cli.run("cached", cache=True)
    assert first.exit == 0, first
    assert not any(_hits(first).values())

    again = cli.run("cached", cache=True)
    assert _hits(again) == {"draw": True, "use": True, "use-2": False, "use-3": True}, again
    same = ("drawn", "used", "keyed")
    assert [again.outputs[name] for name in same] == [first.outputs[name] for name in same]
    assert again.outputs["fresh"] != first.outputs["fresh"]
    assert again.task("draw")["state"] == "SUCCEEDED"
    assert again.task("draw")["attempts"] == 0

    salted = cli.run("cached", cache=True, parameters={"salt": "other"})
    assert _hits(salted) == {"draw": True, "use": False, "use-2": False, "use-3": True}, salted
    why = cli.command("runs", "why", salted.run_id, "use")
    assert why.returncode == 0, why.stderr
    assert "salt" in why.stdout
    assert '"other"' in why.stdout

    changed = cli.run("cached", cache=True, parameters={"rate": 0.25})
    assert _hits(changed) == {"draw": False, "use": False, "use-2": False, "use-3": False}, changed
    upstream = cli.command("runs", "why", changed.run_id, "use")
    assert "data" in upstream.stdout

    off = cli.run("cached")  # --no-cache
    assert not any(_hits(off).values()), off


def test_an_artifact_that_was_changed_or_is_gone_is_no_hit(own_cli, tmp_path) -> None:
    cli = own_cli()
    first = cli.run("cached", cache=True)
    assert first.exit == 0, first
    (artifact,) = (cli.home / "store").glob("cached/*/draw/1/data")
    artifact.chmod(0o644)
    artifact.write_text("tampered with")
    again = cli.run("cached", cache=True)
    assert again.exit == 0, again
    assert _hits(again)["draw"] is False
    assert again.outputs["used"].startswith("0.5 ")


def test_a_result_older_than_the_time_to_live_is_no_hit(own_cli) -> None:
    cli = own_cli()
    assert cli.run("cached", cache=True).exit == 0
    time.sleep(1.1)
    again = cli.run("cached", cache=True, variables={"CAIRN_RUN_CACHE_TTL": "1"})
    assert not any(_hits(again).values()), again
    assert _hits(cli.run("cached", cache=True, variables={"CAIRN_RUN_CACHE_TTL": "600"}))["draw"] is True
