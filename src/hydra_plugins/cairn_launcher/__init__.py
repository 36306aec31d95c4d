"""`hydra/launcher=cairn`. Hydra imports it in every program of an environment: nothing of ours is imported."""
