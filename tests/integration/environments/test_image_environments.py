"""What lightweight components install in images, by a real container engine; packages are written here."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cairn.config.settings import DockerSettings, EnvironmentsSettings
from cairn.environments.collection import collect, list_environments
from cairn.environments.command_shape import Install
from cairn.environments.container_running import run_to_end
from cairn.environments.locking import exclusive
from cairn.environments.service import UvEnvironments
from cairn.errors import EnvironmentBuildError, InputRefused, NoContainerEngine, UnsupportedFeature
from cairn.spec.types import ContainerSpec

KNOWS = "import json, sys, lower; print(json.dumps([sys.executable, lower.value, lower.__file__]))"


def planned(environments, container, images=(), executor="docker"):
    return environments.plan("comp-it", container, images, executor=executor, strict=False, in_place=False)


@pytest.fixture
def images(container_engine):
    from images import images_of

    with images_of(container_engine.socket, container_engine.image) as images:
        yield images


@pytest.fixture
def docker(container_engine):
    return DockerSettings(socket=container_engine.socket)


@pytest.fixture
def environments(home, settings, docker):
    return UvEnvironments(home, settings, docker)


@pytest.fixture
def plan(environments):
    """`plan(image, "upper")`: of a component that installs packages in an image."""

    def make(image, *packages, source=environments, install=None):
        wanted = install or Install(packages=packages)
        return source.in_images.plan("comp-it", ContainerSpec(image, ("sh",)), image, wanted, ("sh",))

    return make


@pytest.fixture
def inside(container_engine):
    """`inside(environment, "print(1)")`: what Python says in a container of the environment."""

    def run(environment, code, **variables):
        image = environment.image
        mounts = [{"Type": "bind", "Source": real, "Target": seen, "ReadOnly": True} for seen, real in image.mounts]
        told = {**environment.variables, **variables}
        body = {
            "Image": image.id,
            "Entrypoint": ["python3"],
            "Cmd": ["-c", code],
            "Env": [f"{name}={value}" for name, value in told.items()],
            "HostConfig": {"Mounts": mounts, "NetworkMode": "none"},
        }
        said, words = run_to_end(container_engine.api, f"cairn-test-{os.getpid()}", body)
        assert said, words
        return json.loads(said)

    return run


def holding_lower(images):
    """An image with version 0.9 of `lower` where its Python keeps packages."""
    probe = images.build('RUN python3 -c "import site; print(site.getsitepackages()[0])" > /place')
    place = images.client.containers.run(probe, ["cat", "/place"], network_mode="host", remove=True).decode().strip()
    files = {
        "lower.py": "value = 0\n",
        "METADATA": "Metadata-Version: 2.1\nName: lower\nVersion: 0.9\n",
        "RECORD": "lower.py,,\n",
        "INSTALLER": "pip\n",
    }
    copies = f"COPY lower.py {place}/\nCOPY METADATA RECORD INSTALLER {place}/lower-0.9.dist-info/"
    return images.build(copies, files)


def test_packages_are_added_once_and_shown_to_containers(environments, container_engine, plan, inside):
    wanted = plan(container_engine.image, "upper")
    assert wanted.executor == "docker"
    assert environments.find(wanted) is None
    lines = []
    built = environments.build(wanted, lines.append)
    assert environments.find(wanted) == built
    assert environments.build(plan(container_engine.image, "upper"), None) == built
    python, value, place = inside(built, "import upper; " + KNOWS)
    assert (python, value) == ("/cairn/environment/bin/python3", 1)
    assert place.startswith("/cairn/environment/")
    assert any("lower==1.0" in line for line in lines)
    assert container_engine.image_id in built.identity


def test_what_the_image_holds_stays_where_it_is_enough(environments, images, plan, inside):
    image = holding_lower(images)
    enough = environments.build(plan(image, "upper"))
    assert inside(enough, "import upper; " + KNOWS)[1] == 0
    too_old = environments.build(plan(image, "upper", "lower>=1"))
    assert inside(too_old, "import upper; " + KNOWS)[1] == 1
    assert enough.identity != too_old.identity
    nothing = environments.build(plan(image, "lower"))
    assert inside(nothing, KNOWS)[1] == 0


def test_the_python_of_a_virtual_environment_in_the_image_keeps_its_packages(environments, images, plan, inside):
    instructions = (
        "RUN python3 -m venv --without-pip /venv\n"
        "ENV PATH=/venv/bin:$PATH\n"
        "COPY lower.py /\n"
        "RUN cp /lower.py $(python3 -c 'import site; print(site.getsitepackages()[0])')"
    )
    image = images.build(instructions, {"lower.py": "value = 7\n"})
    built = environments.build(plan(image, install=Install(bare=("upper",))))
    assert inside(built, "import upper; " + KNOWS)[:2] == ["/cairn/environment/bin/python3", 7]


def test_packages_named_alone_come_without_what_they_need(environments, container_engine, plan, inside):
    built = environments.build(plan(container_engine.image, install=Install(("lower",), ("kfp==2.17.0",))))
    code = "import importlib.metadata as m, json; print(json.dumps(sorted(d.name for d in m.distributions())))"
    assert {"kfp", "lower"} <= set(inside(built, code))


def test_what_cannot_be_resolved_is_told_in_uvs_own_words(environments, container_engine, plan):
    with pytest.raises(EnvironmentBuildError, match="lower==7") as raised:
        environments.build(plan(container_engine.image, "lower==7"))
    assert container_engine.image in str(raised.value)
    assert raised.value.remedy


def test_an_image_without_python_is_named(environments, images, plan):
    image = images.empty()
    with pytest.raises(EnvironmentBuildError, match="no python3") as raised:
        environments.build(plan(image, "lower"))
    assert image in str(raised.value)
    assert "host" in raised.value.remedy


def test_an_image_built_anew_under_its_name_gets_packages_of_its_own(environments, images, plan):
    image = images.build("RUN touch /one")
    before = environments.build(plan(image, "lower"))
    images.build("RUN touch /two", name=image)
    wanted = plan(image, "lower")
    assert environments.find(wanted) is None
    after = environments.build(wanted)
    assert after.identity != before.identity
    assert after.image.id != before.image.id


def test_such_environments_are_listed_kept_while_held_and_collected(home, settings, docker, plan, container_engine):
    environments = UvEnvironments(home, settings, docker)
    built = environments.build(plan(container_engine.image, "lower", source=environments))
    (told,) = list_environments(environments.catalogue)
    assert (told.key, told.ready, told.in_use) == (built.key, True, True)
    assert container_engine.image in told.asked_for[0]
    assert "lower" in told.asked_for[0]
    assert collect(environments.catalogue, older_than=-1).environments == ()
    environments._holding.close()
    assert collect(environments.catalogue, older_than=-1).environments == (built.key,)
    assert environments.build(plan(container_engine.image, "lower", source=environments)).identity == built.identity


BUILDER = """
import sys, msgspec
from cairn.config.home import Home
from cairn.config.settings import DockerSettings, EnvironmentsSettings
from cairn.environments.command_shape import Install
from cairn.environments.locking import exclusive
from cairn.environments.service import UvEnvironments
from cairn.spec.types import ContainerSpec
home, settings, docker, image, package = sys.argv[1:]
environments = UvEnvironments(
    Home.open(home), msgspec.json.decode(settings, type=EnvironmentsSettings), DockerSettings(socket=docker)
)
plan = environments.in_images.plan("it", ContainerSpec(image, ("sh",)), image, Install((package,)), ("sh",))
lines = []
print(environments.build(plan, lines.append).key, len(lines), flush=True)
"""


def start_builder(home, settings, engine, package):
    told = [str(home.root), msgspec.json.encode(settings).decode(), engine.socket, engine.image, package]
    return subprocess.Popen([sys.executable, "-c", BUILDER, *told], stdout=subprocess.PIPE, text=True)


def builders_left(engine, home, state=""):
    """Containers that build for a home."""
    return [
        one["Id"]
        for one in engine.api.list("cairn.lock")
        if one["Labels"]["cairn.lock"].startswith(str(home.root)) and state in ("", one["State"])
    ]


def settled(engine, home, count):
    """Whether so many are left, once the engine has removed what it is removing."""
    deadline = time.monotonic() + 20
    while len(builders_left(engine, home)) > count and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(builders_left(engine, home)) == count


def test_many_processes_build_one_environment_once(home, settings, container_engine):
    builders = [start_builder(home, settings, container_engine, "upper") for _ in range(4)]
    said = [builder.communicate(timeout=120)[0].split() for builder in builders]
    assert len({key for key, _ in said}) == 1
    assert sorted(lines == "0" for _, lines in said) == [False, True, True, True]
    assert settled(container_engine, home, 0)


def test_the_container_of_a_killed_builder_ends(home, settings, container_engine, plan, environments, inside):
    builder = start_builder(home, settings, container_engine, "large")
    deadline = time.monotonic() + 60
    while not builders_left(container_engine, home, "running"):
        assert builder.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    builder.kill()
    builder.communicate()
    while builders_left(container_engine, home, "running"):
        assert time.monotonic() < deadline, "its container runs on"
        time.sleep(0.05)
    built = environments.build(plan(container_engine.image, "large"))
    assert inside(built, "import large.module_399; print(1)") == 1
    assert settled(container_engine, home, 0)


def test_a_container_that_a_killed_builder_never_started_goes_with_the_next_build(
    home, container_engine, plan, environments
):
    labels = {"cairn.lock": str(environments.catalogue.spec_lock("0"))}
    body = {"Image": container_engine.image_id, "Cmd": ["true"], "Labels": labels}
    container_engine.api.call("POST", "/containers/create", body)
    with exclusive(environments.catalogue.spec_lock("0")):
        environments.build(plan(container_engine.image, "lower"))
        assert settled(container_engine, home, 1)
    environments.build(plan(container_engine.image, "upper"))
    assert settled(container_engine, home, 0)


def test_an_image_that_may_not_be_fetched_is_missed_when_the_run_is_planned(home, docker, images):
    environments = UvEnvironments(home, EnvironmentsSettings(), msgspec.structs.replace(docker, pull="never"))
    absent = images.name()
    with pytest.raises(UnsupportedFeature, match=absent) as raised:
        planned(environments, ContainerSpec(absent, ("true",)))
    assert "cairn images build" in raised.value.remedy


def test_an_image_that_cannot_be_fetched_fails_with_the_engines_words(environments, images):
    absent = f"127.0.0.1:9/{images.name()}"
    wanted = planned(environments, ContainerSpec(absent, ("true",)))
    assert environments.find(wanted) is None
    lines = []
    with pytest.raises(EnvironmentBuildError, match="refused") as raised:
        environments.build(wanted, lines.append)
    assert absent in str(raised.value)
    assert "docker pull" in raised.value.remedy
    assert lines == [f"Fetching image {absent}"]


def test_a_machine_without_an_engine_is_told_which_socket_and_what_to_do(home, tmp_path):
    environments = UvEnvironments(home, EnvironmentsSettings(), DockerSettings(socket=f"unix://{tmp_path}/none.sock"))
    with pytest.raises(NoContainerEngine, match="/none") as raised:
        planned(environments, ContainerSpec("alpine"))
    assert raised.value.place == "comp-it"
    assert "--executor process" in raised.value.remedy


@pytest.mark.parametrize(
    ("instructions", "command", "args", "words"),
    [
        ('ENTRYPOINT ["a", "b"]\nCMD ["c"]', (), (), ("a", "b", "c")),
        ('ENTRYPOINT ["a", "b"]\nCMD ["c"]', (), ("x",), ("a", "b")),
        ('ENTRYPOINT ["a", "b"]\nCMD ["c"]', ("x",), (), ()),
        ('CMD ["c"]', (), (), ("c",)),
        ('CMD ["c"]', (), ("x",), ()),
    ],
)
def test_where_a_component_has_no_words_its_images_are_executed(
    environments, images, instructions, command, args, words
):
    container = ContainerSpec(images.build(instructions), command, args)
    wanted = environments.plan("comp-it", container, (), executor="docker", strict=False, in_place=False)
    assert environments.find(wanted).image.entrypoint == words
    assert wanted.command is None


def test_a_component_without_words_in_an_image_without_words_is_refused(environments, container_engine):
    with pytest.raises(UnsupportedFeature, match="ENTRYPOINT"):
        planned(environments, ContainerSpec(container_engine.image))


def test_mappings_decide_before_the_executor(environments, container_engine, tmp_path):
    image = container_engine.image
    container = ContainerSpec("gcr.io/acme/train:v1", ("true",))

    def executor(images, executor):
        plan = planned(environments, container, images, executor)
        return plan.executor, getattr(plan.environment_spec, "name", "")

    assert executor([("gcr.io/*", f"docker:{image}")], "process") == ("docker", image)
    assert executor([("gcr.io/*", "host")], "docker") == ("process", "")
    assert executor([("gcr.io/*", f"project:{tmp_path}")], "docker") == ("process", "")
    assert executor([("other/*", "host"), ("*", "docker")], "process") == ("docker", "gcr.io/acme/train:v1")
    assert executor([], "docker") == ("docker", "gcr.io/acme/train:v1")
    with pytest.raises(NoContainerEngine, match="--executor docker"):
        executor([], "process")


def test_the_home_it_was_built_in_does_not_matter_to_what_it_is(environments, plan, container_engine, tmp_path):
    built = environments.build(plan(container_engine.image, "lower"))
    ((seen, real),) = built.image.mounts
    assert seen == "/cairn/environment"
    assert str(tmp_path) not in "".join(
        path.read_text() for path in Path(real).rglob("*") if path.suffix in (".pth", ".cfg", ".py")
    )


def test_an_image_that_is_known_only_when_it_runs_is_planned_as_far_as_it_is_known(home, environments, tmp_path):
    container = ContainerSpec("{{$.inputs.parameters['image']}}", ("true",))
    assert planned(environments, container).executor == "docker"
    alone = UvEnvironments(home, EnvironmentsSettings(), DockerSettings(socket=f"unix://{tmp_path}/none.sock"))
    with pytest.raises(NoContainerEngine):
        planned(alone, container)


def test_a_name_that_is_none_is_refused(environments):
    with pytest.raises(InputRefused, match="no name of an image") as raised:
        planned(environments, ContainerSpec("Not A Name", ("true",)))
    assert raised.value.place == "comp-it"
