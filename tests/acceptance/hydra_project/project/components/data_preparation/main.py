import json
import logging
from importlib import resources
from pathlib import Path

import hydra
from omegaconf import DictConfig

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    rows = hydra.utils.instantiate(cfg.datamodule)
    for step in hydra.utils.instantiate(cfg.steps):
        rows = step(rows)
    columns = json.loads(resources.files("preparation").joinpath("schema.json").read_text())["columns"]
    target = Path(cfg.output.data_dir)
    target.mkdir(parents=True, exist_ok=True)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows)]
    (target / "train.csv").write_text("\n".join(lines) + "\n")
    Path(cfg.output.kept).parent.mkdir(parents=True, exist_ok=True)
    Path(cfg.output.kept).write_text(str(len(rows)))
    log.info("kept %d rows", len(rows))


if __name__ == "__main__":
    main()
