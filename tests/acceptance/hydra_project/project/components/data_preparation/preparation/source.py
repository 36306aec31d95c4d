"""Where the rows come from."""

import random


def synthetic(rows, noise, drop, seed):
    chance = random.Random(seed)
    points = [-1 + 2 * number / (rows - 1) for number in range(rows) if number not in drop]
    return [(x, 0.5 - 2 * x + chance.gauss(0, noise)) for x in points]


def grid(rows, drop):
    return [(number / rows, 1.0) for number in range(rows) if number not in drop]
