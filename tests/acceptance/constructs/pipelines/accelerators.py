"""Steps that ask for accelerators, and one that does not."""

from kfp import dsl


@dsl.component
def look(seconds: float) -> dict:
    import ctypes
    import os
    import subprocess
    import time

    begin = time.time()
    try:  # what the driver offers this process; torch and the like ask the same
        cuda = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        cuda.cuInit(0)
        cuda.cuDeviceGetCount(ctypes.byref(count))
        usable = count.value
    except OSError:
        usable = -1
    try:
        command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
        there = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split("\n")
    except OSError:
        there = []
    time.sleep(seconds)
    return {
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES", "<unset>"),
        "order": os.environ.get("CUDA_DEVICE_ORDER", "<unset>"),
        "usable": usable,
        "there": [line for line in there if line.strip()],
        "begin": begin,
        "end": time.time(),
    }


@dsl.pipeline
def three_devices():
    # The first is still at work when the second has ended: the third is to have the second's device.
    with dsl.ParallelFor([2.0, 1.0, 1.0]) as seconds:
        look(seconds=seconds).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)


@dsl.pipeline
def two_devices():
    look(seconds=0.0).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)


@dsl.pipeline
def no_device():
    look(seconds=0.0)
