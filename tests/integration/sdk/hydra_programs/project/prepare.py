"""A list of functions, each a node with `_target_`, over the rows of a file."""

import json
from pathlib import Path

import hydra


def scaled(rows, by):
    return [row * by for row in rows]


def upto(rows, most):
    return [row for row in rows if row <= most]


@hydra.main(version_base=None, config_path=None)
def main(config):
    rows = list(range(config.count))
    for step in config.steps:
        rows = hydra.utils.call(step, rows)
    Path(config.out).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
