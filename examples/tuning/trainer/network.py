"""One hidden layer with dropout, in NumPy: small enough to read, and the same numbers on every run."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = ("relu", "tanh", "logistic")


def activate(name: str, values: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(values, 0)
    return np.tanh(values) if name == "tanh" else 1 / (1 + np.exp(-values))


def slope(name: str, activated: np.ndarray) -> np.ndarray:
    """The derivative, from what the function gave."""
    if name == "relu":
        return (activated > 0).astype(activated.dtype)
    return 1 - activated**2 if name == "tanh" else activated * (1 - activated)


class Network:
    """`weights`: hidden, hidden_bias, output, output_bias. Images are rows of pixels between 0 and 1."""

    def __init__(self, pixels: int, neurons: int, classes: int, activation: str, dropout: float, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.activation, self.dropout = activation, dropout
        self.weights = {
            "hidden": generator.normal(0, np.sqrt(2 / pixels), (pixels, neurons)),
            "hidden_bias": np.zeros(neurons),
            "output": generator.normal(0, np.sqrt(1 / neurons), (neurons, classes)),
            "output_bias": np.zeros(classes),
        }
        # Adam's first and second moments, and how many steps were taken.
        self.moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in self.weights.items()}
        self.steps = 0

    def epoch(self, images: np.ndarray, digits: np.ndarray, rate: float, batch: int, seed: list[int]) -> float:
        """Goes through all images once, in an order of its own. The mean cross-entropy."""
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(images))
        losses = [
            self._step(images[part], digits[part], rate, generator)
            for part in np.split(order, range(batch, len(order), batch))
        ]
        return float(np.mean(losses))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The probability of each class, a row for each image."""
        hidden = activate(self.activation, images @ self.weights["hidden"] + self.weights["hidden_bias"])
        scores = hidden @ self.weights["output"] + self.weights["output_bias"]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _step(self, images: np.ndarray, digits: np.ndarray, rate: float, generator: np.random.Generator) -> float:
        activated = activate(self.activation, images @ self.weights["hidden"] + self.weights["hidden_bias"])
        kept = (generator.random(activated.shape) >= self.dropout) / (1 - self.dropout)
        hidden = activated * kept
        scores = hidden @ self.weights["output"] + self.weights["output_bias"]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances = powers / powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(digits))
        loss = float(-np.log(chances[rows, digits] + 1e-12).mean())
        chances[rows, digits] -= 1  # now the gradient of the scores
        chances /= len(digits)
        back = chances @ self.weights["output"].T * kept * slope(self.activation, activated)
        self._adam(
            {
                "hidden": images.T @ back,
                "hidden_bias": back.sum(axis=0),
                "output": hidden.T @ chances,
                "output_bias": chances.sum(axis=0),
            },
            rate,
        )
        return loss

    def _adam(self, gradients: dict[str, np.ndarray], rate: float) -> None:
        self.steps += 1
        for name, gradient in gradients.items():
            first, second = self.moments[name]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            mean, spread = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
            self.weights[name] -= rate * mean / (np.sqrt(spread) + 1e-8)

    def state(self) -> dict[str, np.ndarray]:
        """What training goes on from: see `restore`."""
        found = {**self.weights, "steps": np.array(self.steps)}
        for name, (first, second) in self.moments.items():
            found[f"first_{name}"], found[f"second_{name}"] = first, second
        return found

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.weights = {name: state[name] for name in self.weights}
        self.moments = {name: (state[f"first_{name}"], state[f"second_{name}"]) for name in self.weights}
        self.steps = int(state["steps"])
