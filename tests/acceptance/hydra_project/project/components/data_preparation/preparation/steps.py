"""What is done to the rows, one after the other."""


def clip(rows, limit):
    return [(x, max(-limit, min(limit, y))) for x, y in rows]


def scale(rows, by):
    return [(x, y * by) for x, y in rows]


def unique(rows):
    return sorted(set(rows))
