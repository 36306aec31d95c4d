"""What is read of a platform document and not acted on is warned about."""

from cairn.spec.platform import read_platform


def _warnings(config: dict) -> list[str]:
    return read_platform({"platforms": {"kubernetes": {"pipelineConfig": config}}}, {}).warnings


def test_how_long_a_run_is_kept_is_warned_about_and_its_time_out_honoured() -> None:
    assert _warnings({"resourceTtlOnCompletion": 60}) == [
        "the pipeline's resourceTtlOnCompletion has no effect on this machine"
    ]
    assert _warnings({"activeDeadlineSeconds": 2}) == []
