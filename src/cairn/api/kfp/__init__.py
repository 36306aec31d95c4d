"""Kubeflow Pipelines v2beta1 over REST."""
