"""The `cairn` node: every key, every spelling, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.config.composing import Composed
from cairn.config.mapping import run_configuration
from cairn.domain.configuration import (
    Configuration,
    RunConfiguration,
    ScheduleConfiguration,
    StepConfiguration,
    SweepConfiguration,
    TargetConfiguration,
)
from cairn.errors import ConfigurationError


def _composed(text: str, *overrides: str, file: str = "conf/config.yaml") -> Composed:
    read: dict[str, Any] = yaml.safe_load(text) or {}
    return Composed(
        Configuration("conf", "config", overrides), {}, read.get("cairn") or {}, file, ((file, ""),) if file else ()
    )


def _read(text: str) -> RunConfiguration:
    return run_configuration(_composed("cairn:\n" + "".join(f"  {line}\n" for line in text.strip().splitlines())))


def _step(text: str) -> StepConfiguration:
    return _read(f"steps:\n  train: {text}").steps["train"]


def test_a_configuration_without_the_node_says_nothing():
    assert run_configuration(_composed("")) == RunConfiguration()
    assert _read("steps: null\nschedule: null\nsweep:\ntarget:\nlabels: {a: null}") == RunConfiguration()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: nightly", RunConfiguration(name="nightly")),
        ("description: of the night", RunConfiguration(description="of the night")),
        ("parameters: {lr: 0.1, tags: [a]}", RunConfiguration(parameters={"lr": 0.1, "tags": ["a"]})),
        ("artifacts: {data: 42ab, more: [a, b]}", RunConfiguration(artifacts={"data": ("42ab",), "more": ("a", "b")})),
        ("pipeline_root: gs://b/r", RunConfiguration(pipeline_root="gs://b/r")),
        ("labels: {team: blue, tries: 3, big: true}",
         RunConfiguration(labels={"team": "blue", "tries": "3", "big": "true"})),
        ("experiment: search", RunConfiguration(experiment="search")),
        ("project: acme", RunConfiguration(project="acme")),
        ("caching: false", RunConfiguration(caching=False)),
        ("caching: {enabled: true, ttl: 12h, verify: true}",
         RunConfiguration(caching=True, cache_ttl_seconds=43200, verify_cache=True)),
        ("failure_policy: fast", RunConfiguration(failure_policy="fast")),
        ("strict: true", RunConfiguration(strict=True)),
        ("executor: process", RunConfiguration(executor="process")),
        ("in_place: false", RunConfiguration(in_place=False)),
        ("notify: https://hook", RunConfiguration(notify="https://hook")),
        ("images: {'gcr.io/*': 'project:train', '*': host}",
         RunConfiguration(images=(("gcr.io/*", "project:train"), ("*", "host")))),
        ("images: ['a=host', {b: 'project:x'}]", RunConfiguration(images=(("a", "host"), ("b", "project:x")))),
        ("schedule: 0 3 * * *", RunConfiguration(schedule=ScheduleConfiguration(cron="0 3 * * *"))),
        (("schedule: {every: 1h, name: hourly, start: 2026-05-01, end: '2026-06-01T08:00', max_runs: 5, "
          "max_concurrent: 2, queue: true, catch_up: true, paused: true}"),
         RunConfiguration(schedule=ScheduleConfiguration(
             interval_seconds=3600, name="hourly", start="2026-05-01T00:00:00+00:00",
             end="2026-06-01T08:00:00+00:00", max_runs=5, max_concurrent=2, queue=True, catch_up=True, paused=True))),
        ("schedule: {cron: '@daily', time_zone: Europe/Berlin, start: 2026-05-01, end: 2026-05-02T00:00:00+05:00}",
         RunConfiguration(schedule=ScheduleConfiguration(
             cron="@daily", time_zone="Europe/Berlin", start="2026-05-01T00:00:00+02:00",
             end="2026-05-02T00:00:00+05:00"))),
        ("sweep: {metric: accuracy, goal: maximize, parallel: 4, experiment: e, failures: 0}",
         RunConfiguration(sweep=SweepConfiguration(("accuracy",), ("maximize",), 4, "e", 0))),
        ("sweep: {metric: [a, b], goal: [minimize, maximize]}",
         RunConfiguration(sweep=SweepConfiguration(("a", "b"), ("minimize", "maximize")))),
        ("target: vertex", RunConfiguration(target=TargetConfiguration(to="vertex"))),
        (("target: {to: 'https://h', project: p, region: r, service_account: s, network: n, reserved_ip_ranges: [a], "
          "encryption_key: k, host: h, namespace: ns, credentials: c, staging_bucket: b, authority: a.pem}"),
         RunConfiguration(target=TargetConfiguration(
             "https://h", "p", "r", "s", "n", ("a",), "k", "h", "ns", "c", "b", "a.pem"))),
    ],
)  # fmt: skip
def test_each_key_of_the_run(text, expected):
    assert _read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{cpu: 4, memory: 16Gi}", StepConfiguration(cpu="4", memory="16Gi")),
        ("{cpu: 0.5, cpu_limit: 2, memory: 1000000, memory_limit: 2G}",
         StepConfiguration(cpu="0.5", cpu_limit="2", memory="1000000", memory_limit="2G")),
        ("{machine_type: n1-standard-8}", StepConfiguration(machine_type="n1-standard-8")),
        ("{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}",
         StepConfiguration(accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1)),
        ("{accelerator: NVIDIA_TESLA_T4}", StepConfiguration(accelerator_type="NVIDIA_TESLA_T4")),
        ("{accelerator_type: NVIDIA_L4, accelerator_count: 2}",
         StepConfiguration(accelerator_type="NVIDIA_L4", accelerator_count=2)),
        ("{replicas: 2, image: 'a:1'}", StepConfiguration(replicas=2, image="a:1")),
        ("{environment: {A: b, N: 1, T: true}}", StepConfiguration(environment={"A": "b", "N": "1", "T": "true"})),
        ("{environment: [{name: A, value: b}]}", StepConfiguration(environment={"A": "b"})),
        ("{caching: false, retries: 2, timeout: 2h}",
         StepConfiguration(caching=False, retries=2, timeout_seconds=7200)),
        ("{retries: {max: 2, backoff: 10s}}", StepConfiguration(retries=2, backoff_seconds=10.0)),
        ("{retries: {max: 2, backoff: 0.5}, timeout: 90}",
         StepConfiguration(retries=2, backoff_seconds=0.5, timeout_seconds=90)),
        (("{custom_job_spec: {machine_type: n1-standard-4, accelerator_type: NVIDIA_TESLA_T4, accelerator_count: 1, "
          "replica_count: 1, timeout: 604800s, env: [{name: A, value: b}]}}"),
         StepConfiguration(machine_type="n1-standard-4", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=1,
                           replicas=1, timeout_seconds=604800, environment={"A": "b"})),
    ],
)  # fmt: skip
def test_each_key_of_a_step(text, expected):
    assert _step(text) == expected


def test_what_has_no_effect_here_is_a_warning_by_its_name():
    read = _read("steps:\n  train:\n    custom_job_spec: {boot_disk_size_gb: 200, boot_disk_type: pd-ssd}")
    assert read.steps == {"train": StepConfiguration()}
    assert read.warnings == (
        "cairn.steps.train.custom_job_spec.boot_disk_size_gb has no effect: steps share the machine's disks",
        "cairn.steps.train.custom_job_spec.boot_disk_type has no effect: steps share the machine's disks",
    )


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("stepz: {}", "cairn", "no key 'stepz' (did you mean 'steps'?)"),
        ("name: 3", "cairn.name", "3 is given where text is wanted"),
        ("labels: [a]", "cairn.labels", "a list is given where a mapping is wanted"),
        ("labels: {a: {b: c}}", "cairn.labels.a", "a mapping is given where text is wanted"),
        ("caching: 1", "cairn.caching", "1 is given where true, false or a mapping is wanted"),
        ("caching: {ttl: soon}", "cairn.caching.ttl", "'soon' is no duration"),
        ("caching: {tll: 1h}", "cairn.caching", "did you mean 'ttl'?"),
        ("failure_policy: quick", "cairn.failure_policy", "'quick' will not do"),
        ("strict: 'yes'", "cairn.strict", "'yes' is given where true or false is wanted"),
        ("images: gcr.io=host", "cairn.images", "'gcr.io=host' is given where a mapping is wanted"),
        ("images: [host]", "cairn.images.0", "'host' is no PATTERN=TARGET"),
        ("images: {a: 1}", "cairn.images.a", "1 is given where text is wanted"),
        ("artifacts: {data: 42}", "cairn.artifacts.data", "42 is given where text is wanted"),
        ("parameters: [1]", "cairn.parameters", "a list is given"),
        ("schedule: {}", "cairn.schedule", "says not when"),
        ("schedule: {cron: '@daily', every: 1h}", "cairn.schedule", "or twice"),
        ("schedule: {every: 0.5s}", "cairn.schedule.every", "less than a second"),
        ("schedule: {every: 1h, start: soon}", "cairn.schedule.start", "'soon' is no time"),
        ("schedule: {every: 1h, time_zone: Mars}", "cairn.schedule.time_zone", "'Mars' is no time zone"),
        ("schedule: {every: 1h, timezone: UTC}", "cairn.schedule", "did you mean 'time_zone'?"),
        ("sweep: {metric: [a, b], goal: minimize}", "cairn.sweep.goal", "gives 1 for 2 metrics"),
        ("sweep: {metric: a, goal: max}", "cairn.sweep.goal", "'max' will not do"),
        ("sweep: {failures: -2}", "cairn.sweep.failures", "-2 is too small"),
        ("target: vertx", "cairn.target.to", "'vertx' is no target"),
        ("target: {porject: x}", "cairn.target", "did you mean 'project'?"),
        ("steps: [train]", "cairn.steps", "a list is given"),
        ("steps: {train: 4}", "cairn.steps.train", "4 is given where a mapping is wanted"),
        ("steps: {train: {memroy: 4Gi}}", "cairn.steps.train", "no key 'memroy' (did you mean 'memory'?)"),
        ("steps: {train: {cpu: true}}", "cairn.steps.train.cpu", "True is no quantity"),
        ("steps: {train: {cpu: '???'}}", "cairn.steps.train.cpu", "has no value yet"),
        ("steps: {train: {replicas: 0}}", "cairn.steps.train.replicas", "0 is too small"),
        ("steps: {train: {accelerator_count: 1.5}}", "cairn.steps.train.accelerator_count", "a whole number"),
        ("steps: {train: {accelerator_type: a, accelerator: b}}", "cairn.steps.train.accelerator", "says again what"),
        ("steps: {train: {machine_type: a, custom_job_spec: {machine_type: b}}}",
         "cairn.steps.train.custom_job_spec", "says again what cairn.steps.train.machine_type says"),
        ("steps: {train: {retries: {backoff: 1s}}}", "cairn.steps.train.retries", "does not say how many"),
        ("steps: {train: {environment: {'A=B': c}}}", "cairn.steps.train.environment", "no environment variable"),
        ("steps: {train: {custom_job_spec: {service_account: x}}}",
         "cairn.steps.train.custom_job_spec.service_account", "cairn.target.service_account"),
        ("steps: {train: {custom_job_spec: {machin_type: x}}}",
         "cairn.steps.train.custom_job_spec", "did you mean 'machine_type'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_key_and_what_is_right(text, key, message):
    with pytest.raises(ConfigurationError) as refused:
        _read(text)
    assert refused.value.place == f"conf/config.yaml: {key}"
    assert message in refused.value.message
    assert refused.value.exit_status == 2


def test_the_place_is_the_line_of_the_file_or_the_override_that_says_it(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text("lr: 1\ncairn:\n  name: x\n  steps:\n    train:\n      cpu: true\n")
    with pytest.raises(ConfigurationError) as refused:
        run_configuration(_composed(file.read_text(), file=str(file)))
    assert refused.value.place == f"{file}:6: cairn.steps.train.cpu"
    with pytest.raises(ConfigurationError) as refused:
        run_configuration(_composed(file.read_text(), "+cairn.steps.train.cpu=true", file=str(file)))
    assert refused.value.place == f"{file}: +cairn.steps.train.cpu=true"
