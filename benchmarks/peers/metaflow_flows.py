"""Metaflow, locally: a flow that is a chain, or one that branches for each item and joins.

python metaflow_flows.py chain 20        python metaflow_flows.py loop 200
"""

import os
import sys
import tempfile

LOOP = """
    @step
    def start(self):
        self.items = list(range({count}))
        self.next(self.part, foreach="items")

    @step
    def part(self):
        self.value = self.input + 1
        self.next(self.total)

    @step
    def total(self, inputs):
        self.sum = sum(each.value for each in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.sum == {count} * ({count} + 1) // 2
"""


def chain(count: int) -> str:
    """`count` steps, Metaflow's own `start` and `end` among them."""
    names = ["start", *(f"step_{number}" for number in range(1, count - 1)), "end"]
    body = ""
    for number, name in enumerate(names):
        body += f"\n    @step\n    def {name}(self):\n"
        body += f"        self.value = {'0' if number == 0 else 'self.value'} + 1\n"
        if name != "end":
            body += f"        self.next(self.{names[number + 1]})\n"
    return body


def main() -> None:
    kind, count = sys.argv[1], int(sys.argv[2])
    body = chain(count) if kind == "chain" else LOOP.format(count=count)
    directory = tempfile.mkdtemp()
    path = os.path.join(directory, "flow.py")
    with open(path, "w") as file:
        file.write(f"from metaflow import FlowSpec, step\n\n\nclass Flow(FlowSpec):{body}\n\nFlow()\n")
    os.environ.update(METAFLOW_DATASTORE_SYSROOT_LOCAL=directory, METAFLOW_USER="benchmark", METAFLOW_HOME=directory)
    os.chdir(directory)
    workers = str(os.cpu_count() or 1)
    arguments = ["run", "--max-workers", workers, "--max-num-splits", "1000000"]
    os.execv(sys.executable, [sys.executable, path, "--no-pylint", "--quiet", *arguments])


main()
