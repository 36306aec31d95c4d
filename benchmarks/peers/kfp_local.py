"""kfp.local's SubprocessRunner on the very functions that Cairn runs compiled.

python kfp_local.py chain 20        python kfp_local.py loop 200        python kfp_local.py chain 20 venv
"""

import os
import sys
import tempfile
from pathlib import Path

from kfp import dsl, local

VENV = "venv" in sys.argv[3:]
os.environ["BENCHMARK_INSTALL"] = "1" if VENV else "0"
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # its steps call `python3`
sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

import generate  # noqa: E402, I001 - what it reads from the environment is set above


KIND, COUNT = sys.argv[1], int(sys.argv[2])
local.init(runner=local.SubprocessRunner(use_venv=VENV), pipeline_root=tempfile.mkdtemp(), raise_on_error=True)
if KIND == "chain":

    @dsl.pipeline
    def chain() -> int:
        return generate.chain_of(COUNT)

    assert chain().output == COUNT
else:
    assert generate.loop(items=list(range(COUNT))).output == COUNT * (COUNT + 1) // 2
