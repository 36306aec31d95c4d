"""Experiments as Kubeflow Pipelines has them: a name that runs are submitted under (KFP v2beta1 `Experiment`)."""
