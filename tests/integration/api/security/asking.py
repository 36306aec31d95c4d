"""A request for every route and method there is, made from their templates."""

import re

VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)(?:=([^}]*))?\}")


def every_route():
    """Of all fronts, without a server."""
    import tempfile

    from cairn.api.context import Context
    from cairn.api.host import EngineHost
    from cairn.api.server import fronts
    from cairn.wiring import open_cairn

    with tempfile.TemporaryDirectory() as home, open_cairn(home) as cairn:
        context = Context(cairn, EngineHost(cairn), url="http://127.0.0.1:1")
        return [route for front in fronts(context) for route in front.routes]


def path_of(template, known, project):
    """The template's path with what is known put in: by a variable's name, or by the collection before a `*`."""

    def filled(found):
        name, pattern = found[1], found[2] or "*"
        if pattern == "*":
            return known.get(name.rpartition(".")[2], project if name == "project" else "x")
        return resource(pattern, known, project)

    path = VARIABLE.sub(filled, template)
    return resource(path, known, project)


def resource(pattern, known, project):
    """`projects/*/locations/*/pipelineJobs/*` with names."""
    parts = pattern.split("/")
    for at, part in enumerate(parts):
        head, colon, verb = part.partition(":")
        if head not in ("*", "**"):
            continue
        collection = parts[at - 1] if at else ""
        name = {"projects": project, "locations": "local"}.get(collection) or known.get(collection, "1")
        parts[at] = f"{name}{colon}{verb}"
    return "/".join(parts)
