"""Caching: hits, misses and what made them, switched off, user keys."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component
def draw(rate: float, name: str, data: Output[Dataset]) -> str:
    import uuid

    drawn = uuid.uuid4().hex
    with open(data.path, "w") as file:
        file.write(f"{rate}")
    return drawn


@dsl.component
def use(data: Input[Dataset], salt: str) -> str:
    import uuid

    return f"{open(data.path).read()} {salt} {uuid.uuid4().hex}"


class CachedOutputs(NamedTuple):
    drawn: str
    used: str
    fresh: str
    keyed: str


@dsl.pipeline
def cached(rate: float = 0.5, salt: str = "s") -> CachedOutputs:
    drawn = draw(rate=rate, name="n")
    used = use(data=drawn.outputs["data"], salt=salt)
    fresh = use(data=drawn.outputs["data"], salt="fresh").set_caching_options(enable_caching=False)
    keyed = use(data=drawn.outputs["data"], salt="keyed").set_caching_options(enable_caching=True, cache_key="my-key")
    return CachedOutputs(drawn.outputs["Output"], used.output, fresh.output, keyed.output)
