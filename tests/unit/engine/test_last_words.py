"""The one line that a failed step's error ends with."""

from pathlib import Path

import pytest

from cairn.engine.last_words import MAX_LENGTH, last_words

HYDRA = "Error executing job with overrides: ['lr=1']\n"
HINT = "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n"
TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    f()\n'


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("", ""),
        (TRACE + "ValueError: no such layer\n", "ValueError: no such layer"),
        ("w\n" * 100 + TRACE + "torch.cuda.OutOfMemoryError: 2\nmore\n", "torch.cuda.OutOfMemoryError: 2"),
        (TRACE + "KeyError: 'a'\n\nDuring handling of that:\n\n" + TRACE + "RuntimeError\n", "RuntimeError"),
        (TRACE + "what is this?\n", ""),
        (TRACE, ""),
        ("sh: 1: tain: not found\n", "sh: 1: tain: not found"),
        ("line\n" * 50, ""),
        (HYDRA + "Error locating target 'f'\nfull_key: a\n\nSet the …\n", "Error locating target 'f'"),
        (HYDRA + "\n" + TRACE + "ValueError: lr\n\nSet the environment …\n", "ValueError: lr"),
        ("Could not override 'lr'.\nTo append use +lr=1\n    full_key: lr\n\n" + HINT, "Could not override 'lr'."),
        ("a.py:1: UserWarning: \nold\n  @hydra.main()\nno viable\nSee https\n\n" + HINT, "no viable"),
        ("w\n" * 9 + "\n" + HINT, "w"),
        (HINT, HINT.strip()),
        ("a\nb\n\x1b[31mred\x1b[0m\n", "red"),
        (TRACE + "E: " + "x" * 1000 + "\n", "E: " + "x" * (MAX_LENGTH - 4) + "…"),
    ],
)  # fmt: skip
def test_the_last_exception_or_the_last_of_few_lines(tmp_path: Path, stderr: str, words: str) -> None:
    (tmp_path / "stderr.log").write_text(stderr)
    assert last_words(str(tmp_path)) == words


def test_a_step_without_a_log_said_nothing(tmp_path: Path) -> None:
    assert last_words(str(tmp_path / "gone")) == ""


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "stderr.log").write_bytes(b"\xff" * 10_000_000 + b"\n" + TRACE.encode() + b"OSError: disk\n")
    assert last_words(str(tmp_path)) == "OSError: disk"
