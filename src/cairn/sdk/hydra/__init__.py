"""Hydra programs as components, and Hydra jobs as steps."""
