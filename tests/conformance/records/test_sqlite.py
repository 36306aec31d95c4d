"""SQLite as the place of records."""

from pathlib import Path

import pytest

from cairn.testing.records import RecordsConformance


class TestSqlite(RecordsConformance):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "cairn.db")
