"""Credentials in URLs: out of keys, logs and errors."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s/@'\"]*)@")
_QUERY = re.compile(
    r"(?P<name>[?&][^=&\s]*(?:token|key|secret|password|signature|sig)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """`https://user:password@host/` → `https://****@host/`; query values that look like secrets → `****`."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\g<name>****", _USERINFO.sub(r"\g<scheme>****@", text))


def without_credentials(url: str) -> str:
    """The URL as it goes into a key: the same for every user of one index."""
    return _QUERY.sub(r"\g<name>", _USERINFO.sub(r"\g<scheme>", url))
