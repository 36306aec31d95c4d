"""A real training of two replicas: PyTorch's DistributedDataParallel over gloo, on Debian's python3-torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from worker_pools import HOST, container

from cairn.domain.runs import Run
from cairn.domain.states import RunState

PYTHON = "/usr/bin/python3"
# y = 3x + 1, each rank with half of the points: only together do they find it.
TRAINING = """
import json, os
import torch
import torch.distributed as dist

torch.set_num_threads(1)
torch.manual_seed(int(os.environ["RANK"]))  # so that they begin apart, and end together only by what they tell another
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
points = torch.linspace(-1, 1, 64)[rank::size].reshape(-1, 1)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for _ in range(60):
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(points), 3 * points + 1).backward()
    optimizer.step()
ranks = torch.tensor([float(rank + 1)])
dist.all_reduce(ranks)
found = {"rank": rank, "size": size, "sum": ranks.item(), "weights": [p.item() for p in model.parameters()]}
with open(f"/gcs/models/run/model/{rank}.json", "w") as file:
    json.dump(found, file)
dist.destroy_process_group()
"""


@pytest.fixture(scope="session")
def torch_python(missing_service: Callable[[str, str], NoReturn]) -> str:
    """An interpreter that has PyTorch."""
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode != 0:
        missing_service("PyTorch", "install python3-torch")
    return PYTHON


def test_two_replicas_train_one_model(
    run: Callable[..., Run], torch_python: str, cairn_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TRAINING)
    script = f"exec {torch_python} {tmp_path}/train.py"
    ended = run(
        [container(script), container(script)], settings=HOST,
        baseOutputDirectory={"outputUriPrefix": "gs://models/run"},
    )  # fmt: skip
    assert ended.state is RunState.SUCCEEDED, ended.error
    folder = cairn_home / "buckets/gs/models/run/model"
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first["rank"], second["rank"], first["size"], first["sum"]) == (0, 1, 2, 3.0)
    assert first["weights"] == second["weights"] == pytest.approx([3, 1], abs=0.05)
