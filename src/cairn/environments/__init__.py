"""Where steps run: uv environments keyed by content, project snapshots, this machine as it is."""
