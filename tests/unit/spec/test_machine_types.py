"""Machine types: rows of Google's tables, and what is none."""

import pytest

from cairn.domain.resources import Resources
from cairn.engine.fit import resources_of
from cairn.errors import UnsupportedFeature
from cairn.spec.machine_types import known_machine_types, machine_resources, machine_type

GIB = 1 << 30


@pytest.mark.parametrize(
    ("name", "cpus", "gib", "accelerators"),
    [
        ("n1-standard-4", 4, 15, 0),
        ("n1-standard-96", 96, 360, 0),
        ("n1-highmem-8", 8, 52, 0),
        ("n1-ultramem-40", 40, 961, 0),
        ("m1-ultramem-160", 160, 3844, 0),
        ("n2-standard-128", 128, 512, 0),
        ("n2-highmem-96", 96, 768, 0),
        ("n2-highmem-128", 128, 864, 0),
        ("n2d-highcpu-224", 224, 224, 0),
        ("e2-standard-4", 4, 16, 0),
        ("e2-micro", 0.25, 1, 0),
        ("e2-medium", 1, 4, 0),
        ("c2-standard-60", 60, 240, 0),
        ("c2d-highmem-112", 112, 896, 0),
        ("c3-highcpu-176", 176, 352, 0),
        ("c4-standard-2", 2, 7, 0),
        ("c4-highmem-4", 4, 31, 0),
        ("c4-highmem-288", 288, 2232, 0),
        ("c4d-standard-4", 4, 15, 0),
        ("c4d-standard-384", 384, 1488, 0),
        ("c4d-highmem-8", 8, 63, 0),
        ("c4d-highcpu-2", 2, 3, 0),
        ("c4d-highcpu-384", 384, 720, 0),
        ("m2-ultramem-416", 416, 11776, 0),
        ("m3-ultramem-128", 128, 3904, 0),
        ("a2-highgpu-1g", 12, 85, 1),
        ("a2-megagpu-16g", 96, 1360, 16),
        ("a2-ultragpu-8g", 96, 1360, 8),
        ("a3-highgpu-8g", 208, 1872, 8),
        ("a3-ultragpu-8g", 224, 2952, 8),
        ("g2-standard-32", 32, 128, 1),
        ("g2-standard-96", 96, 384, 8),
        ("g4-standard-384", 384, 1440, 8),
        ("c3-standard-4-lssd", 4, 16, 0),
        ("zones/europe-west4-a/machineTypes/n1-standard-4", 4, 15, 0),
        ("custom-6-20480", 6, 20, 0),
        ("n2-custom-16-32768", 16, 32, 0),
        ("n2-custom-2-65536-ext", 2, 64, 0),
        ("e2-custom-small-2048", 0.5, 2, 0),
    ],
)
def test_a_type_has_what_the_tables_say(name: str, cpus: float, gib: float, accelerators: int) -> None:
    found = machine_type(name)
    assert (found.name, found.cpu_millis, found.memory_mib, found.accelerators) == (
        name,
        cpus * 1000,
        gib * 1024,
        accelerators,
    )


def test_the_n1_series_has_fractions() -> None:
    assert machine_type("n1-standard-1").memory_mib == 3840
    assert machine_type("n1-highcpu-16").memory_mib == 14746


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("n1-standard-5", "n1-standard-"),
        ("n1-standrad-4", "n1-standard-4"),
        ("a2-highgpu-3g", "a2-highgpu-"),
        ("N1-STANDARD-4", ""),
        ("p4d.24xlarge", ""),
        ("", ""),
        ("c2-custom-4-8192", ""),
        ("n2-custom-4-8191", ""),
        ("n2-custom-micro-2048", ""),
        ("n2-custom-0-2048", ""),
    ],
)
def test_what_is_no_type_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        machine_type(name)
    assert near in refused.value.message
    assert refused.value.remedy


def test_every_known_type_is_found() -> None:
    names = known_machine_types()
    assert len(names) == len(set(names)) > 250
    for name in names:
        found = machine_type(name)
        assert found.cpu_millis >= 200
        assert found.memory_mib >= 600
        assert bool(found.accelerators) == bool(found.accelerator_type)


def test_a_machine_is_what_a_step_requests() -> None:
    assert resources_of(machine_resources("n1-standard-4"), str) == Resources(4000, 15 * GIB)
    assert resources_of(machine_resources("n1-standard-4", "NVIDIA_TESLA_T4"), str) == Resources(
        4000, 15 * GIB, 1, "NVIDIA_TESLA_T4"
    )
    assert resources_of(machine_resources("n1-standard-8", "NVIDIA_TESLA_T4", 2), str).accelerators == 2
    assert resources_of(machine_resources("a2-highgpu-2g"), str) == Resources(24000, 170 * GIB, 2, "NVIDIA_TESLA_A100")


def test_a_name_in_capitals_is_told_the_right_one() -> None:
    with pytest.raises(UnsupportedFeature, match="n1-standard-4"):
        machine_type("N1-STANDARD-4")
