"""What an attempt leaves beside its output is found, and goes into a backup with it."""

from cairn.engine.log_files import log_files
from cairn.engine.upkeep import _copy_logs


def test_hydra_folders_and_logs_are_found_and_backed_up(tmp_path):
    attempt = tmp_path / "runs" / "uid" / "logs" / "attempt-1"  # a task may be called logs
    for name in (
        "stdout.log",
        "logs/hydra/main.log",
        "logs/hydra/.hydra/config.yaml",
        "replica-1-w/logs/x.txt",
        "work/outputs/2026-01-01/12-00-00/.hydra/config.yaml",
        "work/outputs/2026-01-01/12-00-00/model.bin",
        "work/outputs/other.bin",
        "work/multirun/2026-01-01/12-00-00/0/.hydra/config.yaml",
        "work/data.bin",
    ):
        path = attempt / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = [path.removeprefix(f"{attempt}/") for path in log_files(str(attempt))]
    assert found == [
        "logs/hydra/.hydra/config.yaml",
        "logs/hydra/main.log",
        "replica-1-w/logs/x.txt",
        "work/multirun/2026-01-01/12-00-00/0/.hydra/config.yaml",
        "work/outputs/2026-01-01/12-00-00/.hydra/config.yaml",
        "work/outputs/2026-01-01/12-00-00/model.bin",
    ]
    _copy_logs(tmp_path / "runs", tmp_path / "copy")
    copied = tmp_path / "copy" / "uid" / "logs" / "attempt-1"
    assert sorted(str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file()) == sorted(
        [*found, "stdout.log"]
    )
