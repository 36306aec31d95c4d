"""Prepare the data: python main.py fence=2"""

import logging
from pathlib import Path

import hydra
import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    data = None
    for step in cfg.steps:
        data = instantiate(step, data)
    output = Path(cfg.output)
    output.mkdir(parents=True, exist_ok=True)
    for name, part in data.items():
        np.save(output / f"{name}.npy", part)
    log.info("%d rows to train on, %d to evaluate with", len(data["rows"]), len(data["unseen_rows"]))


if __name__ == "__main__":
    main()
