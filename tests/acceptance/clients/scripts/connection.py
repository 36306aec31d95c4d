"""How a script reaches the server: CLIENT_MODE is shim (no arguments at all), rest, or grpc (with TLS)."""

import os
import time
from urllib.parse import urlsplit

from google.cloud import aiplatform

MODE = os.environ.get("CLIENT_MODE", "shim")
PROJECT = os.environ.get("CLIENT_PROJECT", "default")
LOCATION = "us-central1"
BUCKET = f"gs://{PROJECT}-acceptance-{MODE}"


def connect(**more):
    """`aiplatform.init` as a user of this mode writes it."""
    if MODE == "shim":
        aiplatform.init(**more)
        return
    url = os.environ["SERVER_URL"]
    endpoint = url if MODE == "rest" else f"localhost:{urlsplit(url).port}"
    aiplatform.init(
        project=PROJECT,
        location=LOCATION,
        staging_bucket=BUCKET,
        api_endpoint=endpoint,
        api_transport="rest" if MODE == "rest" else "grpc",
        service_account="local@demo.iam.gserviceaccount.com",
        **more,
    )


def unique(stem):
    return f"{stem}-{time.time_ns() // 1000}"


def until(condition, seconds=60, step=0.3):
    """What `condition` comes to, once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(step)
    raise AssertionError(f"waited {seconds} s in vain")


def passed(name):
    print("passed:", name, flush=True)
