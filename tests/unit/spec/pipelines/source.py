"""The pipelines that the tests of reading use; `regenerate.py` compiles them."""

# ruff: noqa: B006 - kfp takes defaults as values

from typing import NamedTuple

from kfp import dsl, kubernetes


@dsl.component(base_image="python:3.11")
def split(rows: int, ratio: float, data: dsl.Output[dsl.Dataset]) -> NamedTuple("S", [("count", int), ("names", list)]):
    with open(data.path, "w") as file:
        file.write("x" * rows)
    return (rows, ["a", "b"])


@dsl.component(base_image="python:3.11")
def train(data: dsl.Input[dsl.Dataset], rate: float, model: dsl.Output[dsl.Model], tags: dict = {"a": 1}) -> float:
    model.metadata["rate"] = rate
    return rate


@dsl.component(base_image="python:3.11")
def say(text: str, note: str = "none") -> str:
    return text


@dsl.component(base_image="python:3.11")
def best(scores: list[float]) -> float:
    return max(scores)


@dsl.component(base_image="python:3.11")
def report(status: dsl.PipelineTaskFinalStatus, where: str = "here"):
    print(status, where)


@dsl.container_component
def shell(name: str, data: dsl.Input[dsl.Dataset], out: dsl.OutputPath(str), extra: str = ""):
    return dsl.ContainerSpec(
        image="alpine:3.20",
        command=["sh", "-c", 'printf "%s" "$0" > "$1"'],
        args=[
            dsl.ConcatPlaceholder(["--name=", name]),
            dsl.IfPresentPlaceholder(input_name="extra", then=["--extra", extra], else_=["--plain"]),
            data.uri,
            out,
        ],
    )


@dsl.pipeline(name="inner")
def inner(text: str, loud: bool = False) -> str:
    return say(text=text).output


@dsl.pipeline(name="training", display_name="Training", pipeline_root="gs://bucket/root")
def training(rows: int = 10, rates: list[float] = [0.1, 0.2], name: str = "x", threshold: float = 0.5) -> float:
    done = report()
    with dsl.ExitHandler(done, name="guarded"):
        say(text=f"{name} begins")
    parts = split(rows=rows, ratio=0.5)
    parts.set_cpu_request("500m").set_memory_limit("1Gi").set_env_variable("MODE", "fast")
    parts.set_retry(num_retries=2, backoff_duration="5s", backoff_factor=2.0, backoff_max_duration="60s")
    with dsl.ParallelFor(rates, parallelism=2, name="rates") as rate:
        trained = train(data=parts.outputs["data"], rate=rate)
    with dsl.ParallelFor([{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]) as item:
        say(text=item.b, note=item.a)
    chosen = best(scores=dsl.Collected(trained.outputs["Output"]))
    chosen.set_caching_options(False)
    with dsl.If(chosen.output > threshold, name="good"):
        good = inner(text="good")
    with dsl.Else(name="poor"):
        poor = inner(text="poor")
    say(text=dsl.OneOf(good.output, poor.output), note="said")
    shelled = shell(name=name, data=parts.outputs["data"])
    kubernetes.use_secret_as_env(shelled, secret_name="keys", secret_key_to_env={"token": "TOKEN"})
    kubernetes.mount_pvc(shelled, pvc_name="volume", mount_path="/data")
    kubernetes.add_toleration(shelled, key="gpu", operator="Exists", effect="NoSchedule")
    brought = dsl.importer(
        artifact_uri="gs://bucket/data.csv",
        artifact_class=dsl.Dataset,
        reimport=True,
        metadata={"name": name, "rows": [1, 2]},
    )
    shell(name="brought", data=brought.output, extra="more")
    return chosen.output
