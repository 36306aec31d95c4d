"""The clients people use, unmodified."""

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_google_cloud_storage(server, run_client):
    told = run_client("google_storage.py", server.url)
    assert told.count("passed:") == 6


def test_gcsfs_and_pandas(server, run_client):
    run_client("gcsfs_files.py", server.url)
