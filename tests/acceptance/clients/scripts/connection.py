"""How a script reaches the server: CLIENT_MODE is shim (no arguments at all), rest, or grpc (with TLS)."""

import contextlib
import os
import time
from urllib.parse import urlsplit

import google.auth
from google.auth.transport.requests import AuthorizedSession
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


def asked(path):
    """The server's answer to a GET, as whom the program's credentials are of."""
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    answer = AuthorizedSession(credentials).get((os.environ.get("SERVER_URL") or os.environ["CAIRN_URL"]) + path)
    assert answer.status_code == 200, answer.text
    return answer


def recorded(job):
    """A run as Cairn's own API tells it: outputs, tasks, warnings."""
    return asked("/cairn/v1/runs/" + job.name).json()


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


@contextlib.contextmanager
def raises(kind, word=""):
    """What is done within fails, and says so."""
    try:
        yield
    except kind as error:
        if word not in str(error):
            raise
    else:
        raise AssertionError(f"no {kind.__name__} was raised")


def log_text(resource):
    """What a job has printed, by its resource."""
    return asked("/cairn/v1/runs/" + resource.resource_name.rpartition("/")[2] + "/logs").text


def passed(name):
    print("passed:", name, flush=True)
