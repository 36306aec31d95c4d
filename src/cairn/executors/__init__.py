"""Where processes run: one file or folder for each kind, and one conformance suite (`cairn.testing.executors`)."""
