"""A classifier of two classes: layers of numbers, and how likely each row is of the second class."""

from itertools import pairwise

import numpy as np


class Network:
    """No hidden layer makes it a logistic regression."""

    def __init__(self, hidden, decay, inputs, seed):
        self.decay = decay
        sizes = [inputs, *hidden, 1]
        random = np.random.default_rng(seed)
        self.weights = []
        for size, following in pairwise(sizes):
            self.weights += [random.normal(0, np.sqrt(2 / size), (size, following)), np.zeros(following)]

    def predict(self, rows):
        return self._forward(rows)[-1][:, 0]

    def _forward(self, rows):
        layers = [rows]
        for index in range(0, len(self.weights), 2):
            total = layers[-1] @ self.weights[index] + self.weights[index + 1]
            last = index + 2 == len(self.weights)
            layers.append(1 / (1 + np.exp(-np.clip(total, -30, 30))) if last else np.maximum(total, 0))
        return layers

    def learn(self, rows, labels, optimizer):
        layers = self._forward(rows)
        error = (layers.pop() - labels[:, None]) / len(rows)
        for index in range(len(self.weights) - 2, -1, -2):
            below = layers.pop()
            gradients = below.T @ error + self.decay * self.weights[index], error.sum(axis=0)
            error = (error @ self.weights[index].T) * (below > 0)
            for offset, gradient in enumerate(gradients):
                self.weights[index + offset] += optimizer.step(index + offset, gradient)
