"""Writes down what it was given, with the types that JSON has."""

import json

import hydra
from omegaconf import OmegaConf


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    with open(config.out, "w") as file:
        json.dump(OmegaConf.to_container(config.v, resolve=True), file)


if __name__ == "__main__":
    main()
