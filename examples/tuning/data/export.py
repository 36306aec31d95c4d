"""Writes digits.csv from the data set that scikit-learn ships.

uv run --no-project --with scikit-learn==1.9.1 export.py
"""

import csv
from pathlib import Path

from sklearn.datasets import load_digits

digits = load_digits()
side = digits.images.shape[1]
with Path(__file__).with_name("digits.csv").open("w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow([f"row_{row}_column_{column}" for row in range(side) for column in range(side)] + ["digit"])
    table.writerows([*map(int, pixels), int(digit)] for pixels, digit in zip(digits.data, digits.target, strict=True))
