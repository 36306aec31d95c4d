"""Train on what ../prepare has written: python main.py lr=0.1 model=hidden"""

import json
import logging
from pathlib import Path

import hydra
import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    data = {path.stem: np.load(path) for path in Path(cfg.data).glob("*.npy")}
    model = instantiate(cfg.model, inputs=data["rows"].shape[1], seed=cfg.seed)
    optimizer = instantiate(cfg.optimizer, lr=cfg.lr)
    random = np.random.default_rng(cfg.seed)
    for epoch in range(cfg.epochs):
        order = random.permutation(len(data["rows"]))
        for batch in np.array_split(order, max(1, len(order) // cfg.batch)):
            model.learn(data["rows"][batch], data["labels"][batch], optimizer)
        if epoch % 20 == 0:
            log.info("epoch %d: loss %.3f", epoch, loss(model.predict(data["rows"]), data["labels"]))

    with Path(cfg.model_file).open("wb") as file:
        np.savez(file, *model.weights)
    answers, truth = model.predict(data["unseen_rows"]), data["unseen_labels"]
    metrics = {"accuracy": float(((answers > 0.5) == truth).mean()), "loss": loss(answers, truth)}
    Path(cfg.metrics).write_text(json.dumps(metrics))
    log.info("accuracy %(accuracy).3f, loss %(loss).3f", metrics)
    return metrics["loss"]


def loss(answers, truth):
    return float(-np.log(np.clip(np.where(truth == 1, answers, 1 - answers), 1e-12, None)).mean())


if __name__ == "__main__":
    main()
