"""Bytes of artifacts: where they lie, what digest they have, what may be imported."""
