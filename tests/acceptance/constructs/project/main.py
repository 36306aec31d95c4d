"""What `--image gcr.io/acme/trainer*=project:DIR` runs: the directory's own environment and files."""

import argparse
import os
import pathlib

import word_tools

parser = argparse.ArgumentParser()
parser.add_argument("--word")
parser.add_argument("--out")
given = parser.parse_args()
pathlib.Path("scratch.txt").write_text("a step's own")
resource = pathlib.Path("data", "suffix.txt").read_text().strip()
target = pathlib.Path(given.out)
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(f"{word_tools.shout(given.word)}{resource} {os.environ.get('FLAVOUR')}")
