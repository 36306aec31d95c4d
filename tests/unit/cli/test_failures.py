"""What a failed step said, cut to the user's own."""

from cairn.cli import user_source
from cairn.cli.failures import TAIL_BYTES, own_words, shorten, tail
from cairn.cli.summary import how_to_go_on
from cairn.domain.runs import Run

SOURCE = """\
from kfp import dsl


def helper():
    pass


class Holder:
    @dsl.component(
        packages_to_install=["x"],
    )
    def train(n: int) -> int:
        values = {}

        return values["missing"]


@dsl.component
def other():
    pass
"""
COMPILED = """
import kfp
from kfp import dsl
from kfp.dsl import *
from typing import *

def train(n: int) -> int:
    values = {}

    return values["missing"]

"""
SAID = """\
[KFP Executor INFO]: something
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/e/lib/python3.11/site-packages/kfp/dsl/executor_main.py", line 101, in executor_main
    output_file = executor.execute()
                  ^^^^^^^^^^^^^^^^^^
  File "/e/lib/python3.11/site-packages/kfp/dsl/executor.py", line 453, in execute
    result = self.func(**func_kwargs)
             ^^^^^^^^^^^^^^^^^^^^^^^^
  File "/h/runs/1/train/attempt-1/component/ephemeral_component.py", line 10, in train
    return values["missing"]
           ~~~~~~^^^^^^^^^^^
KeyError: 'missing'
""".splitlines()


def write(tmp_path, text=SOURCE, name="pipeline.py"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_the_compiled_function_is_found_in_the_users_file(tmp_path):
    place = user_source.find(write(tmp_path), COMPILED)
    assert place.name == "train"
    assert place.unchanged
    assert place.line(10) == 15
    assert SOURCE.splitlines()[15 - 1].strip() == 'return values["missing"]'
    assert place.line(2) is None, "an import line of kfp's own"


def test_it_is_found_beside_the_compiled_file(tmp_path):
    write(tmp_path)
    assert user_source.find(str(tmp_path / "pipeline.yaml"), COMPILED).line(10) == 15
    assert user_source.find(f"{tmp_path / 'pipeline.py'}:pipeline", COMPILED).line(10) == 15


def test_an_edited_function_gives_its_place_but_no_lines(tmp_path):
    place = user_source.find(write(tmp_path, SOURCE.replace('"missing"', '"found"')), COMPILED)
    assert place.first == 12
    assert not place.unchanged
    assert place.line(10) is None


def test_no_file_or_no_such_function_is_no_place(tmp_path):
    assert user_source.find(str(tmp_path / "nowhere.py"), COMPILED) is None
    assert user_source.find(write(tmp_path, "x = 1"), COMPILED) is None
    assert user_source.find(write(tmp_path, "not python("), COMPILED) is None
    assert user_source.find(write(tmp_path), "not python(") is None


def test_only_the_users_frames_are_left_with_the_users_file_and_line(tmp_path):
    path = write(tmp_path)
    assert shorten(SAID, user_source.find_all(path, COMPILED)) == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 15, in train',
        '    return values["missing"]',
        "           ~~~~~~^^^^^^^^^^^",
        "KeyError: 'missing'",
    ]


def test_functions_that_a_component_brings_along_are_found_too(tmp_path):
    brought = COMPILED.replace("def train", "def helper():\n    pass\n\n\ndef train")
    at = brought.splitlines().index("def helper():") + 1
    frame = f'  File "/x/ephemeral_component.py", line {at + 1}, in helper'
    path = write(tmp_path)
    assert shorten([frame, "    pass", "KeyError"], user_source.find_all(path, brought))[0] == (
        f'  File "{path}", line 5, in helper'
    )
    edited = write(tmp_path, "import os\n\n" + SOURCE.replace("    pass", "    return 1"))
    places = user_source.find_all(edited, brought)
    said = ["Traceback (most recent call last):", frame, *SAID[-4:]]
    told = shorten([line.replace("line 10,", f"line {10 + 4},") for line in said], places)
    assert told[1] == frame, "its text has changed since"
    assert told[2] == f'  File "{edited}", line 17, in train', "it only stands elsewhere"


def test_without_the_users_file_the_compiled_one_is_named():
    assert '  File "/h/runs/1/train/attempt-1/component/ephemeral_component.py", line 10, in train' in shorten(SAID, [])


def test_of_chained_exceptions_the_last_is_told_and_other_output_is_kept():
    said = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "    f()",
        "A",
        "",
        "During …:",
        "",
        *SAID,
    ]
    assert shorten(said, [])[-1] == "KeyError: 'missing'"
    assert shorten(["sh: cannot open x"], []) == ["sh: cannot open x"]
    assert shorten([], []) == []


LOGGED = """\
[KFP Executor 2026-11-20 10:00:00,000 INFO]: Looking for component `train` in --component_module_path `x`
[KFP Executor 2026-11-20 10:00:00,001 INFO]: Got executor_input:
{
    "inputs": {
        "parameterValues": {"n": 1}
    },
    "outputs": {
    }
}
reading the data
[KFP Executor 2026-11-20 10:00:09,000 INFO]: Wrote executor output file to /x.
"""


def test_what_kfps_executor_logs_of_itself_is_left_out():
    assert own_words(LOGGED.splitlines()) == ["reading the data"]
    cut_off = LOGGED.splitlines()[3:]
    assert own_words(cut_off) == ["reading the data"], "the tail begins within the dump"
    mine = ["{", '    "mine": 1', "}", "    indented", "}"]
    assert own_words(mine) == mine
    assert own_words(["    indented", "said"]) == ["    indented", "said"]


def test_a_step_that_only_its_executor_spoke_for_has_said_nothing(tmp_path):
    log = tmp_path / "stdout.log"
    log.write_text(LOGGED.replace("reading the data\n", ""))
    assert tail(str(tmp_path)) == []
    assert len(tail(str(tmp_path), whole=True)) == 10
    log.write_text(LOGGED.replace('"n": 1', '"n": "' + "x" * TAIL_BYTES + '"'))
    assert tail(str(tmp_path)) == ["reading the data"]
    (tmp_path / "stderr.log").write_text("on standard error\n")
    assert tail(str(tmp_path)) == ["on standard error"]


def a_run(source):
    return Run(uid="0123456789", job_id="j", pipeline_name="p", spec_digest="d", state="FAILED", source=source)


def test_how_a_failed_run_is_gone_on_with_names_the_file_that_was_run(tmp_path, monkeypatch):
    assert how_to_go_on(a_run("")) == ["go on from here: cairn runs resume 01234567"]
    assert len(how_to_go_on(a_run(str(tmp_path / "gone.py")))) == 1
    path = write(tmp_path, name="my pipeline.py")
    assert how_to_go_on(a_run(path))[1] == f"with your edits: cairn runs resume 01234567 '{path}'"
    monkeypatch.chdir(tmp_path)
    edits = how_to_go_on(a_run(f"{path}:train"))[1]
    assert edits == "with your edits: cairn runs resume 01234567 'my pipeline.py:train'"
