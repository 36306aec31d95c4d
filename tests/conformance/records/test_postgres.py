"""PostgreSQL as the place of records."""

import pytest

from cairn.testing.records import RecordsConformance


class TestPostgres(RecordsConformance):
    @pytest.fixture
    def location(self, postgres_url: str) -> str:
        return postgres_url
