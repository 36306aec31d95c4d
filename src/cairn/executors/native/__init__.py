"""Attempts that are work of Cairn's own services: what Google's pipeline components ask Vertex AI for."""
