"""Vizier's own client classes, unmodified, drive studies."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

PACKAGES = ("google-cloud-aiplatform>=2,<3", "google-vizier")
PASSED = {
    "a study is created, loaded and read", "a worker is given its trials again",
    "trials are measured and completed once",
    "the optimal trial is the best one", "defaults come first, contexts are kept, conditions are met",
    "a poor trial is stopped early, and the study ends",
    "trials are asked for, stopped and deleted; what is wrong is refused with its place", "studies are deleted",
}  # fmt: skip


def test_vizier_through_the_shim_without_arguments(installation, client_python):
    assert set(installation.run_script(str(client_python(*PACKAGES)), "studies.py")) == PASSED


@pytest.mark.parametrize("mode", ["rest", "grpc"])
def test_vizier_told_where_the_server_is(served, client_python, mode):
    home, url = served
    variables = {
        "CLIENT_MODE": mode,
        "SERVER_URL": url,
        "CAIRN_SHIM": "off",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(Path(home.home) / "tls" / "bundle.pem"),
    }
    assert set(home.run_script(str(client_python(*PACKAGES)), "studies.py", **variables)) == PASSED
