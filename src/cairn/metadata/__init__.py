"""The metadata store's reading side: artifacts, executions, contexts, and how they are joined by events."""
