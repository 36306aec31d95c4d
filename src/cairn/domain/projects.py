"""Projects. They are names that people make up: nothing needs to be created before one is used."""

from __future__ import annotations

import re


def project_number(project: str) -> str:
    """The number that Google's APIs tell of a project, always the same for a name; a number is its own."""
    if re.fullmatch(r"[0-9]{1,19}", project, re.ASCII):
        return project
    import hashlib

    digest = hashlib.blake2b(project.encode(), digest_size=8).digest()
    return str(100_000_000_000 + int.from_bytes(digest) % 900_000_000_000)
