"""Pointing unmodified Google and Kubeflow clients at a server of ours. Imports nothing of ours."""
