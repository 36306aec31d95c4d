"""A polynomial, and gradient descent."""


class Descent:
    def __init__(self, lr):
        self.lr = lr

    def step(self, weights, gradient):
        return [weight - self.lr * slope for weight, slope in zip(weights, gradient)]  # noqa: B905 - Python 3.9 has no strict


class Polynomial:
    def __init__(self, degree):
        self.weights = [0.0] * (degree + 1)

    def __call__(self, x):
        return sum(weight * x**power for power, weight in enumerate(self.weights))

    def gradient(self, rows):
        errors = [(x, self(x) - y) for x, y in rows]
        return [2 * sum(error * x**power for x, error in errors) / len(rows) for power in range(len(self.weights))]

    def loss(self, rows):
        return sum((self(x) - y) ** 2 for x, y in rows) / len(rows)
