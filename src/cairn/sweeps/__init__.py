"""Sweeps: one pipeline run for every combination that one of Hydra's sweepers decides on (docs/sweeps.md)."""
