"""The engine: pure decisions, their effects, and nothing that knows a database, a process or a network."""
