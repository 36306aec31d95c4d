"""Google's machine types as requests: vCPUs, memory and the accelerators that come with them.

Sources: "Configure compute resources" of Vertex AI (its tables by series) and Compute Engine's pages of the general
purpose, compute-, memory- and accelerator-optimized families. Their "GB" of memory is 2**30 bytes.
"""

from __future__ import annotations

import re

import msgspec

from cairn.errors import UnsupportedFeature
from cairn.spec.reader import nearest
from cairn.spec.types import ResourceSpec


class MachineType(msgspec.Struct, frozen=True):
    name: str
    cpu_millis: int  # of a shared core: the share that it has at all times
    memory_mib: int
    accelerators: int = 0  # that are part of the machine
    accelerator_type: str = ""  # as Vertex AI's AcceleratorType has it


# By series and variant: GiB per vCPU, and the vCPU counts that there are. The tables round memory down to whole GiB,
# except where the series has fractions (n1).
_SIZED: dict[str, tuple[float, str]] = {
    "n1-standard": (3.75, "1 2 4 8 16 32 64 96"),
    "n1-highmem": (6.5, "2 4 8 16 32 64 96"),
    "n1-highcpu": (0.9, "2 4 8 16 32 64 96"),
    "n2-standard": (4, "2 4 8 16 32 48 64 80 96 128"),
    "n2-highmem": (8, "2 4 8 16 32 48 64 80 96"),
    "n2-highcpu": (1, "2 4 8 16 32 48 64 80 96"),
    "n2d-standard": (4, "2 4 8 16 32 48 64 80 96 128 224"),
    "n2d-highmem": (8, "2 4 8 16 32 48 64 80 96"),
    "n2d-highcpu": (1, "2 4 8 16 32 48 64 80 96 128 224"),
    "n4-standard": (4, "2 4 8 16 32 48 64 80"),
    "n4-highmem": (8, "2 4 8 16 32 48 64 80"),
    "n4-highcpu": (2, "2 4 8 16 32 48 64 80"),
    "n4a-standard": (4, "1 2 4 8 16 32 48 64"),
    "n4a-highmem": (8, "1 2 4 8 16 32 48 64"),
    "n4a-highcpu": (2, "1 2 4 8 16 32 48 64"),
    "n4d-standard": (4, "2 4 8 16 32 48 64 80 96"),
    "n4d-highmem": (8, "2 4 8 16 32 48 64 80 96"),
    "n4d-highcpu": (2, "2 4 8 16 32 48 64 80 96"),
    "e2-standard": (4, "2 4 8 16 32"),
    "e2-highmem": (8, "2 4 8 16"),
    "e2-highcpu": (1, "2 4 8 16 32"),
    "t2a-standard": (4, "1 2 4 8 16 32 48"),
    "t2d-standard": (4, "1 2 4 8 16 32 48 60"),
    "c2-standard": (4, "4 8 16 30 60"),
    "c2d-standard": (4, "2 4 8 16 32 56 112"),
    "c2d-highmem": (8, "2 4 8 16 32 56 112"),
    "c2d-highcpu": (2, "2 4 8 16 32 56 112"),
    "c3-standard": (4, "4 8 22 44 88 176"),
    "c3-highmem": (8, "4 8 22 44 88 176"),
    "c3-highcpu": (2, "4 8 22 44 88 176"),
    "c3d-standard": (4, "4 8 16 30 60 90 180 360"),
    "c3d-highmem": (8, "4 8 16 30 60 90 180 360"),
    "c3d-highcpu": (2, "4 8 16 30 60 90 180 360"),
    "c4-standard": (3.75, "2 4 8 16 24 32 48 96 144 192 288"),
    "c4-highmem": (7.75, "2 4 8 16 24 32 48 96 144 192 288"),
    "c4-highcpu": (2, "2 4 8 16 24 32 48 96 144 192 288"),
    "c4a-standard": (4, "1 2 4 8 16 32 48 64 72"),
    "c4a-highmem": (8, "1 2 4 8 16 32 48 64 72"),
    "c4a-highcpu": (2, "1 2 4 8 16 32 48 64 72"),
    "c4d-standard": (3.875, "2 4 8 16 32 48 64 96 192 384"),
    "c4d-highmem": (7.875, "2 4 8 16 32 48 64 96 192 384"),
    "c4d-highcpu": (1.875, "2 4 8 16 32 48 64 96 192 384"),
    "h3-standard": (4, "88"),
    "m1-ultramem": (24.025, "40 80 160"),
    "m3-megamem": (15.25, "64 128"),
    "m3-ultramem": (30.5, "32 64 128"),
}
# Name: vCPUs, GiB, accelerators, their type.
_SINGLE: dict[str, tuple[float, float, int, str]] = {
    "e2-micro": (0.25, 1, 0, ""),
    "e2-small": (0.5, 2, 0, ""),
    "e2-medium": (1, 4, 0, ""),
    "f1-micro": (0.2, 0.6, 0, ""),
    "g1-small": (0.5, 1.7, 0, ""),
    "n2-highmem-128": (128, 864, 0, ""),
    "m1-megamem-96": (96, 1433.6, 0, ""),
    "m2-ultramem-208": (208, 5888, 0, ""),
    "m2-ultramem-416": (416, 11776, 0, ""),
    "m2-megamem-416": (416, 5888, 0, ""),
    "m2-hypermem-416": (416, 8832, 0, ""),
    **{f"a2-highgpu-{n}g": (12 * n, 85 * n, n, "NVIDIA_TESLA_A100") for n in (1, 2, 4, 8)},
    "a2-megagpu-16g": (96, 1360, 16, "NVIDIA_TESLA_A100"),
    **{f"a2-ultragpu-{n}g": (12 * n, 170 * n, n, "NVIDIA_A100_80GB") for n in (1, 2, 4, 8)},
    **{f"a3-highgpu-{n}g": (26 * n, 234 * n, n, "NVIDIA_H100_80GB") for n in (1, 2, 4, 8)},
    "a3-edgegpu-8g": (208, 1872, 8, "NVIDIA_H100_80GB"),
    "a3-megagpu-8g": (208, 1872, 8, "NVIDIA_H100_MEGA_80GB"),
    "a3-ultragpu-8g": (224, 2952, 8, "NVIDIA_H200_141GB"),
    "a4-highgpu-8g": (224, 3968, 8, "NVIDIA_B200"),
    "a4x-highgpu-4g": (140, 884, 4, "NVIDIA_GB200"),
    **{
        f"g2-standard-{cpus}": (cpus, 4 * cpus, count, "NVIDIA_L4")
        for cpus, count in ((4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 1), (48, 4), (96, 8))
    },
    **{f"g4-standard-{48 * n}": (48 * n, 180 * n, n, "NVIDIA_RTX_PRO_6000") for n in (1, 2, 4, 8)},
    **{
        f"ct5lp-hightpu-{n}t": (cpus, memory, n, "TPU_V5_LITEPOD")
        for n, cpus, memory in ((1, 24, 48), (4, 112, 192), (8, 224, 384))
    },
}
_OLD_NAMES = re.compile(r"n1-((?:ultra|mega)mem-\d+)$")  # what Vertex AI still calls the m1 series
_ENDINGS = ("-lssd", "-nolssd")  # with and without local disks: the same CPUs and memory
_CUSTOM = re.compile(r"(?:(n1|n2|n2d|n4|n4a|n4d|e2)-)?custom-(\d{1,3}|micro|small|medium)-(\d{3,8})(-ext)?$")
_SHARES = {"micro": 250, "small": 500, "medium": 1000}


def machine_type(name: str) -> MachineType:
    """What `name` has. Raises UnsupportedFeature, with the nearest name, for one that is none of Google's."""
    short = name.strip().rpartition("/")[2]  # also as a resource: zones/Z/machineTypes/NAME
    for ending in _ENDINGS:
        short = short.removesuffix(ending)
    found = _predefined(_OLD_NAMES.sub(r"m1-\1", short)) or _custom(short)
    if found is None:
        remedy = "or say CPU and memory themselves; custom types are n2-custom-VCPUS-MEBIBYTES"
        raise UnsupportedFeature(
            f"{name[:100]!r} is no machine type that Cairn knows{nearest(short.lower(), known_machine_types())}",
            remedy=remedy,
        )
    return msgspec.structs.replace(found, name=name)


def known_machine_types() -> list[str]:
    """The predefined ones, by series."""
    return [*(f"{series}-{cpus}" for series, (_, sizes) in _SIZED.items() for cpus in sizes.split()), *_SINGLE]


def machine_resources(name: str, accelerator_type: str = "", accelerator_count: int = 0) -> ResourceSpec:
    """What a machine of this type requests; accelerators that are named go before those that the type has.

    Requests only, no limits: a step that is placed on such a machine may use all of what there is.
    """
    machine = machine_type(name)
    kind = accelerator_type or machine.accelerator_type
    count = accelerator_count or (1 if accelerator_type else machine.accelerators)
    return ResourceSpec(
        cpu_request=f"{machine.cpu_millis}m",
        memory_request=f"{machine.memory_mib}Mi",
        accelerator_type=kind,
        accelerator_count=str(count) if count else "",
    )


def _predefined(name: str) -> MachineType | None:
    if name in _SINGLE:
        cpus, gib, count, kind = _SINGLE[name]
        return MachineType(name, round(cpus * 1000), round(gib * 1024), count, kind)
    series, _, size = name.rpartition("-")
    if series not in _SIZED or size not in _SIZED[series][1].split():
        return None
    memory = _SIZED[series][0] * int(size)
    return MachineType(name, int(size) * 1000, round(memory * 1024) if series[:2] == "n1" else int(memory) * 1024)


def _custom(name: str) -> MachineType | None:
    match = _CUSTOM.match(name)
    if match is None:
        return None
    series, cpus, memory, _ = match.groups()
    if cpus in _SHARES:
        return MachineType(name, _SHARES[cpus], int(memory)) if series == "e2" else None
    return MachineType(name, int(cpus) * 1000, int(memory)) if int(cpus) and int(memory) % 256 == 0 else None
