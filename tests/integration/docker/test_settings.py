"""What [docker] says of containers is what they are; and what they see by default."""

import os
import subprocess

import pytest

from cairn.domain.resources import Resources
from cairn.domain.states import ExitReason
from cairn.engine.ports import ContainerImage, Environment, ProcessSpec
from cairn.testing.executors import log, run

STATUS = "sed -n 's/^\\(NoNewPrivs\\|CapEff\\):\\s*/\\1 /p' /proc/self/status"
SHM = "python3 -c 'import os; s = os.statvfs(\"/dev/shm\"); print(s.f_blocks * s.f_frsize)'"


def test_by_default_a_step_is_us_on_the_machines_network_and_gains_no_rights(executor, attempts):
    request = attempts.shell(f"id -u; id -g; ls /sys/class/net; {STATUS}; {SHM}; touch /made && rm /made")
    assert run(executor, request).code == 0, log(request, "stderr")
    words = log(request).split()
    assert words[:2] == [str(os.getuid()), str(os.getgid())]
    assert set(os.listdir("/sys/class/net")) <= set(words)
    assert words[words.index("NoNewPrivs") + 1] == "1"
    assert words[-1] == str(64 << 20)


def test_its_directories_are_its_attempts(executor, attempts):
    request = attempts.shell(
        'pwd; echo "$HOME"; echo "$TMPDIR"; touch "$HOME/x" "$TMPDIR/x"; mkdir -p "$CAIRN_LOG_DIRECTORY"'
    )
    assert run(executor, request).code == 0
    assert log(request).split() == [f"{request.directory}/{name}" for name in ("work", "home", "tmp")]
    assert os.path.isdir(f"{request.directory}/logs")


def test_the_images_working_directory_and_entrypoint_are_used(executor, attempts, container_engine):
    image = ContainerImage(
        container_engine.image, container_engine.image_id, entrypoint=("env", "A=b"), working_directory="/var/tmp"
    )
    request = attempts.shell("pwd; echo $A", environment=Environment(image.id, image=image))
    assert run(executor, request).code == 0
    assert log(request).split() == ["/var/tmp", "b"]


def test_walls_as_high_as_they_are_asked_for(make_executor, attempts):
    executor = make_executor(
        read_only_root=True, network="none", cap_drop=("ALL",), shm="16Mi", no_new_privileges=False, user="1234:1235"
    )
    out = attempts.root / "out"
    given = str(attempts.root / "out" / "given.json")
    script = (
        f"id -u; id -g; ls /sys/class/net; {STATUS}; {SHM}; touch /var/tmp/made; touch /tmp/made && echo made;"
        f' cat {given}; touch {out}/written here "$HOME/x" "$TMPDIR/x" && mkdir "$CAIRN_LOG_DIRECTORY" && echo written'
    )
    request = attempts.shell(script, create_directories=(str(out),), files=((given, b"given\n"),))
    assert run(executor, request).code == 0, log(request, "stderr")
    words = log(request).split()
    assert words == [
        "1234", "1235", "lo", "CapEff", "0" * 16, "NoNewPrivs", "0", str(16 << 20), "made", "given", "written",
    ]  # fmt: skip
    assert log(request, "stderr").count("Read-only") == 1
    assert (out / "written").stat().st_uid == 1234


def test_processes_are_counted_and_names_are_known(make_executor, attempts):
    executor = make_executor(pids=16, extra_hosts=("feature-store:10.1.2.3",))
    script = "import socket; print(socket.gethostbyname('feature-store'))"
    assert run(executor, request := attempts.command("python3", "-c", script)).code == 0, log(request, "stderr")
    assert log(request) == "10.1.2.3\n"
    assert run(executor, attempts.shell("for i in $(seq 40); do sleep 5 & done")).code != 0


def test_the_images_user_writes_too(make_executor, attempts, container_engine, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {container_engine.image}\nUSER 4321\n")
    name = "cairn-test-user:1"
    build = ["docker", "--host", f"unix://{container_engine.socket}", "build", "--quiet", "--tag", name, str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    if done.returncode:
        pytest.skip(f"docker build: {done.stderr}")
    image = ContainerImage(name, container_engine.api.call("GET", f"/images/{name}/json")["Id"])
    request = attempts.shell('id -u; touch here; echo "$HOME"', environment=Environment(image.id, image=image))
    assert run(make_executor(user="image"), request).code == 0, log(request, "stderr")
    assert log(request).split() == ["4321", "/"]


def test_a_lightweight_call_finds_its_source_and_arguments_of_any_length(
    executor, attempts, container_engine, tmp_path
):
    package = tmp_path / "modules" / "kfp" / "dsl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    (package / "executor_main.py").write_text(
        "import os, sys\nprint(sys.argv[1], open(sys.argv[2]).read(), len(sys.argv[3]), os.environ['_KFP_RUNTIME'])\n"
    )
    modules = str(tmp_path / "modules")
    image = ContainerImage(container_engine.image, container_engine.image_id, mounts=(("/opt/modules", modules),))
    environment = Environment(
        image.id, python="/usr/bin/python3", variables={"PYTHONPATH": "/opt/modules"}, image=image
    )
    request = attempts.command(environment=environment, call_source="source", call_arguments=("x" * 300_000,))
    assert run(executor, request).code == 0, log(request, "stderr")
    assert log(request).split() == ["--component_module_path", "source", "300000", "true"]


def test_googles_clients_find_the_shim_before_the_images_own_modules(executor, attempts, tmp_path):
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text("print('shim')\n")
    request = attempts.command("python3", "-c", "print('step')", variables={"CAIRN_STEP_SHIM": str(shim)})
    assert run(executor, request).code == 0, log(request, "stderr")
    assert log(request).split() == ["shim", "step"]


def test_a_replica_has_its_own_limits(executor, attempts):
    limits = Resources(memory_limit_bytes=256 << 20, cpu_limit_millis=500)
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true"
    process = ProcessSpec(("sh", "-c", script), attempts.environment, resources=Resources(memory_limit_bytes=64 << 20))
    request = attempts.start((process,), resources=limits)
    found = run(executor, request)
    assert found.code == 0
    assert log(request).split() == [str(64 << 20)]
    assert found.limits == ("memory:docker",)


def test_replicas_without_limits_of_their_own_share_the_attempts(executor, attempts):
    limits = Resources(memory_limit_bytes=256 << 20)
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true"
    request = attempts.start((ProcessSpec(("sh", "-c", script), attempts.environment),) * 2, resources=limits)
    assert run(executor, request).code == 0
    assert log(request).split() == [str(128 << 20)]


def test_the_limit_that_is_named_is_the_replicas_that_exceeded_it(executor, attempts):
    own = Resources(memory_limit_bytes=24 << 20)
    hog = ProcessSpec(("python3", "-c", "bytearray(200 << 20)"), attempts.environment, resources=own)
    free = ProcessSpec(("sleep", "60"), attempts.environment, replica="other", resources=Resources())
    found = run(executor, attempts.start((hog, free), resources=Resources()))
    assert found.reason is ExitReason.OUT_OF_MEMORY
    assert str(24 << 20) in found.message
    assert found.limits == ("memory:docker",)


def test_what_a_container_has_used_is_told(executor, attempts):
    hog = "held = bytearray(96 << 20); import time\nwhile time.process_time() < 1.0: pass"
    found = run(executor, attempts.command("python3", "-c", hog + "\ntime.sleep(1.5)"))
    assert found.code == 0
    assert 96 << 20 < found.peak_memory_bytes < 400 << 20
    assert 0.9 < found.cpu_seconds < 5


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="this machine has an accelerator")
def test_an_accelerator_that_the_engine_cannot_give_is_a_refusal(executor, attempts):
    request = attempts.command("true", resources=Resources(accelerators=1), variables={"CUDA_VISIBLE_DEVICES": "0"})
    found = run(executor, request)
    assert found.reason is ExitReason.NOT_STARTED
    assert "gpu" in found.message
