"""What an upgrade of Cairn leaves of a step's cache key: all of it, unless the step would give something else."""

import hashlib
from pathlib import Path

import pytest

import cairn
from cairn.engine import cache
from cairn.spec.types import ComponentSpec, ContainerSpec

BOOTSTRAP = (Path(cairn.__file__).parent / "sdk" / "hydra" / "bootstrap.py").read_text()


def component(*command):
    return ComponentSpec(name="train", executor=ContainerSpec(image="acme/train:1", command=command))


def test_the_bootstrap_is_listed_with_the_protocol_that_it_states():
    """After an edit: add its digest to CARRIED. The protocol is raised, here and in its first line, where a program
    would be given other values, or its outputs be told otherwise, than by the texts listed before."""
    listed = cache.CARRIED.get(hashlib.sha256(BOOTSTRAP.encode()).hexdigest(), "the digest is not in CARRIED")
    assert BOOTSTRAP.startswith(f"# {listed}:")


def test_two_texts_of_one_protocol_are_one_to_the_cache(monkeypatch):
    later = BOOTSTRAP + "# of a later version\n"
    key = cache.component_digest(component("python3", "-c", BOOTSTRAP))
    assert cache.component_digest(component("python3", "-c", later)) != key
    monkeypatch.setitem(cache.CARRIED, hashlib.sha256(later.encode()).hexdigest(), "cairn.hydra, protocol 1")
    assert cache.component_digest(component("python3", "-c", later)) == key
    monkeypatch.setitem(cache.CARRIED, hashlib.sha256(later.encode()).hexdigest(), "cairn.hydra, protocol 2")
    assert cache.component_digest(component("python3", "-c", later)) != key


@pytest.mark.parametrize(
    "command",
    [
        ("python3", "-c", BOOTSTRAP + "import evil\n"),
        ("python3", "-c", BOOTSTRAP, "more"),
        ("python3", "-c", BOOTSTRAP.splitlines()[0]),
        ("python3", "-c", "cairn.hydra, protocol 1"),
        ("python", "-c", BOOTSTRAP),
        ("sh", "-c", BOOTSTRAP),
    ],
)
def test_whatever_else_says_that_it_is_one_counts_as_it_stands(command):
    genuine = cache.component_digest(component("python3", "-c", BOOTSTRAP))
    assert cache.component_digest(component(*command)) != genuine
