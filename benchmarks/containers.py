"""What a container costs under the docker executor beyond a bare create, start, wait and remove of the same container.

    python benchmarks/containers.py [--socket /var/run/docker.sock] [--image NAME] [--count 40] [--command true]

Both are done in turn in one process, by one client of the engine's API. The executor's time is from `start` to the
collected exit: with the attempt's directory, its logs, its published exit, and the container removed. Without --image
one is made from this machine's Python, as for the tests.
"""

import argparse
import select
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import base_image

from cairn.config.container_engine import socket_of, user_of
from cairn.config.settings import DockerSettings
from cairn.domain.resources import Resources
from cairn.engine.ports import ContainerImage, Environment, ProcessSpec, StartAttempt
from cairn.executors.docker import DockerExecutor
from cairn.executors.docker.bodies import Maker
from cairn.launcher.container_api import ContainerApi

TARGET = 40.0  # milliseconds beyond


def request(root: Path, environment: Environment, command: list[str]) -> StartAttempt:
    directory = root / str(uuid.uuid4())
    for name in ("work", "tmp", "home", "out"):
        (directory / name).mkdir(parents=True)
    process = ProcessSpec(argv=tuple(command), environment=environment, reads=(str(root),))
    return StartAttempt(
        uid=directory.name,
        directory=str(directory),
        processes=(process,),
        resources=Resources(),
        create_directories=(f"{directory}/out",),
    )


def under_the_executor(executor: DockerExecutor, wanted: StartAttempt) -> float:
    began = time.perf_counter()
    executor.start(wanted)
    exits = []
    while not exits:
        select.select([executor.fileno()], [], [])
        exits = executor.collect()
    seconds = time.perf_counter() - began
    assert exits[0].exit.code == 0, exits
    return seconds * 1000


def bare(api: ContainerApi, maker: Maker, wanted: StartAttempt) -> float:
    made = maker.container(wanted, 0)
    argv = list(wanted.processes[0].argv)
    body = {**made["body"], "Entrypoint": argv[:1], "Cmd": argv[1:]}
    began = time.perf_counter()
    container = api.call("POST", "/containers/create", body, name=made["name"])["Id"]
    api.call("POST", f"/containers/{container}/start")
    assert api.wait(container).read()["StatusCode"] == 0
    api.call("DELETE", f"/containers/{container}")
    return (time.perf_counter() - began) * 1000


def told(name: str, values: list[float]) -> None:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    print(
        f"{name:28} median {statistics.median(values):7.1f} ms   quartiles {middle[0]:.1f} to {middle[1]:.1f}"
        f"   all {ordered[0]:.1f} to {ordered[-1]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", default="")
    parser.add_argument("--image", default="")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--command", default="true", help="words, separated by blanks")
    options = parser.parse_args()
    settings = DockerSettings(socket=options.socket)
    socket = socket_of(settings)
    api = ContainerApi(socket)
    if options.image:
        name, identity = options.image, api.call("GET", f"/images/{options.image}/json")["Id"]
    else:
        name, identity = base_image.make(socket)
    environment = Environment(identity, image=ContainerImage(name, identity))
    maker = Maker(settings, user_of(settings, socket), "")
    executor = DockerExecutor(socket, settings)
    root = Path(tempfile.mkdtemp(prefix="cairn-containers-"))
    ours: list[float] = []
    theirs: list[float] = []
    try:
        for number in range(-2, options.count):  # the first two are not counted
            pair = [
                under_the_executor(executor, request(root, environment, options.command.split())),
                bare(api, maker, request(root, environment, options.command.split())),
            ]
            if number >= 0:
                ours.append(pair[0])
                theirs.append(pair[1])
    finally:
        executor.close()
        shutil.rmtree(root, ignore_errors=True)
    told("docker executor", ours)
    told("bare", theirs)
    beyond = statistics.median(ours) - statistics.median(theirs)
    paired = statistics.median(mine - other for mine, other in zip(ours, theirs, strict=True))
    print(f"beyond: {beyond:.1f} ms between the medians, {paired:.1f} ms pair by pair; at most {TARGET:g} ms is wanted")
    sys.exit(beyond > TARGET)


if __name__ == "__main__":
    main()
