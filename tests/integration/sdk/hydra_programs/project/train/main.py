"""Trains nothing: writes a model, metrics and an accuracy, and what it was configured with."""

import json
import logging
from pathlib import Path

import hydra
from omegaconf import OmegaConf

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    log.info("learning rate %s", config.train.lr)
    Path(config.out.model).write_text(json.dumps(OmegaConf.to_container(config, resolve=True)))
    Path(config.out.metrics).write_text(json.dumps({"loss": 0.25, "val": {"accuracy": 0.5}}))
    Path(config.out.accuracy).write_text("0.5")


if __name__ == "__main__":
    main()
