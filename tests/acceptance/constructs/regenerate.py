"""Compile every pipeline of `pipelines/*.py` into `pipelines/compiled/NAME.yaml`.

    uv run --no-project --python 3.11 --with kfp==2.17.0 --with kfp-kubernetes==2.17.0 regenerate.py [--check]

With `--check` nothing is written: what would change is named and the exit status is 1. Pipelines whose names begin with
an underscore are parts of others. What kfp writes in no certain order (comments, mappings) and the archives of embedded
artifacts, which hold the time, are left out of the comparison.
"""

import importlib.util
import re
import sys
import tempfile
import warnings
from pathlib import Path

import yaml
from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

PIPELINES = Path(__file__).resolve().parent / "pipelines"
PACKED = re.compile(r"__KFP_EMBEDDED_ARCHIVE_B64 = '[^']*'|[A-Za-z0-9+/=]{200,}")


def compiled(source: Path, into: Path) -> dict[str, str]:
    spec = importlib.util.spec_from_file_location(source.stem, source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[source.stem] = module
    spec.loader.exec_module(module)
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, GraphComponent) and not name.startswith("_"):
            target = into / f"{name}.yaml"
            compiler.Compiler().compile(value, str(target))
            found[target.name] = target.read_text()
    return found


def compared(text: str) -> list[object]:
    return [*yaml.safe_load_all(PACKED.sub("", text))]


def main() -> int:
    warnings.simplefilter("ignore")
    golden = PIPELINES / "compiled"
    with tempfile.TemporaryDirectory() as scratch:
        texts = {}
        for source in sorted(PIPELINES.glob("*.py")):
            texts.update(compiled(source, Path(scratch)))
    standing = {path.name: path.read_text() for path in golden.glob("*.yaml")}
    changed = sorted(
        name
        for name in standing.keys() | texts.keys()
        if compared(standing.get(name, "")) != compared(texts.get(name, ""))
    )
    print("\n".join(changed))
    if "--check" in sys.argv[1:]:
        return 1 if changed else 0
    golden.mkdir(exist_ok=True)
    for name in changed:
        if name in texts:
            (golden / name).write_text(texts[name])
        else:
            (golden / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
