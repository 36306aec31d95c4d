"""A notebook as a component."""

import os

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

_NOTEBOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "repeat.ipynb")


@dsl.notebook_component(notebook_path=_NOTEBOOK)
def repeat(text: str, count: int, data: Output[Dataset]):
    dsl.run_notebook(text=text, count=count, target=data.path)


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.pipeline
def notebook(text: str, count: int) -> str:
    return read(data=repeat(text=text, count=count).outputs["data"]).output
