import pytest

from cairn.domain.resources import Capacity
from cairn.records import open_records


@pytest.fixture
def records(tmp_path):
    with open_records(tmp_path / "cairn.db", capacity=Capacity(4000, 1 << 30, 0)) as opened:
        yield opened
