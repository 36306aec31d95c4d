"""Writes breast_cancer.csv from the data set that scikit-learn ships.

uv run --no-project --with pandas==3.1.1 --with scikit-learn==1.9.1 export.py
"""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

frame = load_breast_cancer(as_frame=True)
table = frame.data.rename(columns=lambda name: name.replace(" ", "_"))
table["diagnosis"] = frame.target.map(dict(enumerate(frame.target_names)))
table.to_csv(Path(__file__).with_name("breast_cancer.csv"), index=False, lineterminator="\n")
