"""What a target cannot do is found before anything is sent, all at once; what is lost without harm is warned of."""

import json

import pytest

from cairn.domain.configuration import RunConfiguration, ScheduleConfiguration, StepConfiguration
from cairn.domain.runs import ImageMapping, RunSettings, Submission
from cairn.spec.load import load_text
from cairn.submit.limits import Subject, find_limits
from cairn.submit.targets import Kind, Target
from cairn.wiring import open_cairn

VERTEX = Target(Kind.VERTEX, project="p", region="us-central1")
KUBEFLOW = Target(Kind.KUBEFLOW, url="http://kfp")
CAIRN = Target(Kind.CAIRN, url="http://cairn", project="default", region="us-central1")
GS = "gs://bucket/root"
PROGRAM = (
    "program_path=$(mktemp -d)\n\nprintf \"%s\" \"$0\" > \"$program_path/ephemeral_component.py\"\n"
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path "
    "\"$program_path/ephemeral_component.py\" \"$@\"\n"
)  # fmt: skip


@pytest.fixture
def cairn(cairn_home):
    with open_cairn() as opened:
        yield opened


def pipeline(executor=None, *, inputs=None, task=None, platform=None, **more):
    executor = executor or {"container": {"image": "gcr.io/acme/train", "command": ["train"]}}
    document = {
        "pipelineInfo": {"name": "demo"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "deploymentSpec": {"executors": {"exec-train": executor}},
        "components": {"comp-train": {"executorLabel": "exec-train", **more}},
        "root": {
            "dag": {"tasks": {"train": {
                "componentRef": {"name": "comp-train"}, "taskInfo": {"name": "train"}, **(task or {}),
            }}},
            **({"inputDefinitions": inputs} if inputs else {}),
        },
    }  # fmt: skip
    if platform:
        document = {"pipelineSpec": document, "platformSpec": platform}
    return load_text(json.dumps(document), origin="demo.json")


def install(*packages, options=""):
    words = " ".join(f"'{each}'" for each in packages)
    return (
        '\nif ! [ -x "$(command -v pip)" ]; then\n    python3 -m ensurepip || python3 -m ensurepip --user || '
        "apt-get install python3-pip\nfi\n\nPIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet "
        f'--no-warn-script-location {options}{words} && "$0" "$@"\n'
    )


def lightweight(*packages, image="python:3.11", options=""):
    head = ["sh", "-c", install(*packages, options=options)] if packages else []
    return {"container": {"image": image, "command": [*head, "sh", "-ec", PROGRAM, "def f(): pass"]}}


def limits(cairn, target, of=None, submission=None, said=None, **more):
    submission = submission or Submission(pipeline_root=GS)
    return find_limits(cairn, Subject(of or pipeline(), submission, said or RunConfiguration(), target, **more))


def refused(found):
    return [(one.place, one.message) for one in found.refused]


def test_what_every_target_takes_passes_without_a_word(cairn):
    for target in (VERTEX, KUBEFLOW, CAIRN):
        found = limits(cairn, target)
        assert found.error() is None and found.warned == [], target


def test_all_that_is_refused_is_told_at_once(cairn):
    settings = RunSettings(cache_ttl_seconds=60)
    found = limits(cairn, Target(Kind.VERTEX), submission=Submission(settings=settings, pipeline_root="/data/root"))
    error = found.error()
    for word in ("4 things", "project", "region", "'/data/root'", "cache TTL", "nothing was sent"):
        assert word in error.message, error.message
    assert error.exit_status == 2


@pytest.mark.parametrize("target", [VERTEX, KUBEFLOW])
def test_an_image_that_stands_for_a_folder_here_exists_nowhere_else(cairn, target, tmp_path):
    settings = RunSettings(images=(ImageMapping("*", f"project:{tmp_path}"),))
    submission = Submission(settings=settings, pipeline_root=GS)
    for image in ("trainer:1", "acme/trainer", "localhost:5000/trainer", "127.0.0.1:5000/trainer"):
        [(place, message)] = refused(
            limits(cairn, target, pipeline({"container": {"image": image, "command": ["x"]}}), submission)
        )
        assert place == "step train" and image in message
    found = limits(cairn, target, submission=submission)
    assert found.error() is None and "runs in image gcr.io/acme/train" in found.warned[0]


def test_another_cairn_may_have_mappings_of_its_own(cairn, tmp_path):
    settings = RunSettings(images=(ImageMapping("trainer", f"project:{tmp_path}"),))
    of = pipeline({"container": {"image": "trainer", "command": ["x"]}})
    found = limits(cairn, CAIRN, of, Submission(settings=settings))
    assert found.error() is None and "[images]" in found.warned[0]


@pytest.mark.parametrize(
    ("executor", "word"),
    [
        (lightweight("kfp==2.17.0+local"), "kfp 2.17.0+local"),
        (lightweight("kfp==3.0.0.dev1"), "kfp 3.0.0.dev1"),
        (lightweight("kfp==2.17.0", "./mine"), "'./mine'"),
        (lightweight("kfp==2.17.0", "mine @ file:///srv/mine.whl"), "file:///srv/mine.whl"),
        (lightweight("kfp==2.17.0", options="--index-url http://localhost:3141/simple "), "http://localhost:3141"),
        (lightweight(), "neither installs it"),
    ],
)
def test_what_a_lightweight_step_installs_must_be_published(cairn, executor, word):
    for target in (VERTEX, KUBEFLOW, CAIRN):
        [(place, message)] = refused(limits(cairn, target, pipeline(executor)))
        assert place == "step train" and word in message


def test_a_published_lightweight_step_passes(cairn):
    for executor in (lightweight("kfp==2.17.0", "pandas>=2"), lightweight(image="gcr.io/acme/with-kfp")):
        assert limits(cairn, VERTEX, pipeline(executor)).error() is None


@pytest.mark.parametrize(
    ("target", "root", "ok"),
    [
        (VERTEX, "gs://b/r", True), (VERTEX, "s3://b/r", False), (VERTEX, "/tmp/r", False),
        (KUBEFLOW, "minio://b/r", True), (KUBEFLOW, "file:///tmp/r", False), (KUBEFLOW, "", True),
        (CAIRN, "s3://b/r", True), (CAIRN, "relative", False),
    ],
)  # fmt: skip
def test_a_pipeline_root_is_where_steps_reach(cairn, target, root, ok):
    found = limits(cairn, target, submission=Submission(pipeline_root=root))
    assert (found.error() is None) is ok


def test_without_a_root_the_bucket_that_the_client_makes_is_named(cairn):
    found = limits(cairn, VERTEX, submission=Submission())
    assert "gs://p-vertex-pipelines-us-central1" in found.warned[0]


def test_what_importers_read_is_looked_at_through_parameters(cairn):
    of = pipeline(
        {"importer": {"artifactUri": {"runtimeParameter": "uri"}, "typeSchema": {"schemaTitle": "system.Dataset"}}},
        inputs={"parameters": {"data": {"parameterType": "STRING"}}},
        task={"inputs": {"parameters": {"uri": {"componentInputParameter": "data"}}}},
        inputDefinitions={"parameters": {"uri": {"parameterType": "STRING"}}},
        outputDefinitions={"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Dataset"}}}},
    )
    for target in (VERTEX, KUBEFLOW, CAIRN):
        local = limits(cairn, target, of, Submission({"data": "/home/me/data"}, pipeline_root=GS))
        assert refused(local) == [("importer train", "'/home/me/data' is on this machine only")]
        bucket = Submission({"data": "gs://b/data"}, pipeline_root=GS)
        assert limits(cairn, target, of, bucket).error() is None
    other = limits(cairn, VERTEX, of, Submission({"data": "s3://b/data"}, pipeline_root=GS))
    assert other.error() is None and "gs:// only" in other.warned[0]


def test_numbers_that_the_apis_cannot_carry_are_refused(cairn):
    of = pipeline(inputs={"parameters": {"ids": {"parameterType": "LIST"}, "n": {"parameterType": "NUMBER_INTEGER"}}})
    values = {"ids": [{"a": 2**53 + 1}, True], "n": 2**53}
    [(place, message)] = refused(limits(cairn, KUBEFLOW, of, Submission(values)))
    assert place == "parameter ids" and str(2**53 + 1) in message


def test_parameters_are_held_to_the_pipeline_with_the_rest(cairn):
    of = pipeline(inputs={"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}})
    error = limits(cairn, Target(Kind.VERTEX, region="r"), of, Submission({}, pipeline_root=GS)).error()
    assert "needs a value for n" in error.message and "project" in error.message


def test_artifacts_from_outside(cairn):
    of = pipeline(inputs={"artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset"}}}})
    assert refused(limits(cairn, KUBEFLOW, of, artifacts={"data": "7"}))[0][0] == "artifact data"
    assert "none is named" in refused(limits(cairn, VERTEX, of))[0][1]
    assert "by its id" in refused(limits(cairn, VERTEX, of, artifacts={"data": "gs://b/o"}))[0][1]
    assert limits(cairn, CAIRN, of, artifacts={"data": "7"}).error() is None
    assert "no input artifact 'dat'" in refused(limits(cairn, CAIRN, of, artifacts={"data": "7", "dat": "8"}))[0][1]


def test_custom_jobs_and_machine_types(cairn):
    pool = {"containerSpec": {"imageUri": "gcr.io/a/b"}}
    job = {"customJob": {"customJob": {"jobSpec": {"workerPoolSpecs": [pool]}}}}
    of = pipeline(job)
    assert limits(cairn, VERTEX, of).error() is None
    assert "custom job" in refused(limits(cairn, KUBEFLOW, of))[0][1]
    spec = job["customJob"]["customJob"]["jobSpec"]
    spec["scheduling"] = {"timeout": "3600s"}
    assert limits(cairn, CAIRN, pipeline(job)).warned == [], "it is in the job"
    spec["workerPoolSpecs"] = [pool, pool]
    assert limits(cairn, VERTEX, pipeline(job)).error() is None
    assert limits(cairn, CAIRN, pipeline(job)).error() is None
    said = RunConfiguration(steps={"train": StepConfiguration(machine_type="n1-standard-4")})
    assert "asked for as CPUs and memory" in limits(cairn, KUBEFLOW, said=said).warned[0]
    assert limits(cairn, VERTEX, said=said).warned == []


@pytest.mark.parametrize(("type_", "warned"), [("NVIDIA_TESLA_T4", Kind.KUBEFLOW), ("nvidia.com/gpu", Kind.VERTEX)])
def test_accelerators_are_named_as_the_target_names_them(cairn, type_, warned):
    resources = {"accelerator": {"resourceType": type_, "resourceCount": "1"}}
    of = pipeline({"container": {"image": "gcr.io/acme/train", "command": ["x"], "resources": resources}})
    for target in (VERTEX, KUBEFLOW, CAIRN):
        found = limits(cairn, target, of)
        assert found.error() is None and bool(found.warned) is (target.kind is warned)


def test_what_stands_beside_the_pipeline_reaches_only_kubeflow(cairn):
    secret = {"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "K"}]}]}
    of = pipeline(platform={"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-train": secret}}}}})
    assert limits(cairn, KUBEFLOW, of).error() is None
    assert "wants secrets" in refused(limits(cairn, VERTEX, of))[0][1]
    [error] = limits(cairn, CAIRN, of).refused
    assert "--to kfp" in error.remedy
    late = {"activeDeadlineSeconds": "60"}
    of = pipeline(platform={"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-train": late}}}}})
    assert "its time-out of 60 s is not sent" in limits(cairn, VERTEX, of).warned[0]


def test_settings_of_this_machine(cairn):
    settings = RunSettings(in_place=True, strict=True, notify="x", failure_policy="fast")
    found = limits(cairn, KUBEFLOW, submission=Submission(settings=settings), said=RunConfiguration(executor="process"))
    assert found.error() is None
    assert {warning.partition(":")[0] for warning in found.warned} == {
        "executor", "in_place", "strict", "notify", "failure policy",
    }  # fmt: skip
    stale = RunSettings(cache_ttl_seconds=60, verify_cache=True)
    found = limits(cairn, VERTEX, submission=Submission(settings=stale, pipeline_root=GS))
    assert [place for place, _ in refused(found)] == ["cache TTL", "verify_cache"]
    off = RunSettings(cache_ttl_seconds=60, verify_cache=True, use_cache=False)
    assert limits(cairn, VERTEX, submission=Submission(settings=off, pipeline_root=GS)).error() is None


def test_names_and_labels(cairn):
    submission = Submission(
        pipeline_root=GS, job_id="Not-An-Id", display_name="n" * 129, labels={"Team": "a", "ok": "b c"}
    )
    places = [place for place, _ in refused(limits(cairn, VERTEX, submission=submission))]
    assert places == ["--name", "name", "label Team", "label ok"]
    found = limits(cairn, KUBEFLOW, submission=Submission(labels={"Team": "a"}))
    assert found.error() is None and "labels" in found.warned[0]


def test_who_and_where(cairn):
    own = {"service_account": "s", "network": "n", "reserved_ip_ranges": ("r",), "encryption_key": "k"}
    assert limits(cairn, Target(Kind.VERTEX, project="p", region="r", **own)).warned == []
    assert len(limits(cairn, Target(Kind.CAIRN, url="http://c", **own)).warned) == 4
    found = limits(cairn, Target(Kind.KUBEFLOW, url="http://k", **own))
    assert refused(found)[0][0] == "encryption key" and len(found.warned) == 2


@pytest.mark.parametrize(
    ("target", "schedule", "word"),
    [
        (VERTEX, {"interval_seconds": 60}, "no intervals"),
        (CAIRN, {"interval_seconds": 60}, "no intervals"),
        (KUBEFLOW, {"interval_seconds": 60}, ""),
        (KUBEFLOW, {"cron": "0 3 * * *", "max_runs": 3}, "not after a number of runs"),
        (KUBEFLOW, {"cron": "0 3 * * *", "time_zone": "Europe/Berlin"}, "in UTC"),
        (VERTEX, {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "max_runs": 3}, ""),
        (VERTEX, {"cron": "0 3 * * *", "max_concurrent": 0}, "at least one"),
    ],
)
def test_schedules(cairn, target, schedule, word):
    found = limits(cairn, target, said=RunConfiguration(schedule=ScheduleConfiguration(**schedule)))
    if word:
        assert word in refused(found)[0][1]
    else:
        assert found.error() is None
