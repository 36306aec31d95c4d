"""Luigi with a process for each task, without environments or records.

python luigi_forking.py chain 20        python luigi_forking.py loop 200
"""

import json
import os
import sys
import tempfile

import luigi

DIRECTORY = tempfile.mkdtemp()


class Link(luigi.Task):
    number = luigi.IntParameter()

    def requires(self):
        return Link(self.number - 1) if self.number else []

    def output(self):
        return luigi.LocalTarget(f"{DIRECTORY}/link-{self.number}")

    def run(self):
        value = 0
        if self.number:
            with self.input().open() as file:
                value = json.load(file)
        with self.output().open("w") as file:
            json.dump(value + 1, file)


class Part(luigi.Task):
    number = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"{DIRECTORY}/part-{self.number}")

    def run(self):
        with self.output().open("w") as file:
            json.dump(self.number + 1, file)


class Total(luigi.Task):
    count = luigi.IntParameter()

    def requires(self):
        return [Part(number) for number in range(self.count)]

    def output(self):
        return luigi.LocalTarget(f"{DIRECTORY}/total")

    def run(self):
        total = 0
        for target in self.input():
            with target.open() as file:
                total += json.load(file)
        with self.output().open("w") as file:
            json.dump(total, file)


if __name__ == "__main__":
    kind, count = sys.argv[1], int(sys.argv[2])
    luigi.configuration.get_config().set("worker", "force_multiprocessing", "true")
    luigi.configuration.get_config().set("worker", "wait_interval", "0.01")
    task = Link(count - 1) if kind == "chain" else Total(count)
    done = luigi.build(
        [task], workers=1 if kind == "chain" else os.cpu_count() or 1, local_scheduler=True, log_level="WARNING"
    )
    sys.exit(0 if done else 1)
