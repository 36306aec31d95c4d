"""Pipelines whose results can be computed by hand."""

from kfp import dsl


@dsl.component
def total(numbers: list, factor: int) -> int:
    return int(sum(numbers) * factor)


@dsl.component
def describe(value: int, report: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    with open(report.path, "w") as file:
        file.write(f"value={value}")
    report.metadata["rows"] = value
    metrics.log_metric("half", value / 2)
    return f"v{value}"


@dsl.component
def measure(report: dsl.Input[dsl.Dataset]) -> int:
    with open(report.path) as file:
        return len(file.read())


@dsl.component
def fail(message: str):
    raise RuntimeError(message)


@dsl.component
def wait(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


@dsl.pipeline(name="arithmetic", description="Sums, scales and measures.")
def arithmetic(numbers: list = [1, 2, 3], factor: int = 2) -> int:  # noqa: B006 - kfp takes it as the default's text
    summed = total(numbers=numbers, factor=factor)
    described = describe(value=summed.output)
    return measure(report=described.outputs["report"]).output


@dsl.pipeline(name="failing")
def failing(message: str = "on purpose"):
    fail(message=message)


@dsl.pipeline(name="half-failing")
def half_failing(seconds: float = 3.0):
    fail(message="early").set_display_name("early")
    late = wait(seconds=seconds)
    wait(seconds=0.0).after(late).set_display_name("last")


@dsl.pipeline(name="sleeping")
def sleeping(seconds: float = 60.0):
    wait(seconds=seconds)


@dsl.pipeline(name="measuring")
def measuring(report: dsl.Input[dsl.Dataset]) -> int:
    return measure(report=report).output
