"""What the results of a step depend on in its environment, as far as it is known before anything is built.

An environment that is there knows better: the lock that its requirements came to (`Environment.identity`).
"""

from __future__ import annotations

from typing import Any

from cairn.environments.specification import BesideSpec, HostSpec, ImageSpec, ProjectSpec, UvSpec


def identity(spec: Any) -> str:
    """Of an EnvironmentPlan's `environment_spec`; "" for the machine as it is, and for an image that is not there."""
    match spec:
        case HostSpec():
            return ""
        case UvSpec():
            return spec.key
        case ProjectSpec():
            return f"{spec.uv.key}:{spec.digest}"
        case ImageSpec(facts=facts, packages=packages):
            if facts is None:
                return ""
            return f"{facts.digest}:{packages.key}" if packages else facts.digest
        case BesideSpec():
            base = identity(spec.base)
            return f"{base}:{','.join(spec.requirements)}" if base else ""
    return ""
