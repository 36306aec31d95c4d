"""What somebody trains with: reads its arguments and variables, writes a model where it is told to.

It travels to the job as a script, and inside the package of `jobs.py`."""

import argparse
import json
import os
import sys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--fail", action="store_true")
    args = parser.parse_args()
    print("training with rate", args.rate)
    print("a word of warning", file=sys.stderr)
    if args.fail:
        sys.exit(7)
    target = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/", 1)
    os.makedirs(target, exist_ok=True)
    told = {name: value for name, value in os.environ.items() if name.startswith(("AIP_", "CLOUD_ML_", "CLUSTER_"))}
    told |= {"rate": args.rate, "word": os.environ.get("WORD", ""), "argv": sys.argv[1:]}
    with open(os.path.join(target, "model.json"), "w") as file:
        json.dump(told, file)


main()
