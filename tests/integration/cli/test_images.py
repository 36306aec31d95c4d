"""`cairn images`, and runs in images, on a real container engine."""

import json

import pytest

PRINTS = ["sh", "-c", 'mkdir -p "$(dirname "$0")"; cat /said > "$0"', "{{$.outputs.parameters['said'].output_file}}"]


@pytest.fixture
def images(container_engine):
    from images import images_of

    with images_of(container_engine.socket, container_engine.image) as images:
        yield images


@pytest.fixture
def cli(cli, container_engine):
    cli.variables["DOCKER_HOST"] = f"unix://{container_engine.socket}"
    return cli


@pytest.fixture
def directory(tmp_path, container_engine):
    """`directory(said="one")`: a folder whose image holds what its step puts out."""

    def write(said, **files):
        root = tmp_path / "component"
        root.mkdir(exist_ok=True)
        (root / "said").write_text(said)
        (root / "Dockerfile").write_text(f"FROM {container_engine.image}\nCOPY . /\n")
        for name, text in files.items():
            (root / name.replace("_", ".")).write_text(text)
        return root

    return write


@pytest.fixture
def pipeline(tmp_path):
    """`pipeline(image)`: a file whose one step puts out what its image holds."""

    def write(image, container=None):
        outputs = {"parameters": {"said": {"parameterType": "STRING"}}}
        task = {
            "cachingOptions": {"enableCache": True},
            "componentRef": {"name": "comp-say"},
            "taskInfo": {"name": "say"},
        }
        output = {"valueFromParameter": {"outputParameterKey": "said", "producerSubtask": "say"}}
        document = {
            "pipelineInfo": {"name": "said"},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.17.0",
            "components": {"comp-say": {"executorLabel": "exec-say", "outputDefinitions": outputs}},
            "deploymentSpec": {
                "executors": {"exec-say": {"container": {"image": image, **(container or {"command": PRINTS})}}}
            },
            "root": {
                "dag": {
                    "tasks": {"say": task},
                    "outputs": {"parameters": {"said": output}},
                },
                "outputDefinitions": outputs,
            },
        }
        path = tmp_path / "said.json"
        path.write_text(json.dumps(document))
        return path

    return write


def run(cli, path, *arguments):
    done = cli("run", path, "--json", "--executor", "docker", *arguments)
    assert done.status == 0, done.err
    return done.json["outputs"]["said"], done.json["tasks"][0]["cached"]


def test_an_image_built_anew_under_its_tag_is_no_hit(cli, images, directory, pipeline):
    tag = images.name()
    first = cli("images", "build", directory("one"), "--tag", tag)
    assert first.status == 0, first.err
    assert first.out.split() == [tag, images.id(tag)]
    assert "Step 1/2" in first.err
    path = pipeline(tag)
    assert run(cli, path) == ("one", False)
    assert run(cli, path) == ("one", True)
    assert cli("images", "build", directory("two"), "--tag", tag).status == 0
    assert run(cli, path) == ("two", False)
    assert cli("images", "build", directory("one"), "--tag", tag).status == 0
    assert run(cli, path) == ("one", True)


def test_what_dockerignore_names_is_left_out(cli, images, directory):
    root = directory("one", secret_txt="s3cret")
    (root / ".dockerignore").write_text("# not for others\nsecret*\n")
    tag = images.name()
    assert cli("images", "build", root, "--tag", tag).status == 0
    listed = images.client.containers.run(tag, ["ls", "/"], network_mode="host", remove=True).decode().split()
    assert "said" in listed
    assert "secret.txt" not in listed


def test_a_step_that_fails_is_told_with_its_words(cli, images, directory, container_engine):
    root = directory("one")
    (root / "Dockerfile").write_text(f"FROM {container_engine.image}\nRUN echo so far; echo no good >&2; exit 3\n")
    tag = images.name()
    done = cli("images", "build", root, "--tag", tag)
    assert done.status == 1
    told = done.err[done.err.index("error:") :]
    assert "Step 2/2 : RUN echo so far" in told
    assert "no good" in told
    assert "returned a non-zero code: 3" in told
    assert tag not in [image["tag"] for image in cli("images", "list", "--json").json]


@pytest.mark.parametrize("package", [True, False])
def test_a_project_without_a_dockerfile_is_built_with_what_it_needs(cli, images, tmp_path, wheels, package):
    root = tmp_path / "project"
    (root / "src" / "trainer").mkdir(parents=True)
    (root / "src" / "trainer" / "__init__.py").write_text("import cairn_lower\nprint(cairn_lower.value)\n")
    (root / "notes.txt").write_text("not for others")
    (root / ".dockerignore").write_text("notes.txt\n")
    if package:
        (root / "pyproject.toml").write_text(
            '[project]\nname = "Trainer_X"\nversion = "1"\ndependencies = ["cairn-lower"]\n'
        )
    else:
        (root / "requirements.txt").write_text("cairn-lower\n")
    tag = images.name()
    around = {"CAIRN_ENVIRONMENTS_FIND_LINKS": str(wheels), "CAIRN_ENVIRONMENTS_OFFLINE": "true"}
    done = cli("images", "build", root, "--tag", tag, "--base", images.base, "--json", **around)
    assert done.status == 0, done.err
    assert done.json["base"] == images.base
    assert done.json["id"] == images.id(tag)

    def inside(*words):
        return images.client.containers.run(tag, list(words), network_mode="none", remove=True).decode().split()

    assert inside("sh", "-c", "cd src && python3 -c 'import trainer'") == ["1"]
    assert inside("ls") == [*(["pyproject.toml"] if package else ["requirements.txt"]), "src"]
    again = cli("images", "build", root, "--tag", tag, "--base", images.base, "--json", **around)
    assert again.json["id"] == done.json["id"]


@pytest.fixture
def wheels(tmp_path):
    """A folder with a package that no index has."""
    import base64
    import hashlib
    import zipfile

    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "cairn_lower-1.0.dist-info"
    contents = {
        "cairn_lower.py": "value = 1\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: cairn-lower\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    with zipfile.ZipFile(folder / "cairn_lower-1.0-py3-none-any.whl", "w") as wheel:
        for inside, text in contents.items():
            wheel.writestr(inside, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{inside},sha256={digest},{len(text)}\n")
        wheel.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return folder


def test_images_are_listed_as_the_engine_knows_them_now(cli, images, directory):
    tag = images.name()
    cli("images", "build", directory("one"), "--tag", tag)

    def state():
        return next(image["state"] for image in cli("images", "list", "--json").json if image["tag"] == tag)

    assert state() == "here"
    images.build("RUN touch /other", name=tag)
    assert state() == "changed"
    assert "changed" in cli("images", "list").out
    images.remove(tag)
    assert state() == "gone"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no such directory"),
        ((".", "--tag", "Not A Name"), "no name of an image"),
        ((".", "--file", "Other"), "no such Dockerfile"),
        ((".", "--build-arg", "X"), "NAME=VALUE"),
        ((".",), "nothing says what it needs"),
    ],
)
def test_what_cannot_be_built_is_refused(cli, tmp_path, arguments, said):
    cli.work = tmp_path
    done = cli("images", "build", *arguments)
    assert done.status == 2
    assert said in done.err


def test_a_pushed_image_has_a_digest_and_is_fetched_where_it_is_missing(
    cli, images, directory, pipeline, tmp_path, missing_service
):
    import registry

    if lacking := registry.lacking():
        missing_service("a registry of images", lacking)
    with registry.registry_in(tmp_path) as address:
        tag = f"{address}/{images.name()}"
        pushed = cli("images", "build", directory("far"), "--tag", tag, "--push")
        assert pushed.status == 0, pushed.err
        assert pushed.out.split()[1].startswith("sha256:")
        assert pushed.out.split()[1] != images.id(tag)
        path = pipeline(tag)
        assert run(cli, path) == ("far", False)
        images.remove(tag)
        done = cli("run", path, "--json", "--executor", "docker", "--no-cache")
        assert done.json["outputs"] == {"said": "far"}
        assert f"Fetching image {tag}" in done.err
        assert run(cli, path) == ("far", True)
        images.remove(tag)
    refused = cli("run", path, "--json", "--executor", "docker", "--no-cache")
    assert refused.status == 1
    assert "cannot be fetched" in refused.json["tasks"][0]["error"]["message"]


def test_a_base_image_that_cannot_be_fetched_is_told_with_the_option_for_another(cli, tmp_path):
    (tmp_path / "requirements.txt").write_text("")
    done = cli("images", "build", tmp_path, "--tag", "x", "--base", "127.0.0.1:1/no/base:1")
    assert done.status == 1
    assert "127.0.0.1:1/no/base:1: the image cannot be fetched" in done.err
    assert "--base IMAGE" in done.err
    assert "--image" not in done.err


def test_a_component_without_a_command_runs_its_images(cli, images, pipeline):
    entry = json.dumps(["sh", "-c", 'mkdir -p "$(dirname "$1")"; printf "%s" "$2" > "$1"', "sh"])
    image = images.build(f"ENTRYPOINT {entry}")
    path = pipeline(image, {"args": ["{{$.outputs.parameters['said'].output_file}}", "by its entrypoint"]})
    assert run(cli, path) == ("by its entrypoint", False)


def test_a_launched_job_writes_the_outputs_of_the_step_that_launches_it(cli, images, pipeline, tmp_path):
    """As `create_custom_training_job_from_component` has it: the job's command is told the step's own output files."""
    image = images.build("RUN echo inside > /said")
    machine = {"machine_type": "n1-standard-4"}
    worker = {"machine_spec": machine, "replica_count": 1, "container_spec": {"image_uri": image, "command": PRINTS}}
    payload = {"display_name": "train", "job_spec": {"worker_pool_specs": [worker]}}
    module = "google_cloud_pipeline_components.container.v1.custom_job.launcher"
    words = ["--type", "CustomJob", "--payload", json.dumps(payload), "--project", "p", "--location", "l",
             "--gcp_resources", str(tmp_path / "resources")]  # fmt: skip
    path = pipeline(image, {"command": ["python3", "-u", "-m", module], "args": words})
    assert run(cli, path)[0].strip() == "inside"


def test_a_mapping_decides_whether_a_step_is_in_a_container(cli, images, pipeline):
    image = images.build("RUN echo inside > /said")
    command = ["sh", "-c", 'mkdir -p "$(dirname "$0")"; cat /said > "$0" || echo outside > "$0"', PRINTS[-1]]
    path = pipeline("gcr.io/acme/none:v1", {"command": command})
    assert run(cli, path, "--image", "gcr.io/*=host")[0] == "outside\n"
    assert run(cli, path, "--image", f"gcr.io/*=docker:{image}")[0] == "inside\n"
    done = cli("run", path, "--json", "--image", f"*=docker:{image}")  # whatever the executor
    assert done.json["outputs"] == {"said": "inside\n"}


def test_without_an_engine_nothing_is_started(cli, pipeline, tmp_path):
    done = cli("run", pipeline("alpine"), "--json", "--executor", "docker", DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.status == 2
    assert f"{tmp_path}/no.sock" in done.err
    assert "systemctl start docker" in done.err


def test_inputs_may_name_the_image(cli, images, pipeline):
    document = json.loads(pipeline("{{$.inputs.parameters['image']}}").read_text())
    inputs = {"parameters": {"image": {"parameterType": "STRING"}}}
    document["components"]["comp-say"]["inputDefinitions"] = document["root"]["inputDefinitions"] = inputs
    task = document["root"]["dag"]["tasks"]["say"]
    task["inputs"] = {"parameters": {"image": {"componentInputParameter": "image"}}}
    path = pipeline("")
    path.write_text(json.dumps(document))
    one, two = (images.build(f"RUN printf {said} > /said") for said in ("one", "two"))
    assert run(cli, path, f"image={one}") == ("one", False)
    assert run(cli, path, f"image={two}") == ("two", False)
    assert run(cli, path, f"image={one}") == ("one", True)
    done = cli("run", path, "--json", "--executor", "docker", "image=Not A Name")
    assert done.status == 1
    assert "no name of an image" in done.json["tasks"][0]["error"]["message"]
