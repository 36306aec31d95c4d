"""What of the database's address is told."""

import pytest

from cairn.errors import HomeError

pytest.importorskip("psycopg")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/records",
        "postgresql://ann@127.0.0.1:1/records?connect_timeout=1&password=s3cret",
        "postgresql://127.0.0.1:1/records?sslpassword=s3cret&user=ann",
    ],
)
def test_a_password_is_never_told(url):
    from cairn.records.postgres import PostgresConnection

    with pytest.raises(HomeError) as refused:
        PostgresConnection(url)
    assert "s3cret" not in str(refused.value) and "127.0.0.1:1/records" in str(refused.value)
