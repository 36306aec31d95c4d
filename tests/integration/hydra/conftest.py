"""An application of Hydra's in a directory of its own, and a Cairn home of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

APPLICATION = """
import os
import time
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig


@dataclass
class Config:
    lr: float = 0.1
    seconds: float = 0.0
    failing: float = -1.0
    started: str = "${now:%Y-%m-%d %H:%M:%S.%f}"


ConfigStore.instance().store("config", Config)


@hydra.main(version_base=None, config_name="config")
def train(config):
    with open(os.environ["COUNT"], "a") as file:
        file.write(f"{config.lr}\\n")
    print(f"training with {config.lr}")
    time.sleep(config.seconds)
    Path(HydraConfig.get().runtime.output_dir, "model.txt").write_text(str(config.lr))
    if config.lr == config.failing:
        raise ValueError(f"{config.lr} does not converge")
    return {"loss": config.lr * 2}


if __name__ == "__main__":
    train()
"""


class Application:
    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self.directory = directory
        self.variables = variables
        self.count = Path(variables["COUNT"])

    def write(self, text: str = APPLICATION) -> None:
        (self.directory / "train.py").write_text(text)

    def command(self, *overrides: str) -> list[str]:
        return [sys.executable, "train.py", "-m", "hydra/launcher=cairn", *overrides]

    def start(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*overrides),
            cwd=self.directory,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def executed(self) -> list[str]:
        """Learning rates, in the order in which jobs began, since the last look."""
        if not self.count.exists():
            return []
        found = self.count.read_text().split()
        self.count.unlink()
        return found

    def sweeps(self) -> list[Path]:
        """Output directories of the multiruns, oldest first."""
        return sorted(path.parent for path in self.directory.glob("multirun/*/*/multirun.yaml"))


@pytest.fixture
def make_application(tmp_path: Path, cairn_home: Path) -> Callable[..., Application]:
    def make(text: str = APPLICATION) -> Application:
        import os

        directory = tmp_path / "application"
        directory.mkdir(exist_ok=True)
        made = Application(directory, {**os.environ, "COUNT": str(tmp_path / "count"), "PYTHONUNBUFFERED": "1"})
        made.write(text)
        return made

    return make


@pytest.fixture
def application(make_application: Callable[..., Application]) -> Application:
    return make_application()
