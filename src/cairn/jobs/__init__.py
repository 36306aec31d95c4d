"""Custom jobs and training pipelines, as runs of one step."""
