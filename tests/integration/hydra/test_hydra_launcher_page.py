"""docs/hydra_launcher.md does what it says."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from hydra_plugins.cairn_launcher.launcher import CairnLauncherConf

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "hydra_launcher.md").read_text()


def test_the_example_runs_and_takes_what_it_knows(tmp_path, cairn_home):
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line[2:] for line in PAGE.splitlines() if line.startswith("$ python ")]
    (tmp_path / "train.py").write_text(program)
    said = []
    for command in commands:
        words = [sys.executable, *shlex.split(command)[1:]]
        said.append(subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert "[#1] learning rate 0.5: 0.5\n" in said[0]
    assert "#0 : cached" in said[1]
    assert "[#1] learning rate 0.75: 0.25\n" in said[1]
    assert sorted(path.read_text() for path in tmp_path.glob("multirun/*/*/0/model.txt")) == ["0.75\n", "0.75\n"]


def test_the_page_names_every_key_and_no_other():
    (table,) = re.findall(r"^\| `hydra\.launcher\.` .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert named == [each.name for each in fields(CairnLauncherConf) if each.name != "_target_"]
