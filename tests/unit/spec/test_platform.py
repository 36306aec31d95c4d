"""What is read of a platform document and not acted on is warned about."""

from cairn.spec.platform import read_platform


def _warnings(config: dict) -> list[str]:
    return read_platform({"platforms": {"kubernetes": {"pipelineConfig": config}}}, {}).warnings


def test_a_pipelines_time_out_is_warned_about() -> None:
    assert _warnings({"activeDeadlineSeconds": 2}) == [
        "the pipeline's time-out (activeDeadlineSeconds) has no effect on this machine"
    ]
    assert _warnings({"activeDeadlineSeconds": 0}) == []
