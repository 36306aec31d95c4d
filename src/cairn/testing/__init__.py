"""Conformance suites and fakes: a new executor or store supplies its fixtures and inherits the tests."""
