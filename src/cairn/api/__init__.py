"""Processes that serve a home: for now the background host."""
