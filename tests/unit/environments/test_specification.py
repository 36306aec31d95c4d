import msgspec
import pytest

from cairn.environments.specification import UvSpec

BASE = UvSpec("3.11", ("pandas",), ("kfp==2.17.0",), index_url="https://a:b@host/simple")


@pytest.mark.parametrize(
    "change",
    [
        {"python": "3.12"}, {"packages": ("pandas", "numpy")}, {"packages": ()}, {"bare": ()}, {"brought": "kfp"},
        {"index_url": "https://other/simple"}, {"extra_index_urls": ("https://x",)}, {"find_links": ("/wheels",)},
        {"prerelease": True}, {"exclude_newer": "2026-01-01"}, {"inputs": "x"}, {"offline": True},
        {"project_file": "uv.lock"}, {"project_package": "x"},
    ],
)  # fmt: skip
def test_whatever_changes_what_is_resolved_changes_the_key(change):
    assert msgspec.structs.replace(BASE, **change).key != BASE.key


@pytest.mark.parametrize(
    "change",
    [
        {"index_url": "https://c:d@host/simple"},
        {"variables": (("T", "s"),)},
        {"project": "/x"},
        {"trusted_hosts": ("h",)},
    ],
)
def test_credentials_and_places_do_not(change):
    assert msgspec.structs.replace(BASE, **change).key == BASE.key


def test_the_order_of_requirements_counts():
    assert UvSpec("3.11", ("a", "b")).key != UvSpec("3.11", ("b", "a")).key
