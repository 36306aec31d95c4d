import pytest

from cairn.errors import SpecError
from cairn.spec.quantities import accelerator_family, parse_count, parse_cpu, parse_memory


@pytest.mark.parametrize(
    ("text", "millis"),
    [("500m", 500), ("2", 2000), ("0.5", 500), ("1.5", 1500), ("100u", 1), ("1e1", 10_000), ("0", 0)],
)
def test_cpu_is_read_in_thousandths(text, millis):
    assert parse_cpu(text) == millis


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("4Gi", 4 << 30), ("1.5G", 1_500_000_000), ("512M", 512_000_000), ("256Mi", 256 << 20)),
        *(("1000000", 1_000_000), ("1Ki", 1024), ("64k", 64_000), ("1e9", 10**9), ("0.1", 1)),
    ],
)
def test_memory_is_read_in_bytes(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "two", "4GB", "-1", "1 Gi", "1Gi ".strip() + "b", "NaN", "1e99", "9" * 40])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(SpecError):
        parse_memory(text)
    with pytest.raises(SpecError):
        parse_cpu(text)


def test_accelerators_are_whole():
    assert parse_count("2") == 2
    for text in ("0.5", "one", ""):
        with pytest.raises(SpecError):
            parse_count(text)


@pytest.mark.parametrize(
    ("type_", "family"),
    [
        *(("nvidia.com/gpu", "nvidia"), ("NVIDIA_TESLA_T4", "nvidia"), ("nvidia-h100-80gb", "nvidia")),
        *(("TPU_V3", "tpu"), ("cloud-tpus.google.com/v3", "tpu"), ("amd.com/gpu", "amd"), ("abacus", ""), ("", "")),
    ],
)
def test_accelerators_have_a_family(type_, family):
    assert accelerator_family(type_) == family
