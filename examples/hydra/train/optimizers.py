"""How a gradient changes a weight: `step` gives what to add to it."""

import numpy as np


class Sgd:
    def __init__(self, lr, momentum):
        self.lr, self.momentum = lr, momentum
        self.velocity = {}

    def step(self, index, gradient):
        self.velocity[index] = self.momentum * self.velocity.get(index, 0.0) - self.lr * gradient
        return self.velocity[index]


class Adam:
    def __init__(self, lr, betas):
        self.lr, self.betas = lr, betas
        self.moments = {}

    def step(self, index, gradient):
        count, mean, square = self.moments.get(index, (0, 0.0, 0.0))
        first, second = self.betas
        count, mean = count + 1, first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        self.moments[index] = count, mean, square
        return -self.lr * mean / (1 - first**count) / (np.sqrt(square / (1 - second**count)) + 1e-8)
