"""A trial: it tells its score where cloudml-hypertune does."""

import argparse
import json
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=1.0)
parser.add_argument("--layers", type=int)
parser.add_argument("--activation", default="relu")
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--fail", action="store_true")
parser.add_argument("--sleep", action="store_true")
args = parser.parse_args()
if args.sleep:
    time.sleep(100)
if args.fail:
    sys.exit("this trial is to fail")
path = os.environ["CLOUD_ML_HP_METRIC_FILE"]
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, "a") as file:
    told = {
        "timestamp": time.time(),
        "trial": os.environ["CLOUD_ML_TRIAL_ID"],
        "score": str(args.rate * args.layers),
        "global_step": "1",
        "checkpoint_path": "",
    }
    file.write(json.dumps(told) + "\n")
