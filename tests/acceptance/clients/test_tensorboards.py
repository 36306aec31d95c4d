"""TensorBoard by the unmodified client: 2.x over gRPC through the shim, with its uploader; 1.x over REST."""

from pathlib import Path

import pytest
from event_logs import FILES

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = {
    "metrics are logged to the default Tensorboard",
    "the data frames equal what was logged",
    "Tensorboards, experiments, runs and time series are made, changed, listed",
    "what is deleted is gone, with what is below",
}
UPLOADER = ("google-cloud-aiplatform>=2,<3", "kfp>=2.16", "pandas", "tensorboard>=2.16", "setuptools<81")


def test_through_the_shim_with_the_uploader(new_installation, client_python):
    python = str(client_python(*UPLOADER))
    found = new_installation.run_script(python, "tensorboards.py", EVENT_FILES=str(FILES))
    assert set(found) == STEPS | {"a directory is uploaded, twice, and while it is written"}


def test_told_where_the_server_is(served, client_of):
    home, url = served
    script = Path(__file__).parent / "scripts" / "tensorboards.py"
    variables = {"CLIENT_MODE": "rest", "SERVER_URL": url, "STORAGE_EMULATOR_HOST": url}
    found = home.cairn("exec", "--", client_of("aiplatform1"), str(script), **variables)
    assert found.returncode == 0, f"{found.stdout[-2000:]}\n{found.stderr[-3000:]}"
    assert {line.removeprefix("passed: ") for line in found.stdout.splitlines() if line.startswith("passed: ")} == STEPS
