import csv
import json
import logging
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

log = logging.getLogger(__name__)


@dataclass
class Trainer:
    max_epochs: int = 5
    shuffle: bool = True
    seed: int = 0


@dataclass
class Config:
    note: str = ""
    model: Any = MISSING
    optimizer: Any = MISSING
    trainer: Trainer = field(default_factory=Trainer)
    datamodule: Any = MISSING
    output: Any = MISSING


ConfigStore.instance().store(name="schema", node=Config)


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: Config) -> None:
    with open(Path(cfg.datamodule.data_dir) / "train.csv", newline="") as file:
        rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    model = hydra.utils.instantiate(cfg.model)
    optimizer = hydra.utils.instantiate(cfg.optimizer)
    chance = random.Random(cfg.trainer.seed)
    for epoch in range(cfg.trainer.max_epochs):
        if cfg.trainer.shuffle:
            chance.shuffle(rows)
        model.weights = optimizer.step(model.weights, model.gradient(rows))
        log.info("epoch %d: loss %.6f", epoch, model.loss(rows))
    used = OmegaConf.to_container(OmegaConf.masked_copy(cfg, ["note", "model", "optimizer", "trainer"]), resolve=True)
    loss = model.loss(rows)
    write(f"{cfg.output.model_dir}/model.json", json.dumps({"weights": model.weights, "config": used}, sort_keys=True))
    write(cfg.output.metrics, json.dumps({"loss": loss}))
    write(cfg.output.score, repr(1 / (1 + loss)))


if __name__ == "__main__":
    main()
