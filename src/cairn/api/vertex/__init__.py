"""Vertex AI v1 over REST: what the public description of the API says, answered by this home."""
