"""Pipelines that were uploaded to be run later, and their versions (KFP v2beta1 `Pipeline`, `PipelineVersion`)."""
