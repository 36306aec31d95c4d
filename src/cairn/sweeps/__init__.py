"""Sweeps: many runs of one pipeline, each with a configuration of its own, as one experiment."""
