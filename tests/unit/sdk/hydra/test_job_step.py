import os
import stat
import threading

import cloudpickle
import pytest
from hydra.core.utils import JobReturn, JobStatus

from cairn.sdk.hydra.job_step import copy_tree, metrics, pickled


class Scalar:
    """What numpy and torch give."""

    def __init__(self, *values: float) -> None:
        self._values = values

    def item(self) -> float:
        if len(self._values) != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._values[0]


@pytest.mark.parametrize(
    ("returned", "numbers"),
    [
        (None, {}),
        ("text", {}),
        (0.5, {"return_value": 0.5}),
        (True, {"return_value": True}),
        (Scalar(2.5), {"return_value": 2.5}),
        (Scalar(1.0, 2.0), {}),
        ((0.5, 3), {"return_value_0": 0.5, "return_value_1": 3}),
        ({"loss": 0.5, "note": "good", "test": {"loss": Scalar(1.0)}}, {"loss": 0.5, "test.loss": 1.0}),
        ({"loss": float("nan"), "best": float("inf")}, {"loss": "nan", "best": "inf"}),
    ],
)
def test_the_numbers_of_what_a_job_returns_are_metrics(returned, numbers):
    assert metrics(returned) == numbers


def test_a_copied_directory_has_files_links_and_times(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "checkpoints").mkdir(parents=True)
    model = source / "checkpoints" / "1.pt"
    model.write_bytes(b"weights")
    os.utime(model, ns=(1_000_000_007, 1_000_000_007))
    model.chmod(0o444)
    (source / "latest").symlink_to("checkpoints")
    copy_tree(source, target, writable=True)
    copied = target / "checkpoints" / "1.pt"
    assert copied.read_bytes() == b"weights"
    assert copied.stat().st_mtime_ns == 1_000_000_007
    assert stat.S_IMODE(copied.stat().st_mode) == 0o644
    assert os.readlink(target / "latest") == "checkpoints"
    copied.write_bytes(b"edited!")
    copy_tree(source, target, writable=True)
    assert copied.read_bytes() == b"weights"


class Stubborn(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_exception_that_cannot_be_carried_over_is_told_in_words():
    result = JobReturn()
    result.return_value, result.status = Stubborn(1, 2), JobStatus.FAILED
    carried, told = cloudpickle.loads(pickled(result, "the traceback"))
    assert told == "the traceback"
    with pytest.raises(RuntimeError, match="Stubborn: 1 and 2"):
        _ = carried.return_value


def test_a_value_that_cannot_be_pickled_is_refused():
    result = JobReturn()
    result.return_value, result.status = threading.Lock(), JobStatus.COMPLETED
    with pytest.raises(TypeError, match="what the job returned cannot be pickled"):
        pickled(result, "")
