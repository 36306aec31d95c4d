"""Reading pipelines: KFP v2 IR (PipelineSpec 2.0.0 and 2.1.0) into checked, typed, frozen values."""
