"""`cairn submit`: a pipeline handed to Vertex AI, Kubeflow Pipelines or another Cairn, by their public clients."""
