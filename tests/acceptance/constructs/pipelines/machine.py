"""CPU, memory and accelerator requests, also from parameters; memory that is not kept to."""

from typing import NamedTuple

from kfp import dsl


@dsl.component
def threads() -> str:
    import os

    return os.environ.get("OMP_NUM_THREADS", "<unset>")


@dsl.component
def text(value: str) -> str:
    return value


class RequestsOutputs(NamedTuple):
    fixed: str
    given: str


@dsl.pipeline
def requests(cpu: str = "1", memory: str = "200Mi") -> RequestsOutputs:
    fixed = threads().set_cpu_request("1").set_cpu_limit("1").set_memory_request("100Mi").set_memory_limit("1Gi")
    given = threads().set_cpu_limit(cpu).set_memory_limit(text(value=memory).output)
    return RequestsOutputs(fixed.output, given.output)


@dsl.pipeline
def too_much():
    threads().set_cpu_limit("500").set_memory_request("900Gi").set_accelerator_type(
        "nvidia.com/gpu"
    ).set_accelerator_limit(2)


@dsl.pipeline
def too_much_from_upstream():
    threads().set_cpu_limit(text(value="500").output)


@dsl.component
def fill(megabytes: int) -> int:
    import time

    block = bytearray(megabytes * 1024 * 1024)
    for index in range(0, len(block), 4096):
        block[index] = 1
    time.sleep(3)
    return len(block)


@dsl.pipeline
def memory_exceeded():
    fill(megabytes=400).set_memory_limit("150Mi")
