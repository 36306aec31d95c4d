"""What the replicas of a job ask for together, against what the machine has."""

import pytest

from cairn.domain.resources import Capacity, Resources
from cairn.engine.fit import fit_together
from cairn.errors import UnsupportedFeature

GIB = 1 << 30
MACHINE = Capacity(8000, 32 * GIB, 2)


def test_what_fits_is_what_was_asked_for():
    wanted = [Resources(2000, 8 * GIB, 1, "NVIDIA_L4"), Resources(4000, 8 * GIB, 1, "NVIDIA_L4")]
    total, shares, warnings = fit_together(wanted, MACHINE, strict=True, component="train")
    assert (total, shares, warnings) == (Resources(6000, 16 * GIB, 2, "NVIDIA_L4"), wanted, [])


def test_what_is_too_much_is_shared_in_proportion_with_one_warning():
    wanted = [Resources(12000, 64 * GIB, 2), Resources(4000, 64 * GIB, 2), Resources(0, 0)]
    total, shares, warnings = fit_together(wanted, MACHINE, strict=False, component="train")
    assert total == Resources(8000, 32 * GIB, 2)
    assert shares == [Resources(6000, 16 * GIB, 1), Resources(2000, 16 * GIB, 1), Resources(0, 0)]
    (warning,) = warnings
    for said in ("3 replicas of train", "16 cores (there are 8)", "128 GiB of memory (there are 32)", "4 accelerators"):
        assert said in warning


def test_an_accelerator_is_shared_rather_than_taken_away():
    wanted = [Resources(1000, accelerators=1)] * 3
    total, shares, _ = fit_together(wanted, MACHINE, strict=False, component="train")
    assert (total.accelerators, [share.accelerators for share in shares]) == (2, [1, 1, 1])
    _, shares, _ = fit_together(wanted, Capacity(8000, GIB), strict=False, component="train")
    assert [share.accelerators for share in shares] == [0, 0, 0]


def test_ceilings_shrink_with_the_machine_and_count_where_all_have_one():
    limited = Resources(1000, 32 * GIB, memory_limit_bytes=32 * GIB)
    total, shares, _ = fit_together([limited, limited], MACHINE, strict=False, component="train")
    assert total.memory_limit_bytes == 32 * GIB
    assert [share.memory_limit_bytes for share in shares] == [16 * GIB, 16 * GIB]
    total, _, _ = fit_together([limited, Resources(1000)], MACHINE, strict=False, component="train")
    assert total.memory_limit_bytes == 0


def test_strict_refuses_with_what_there_is():
    with pytest.raises(UnsupportedFeature, match=r"the 2 replicas of train ask for 10 cores \(there are 8\) together"):
        fit_together([Resources(5000)] * 2, MACHINE, strict=True, component="train")
