"""Configuration: where a home is, what stands in its config.toml, and (later) Hydra."""
