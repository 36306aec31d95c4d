"""Attempts that are work of Cairn's own services: what Google's pipeline components ask Vertex AI for."""

MARK = "native.json"  # in the attempt's directory: the call, so that an engine that comes back goes on with it
