"""The functions that conf/config.yaml chains. Data is a mapping of arrays: rows and labels, and those put aside."""

import csv
import logging

import numpy as np

log = logging.getLogger(__name__)


def load(_, path, label, positive):
    """Every column but `label` is a measurement; 1 stands for `positive`."""
    with open(path, newline="") as file:
        table = list(csv.DictReader(file))
    labels = np.array([row.pop(label) == positive for row in table], dtype=int)
    return {"rows": np.array([list(row.values()) for row in table], dtype=float), "labels": labels}


def without_outliers(data, fence):
    """Leave out rows more than `fence` interquartile ranges outside the quartiles, on a logarithmic scale."""
    logs = np.log1p(data["rows"])
    low, high = np.quantile(logs, [0.25, 0.75], axis=0)
    reach = fence * (high - low)
    kept = ((logs >= low - reach) & (logs <= high + reach)).all(axis=1)
    log.info("%d of %d rows are outliers", (~kept).sum(), len(kept))
    return {name: part[kept] for name, part in data.items()}


def split(data, share, seed):
    order = np.random.default_rng(seed).permutation(len(data["rows"]))
    aside, kept = np.split(order, [round(share * len(order))])
    return {name: part[kept] for name, part in data.items()} | {f"unseen_{name}": data[name][aside] for name in data}


def scale(data):
    """To the mean and deviation of the rows that are trained on."""
    mean, deviation = data["rows"].mean(axis=0), data["rows"].std(axis=0)
    return {name: (part - mean) / deviation if name.endswith("rows") else part for name, part in data.items()}
