import pytest

from cairn.environments.redaction import redact, without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("error: https://user:pa55@host/simple/x failed", "error: https://****@host/simple/x failed"),
        ("https://token@host/", "https://****@host/"),
        ("https://u:p%40w@host:8443/a and http://b:c@d/", "https://****@host:8443/a and http://****@d/"),
        ("git+https://t0ken@github.com/a/b.git@main", "git+https://****@github.com/a/b.git@main"),
        ("https://host/x?access_token=abc&y=1", "https://host/x?access_token=****&y=1"),
        ("pkg @ https://host/a@1.0/b.whl", "pkg @ https://host/a@1.0/b.whl"),
        ("no url: a@b.c", "no url: a@b.c"),
    ],
)
def test_credentials_are_taken_out_of_urls(text, shown):
    assert redact(text) == shown


def test_keys_are_the_same_for_every_user_of_an_index():
    assert without_credentials("https://a:b@host/simple") == without_credentials("https://host/simple")
    assert without_credentials("https://h/?token=a") == without_credentials("https://h/?token=b")
