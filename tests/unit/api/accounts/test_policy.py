import pytest

from cairn.api.accounts.policy import check_bind, is_loopback, policy_of
from cairn.config.settings import ServerSettings, Settings
from cairn.errors import ConfigurationError
from cairn.records import open_records


def settings(**server):
    return Settings(server=ServerSettings(**server))


class NoCredentials:
    def has_credentials(self, _now):
        return False


class SomeCredentials:
    def has_credentials(self, _now):
        return True


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "[::1]:80", "::ffff:127.0.0.1"]
)
def test_loopback_is_known_in_every_form(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io", ""]
)
def test_what_is_not_loopback_is_not_taken_for_it(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "workstation"])
@pytest.mark.parametrize(
    ("server", "remedy"),
    [
        ({}, "behind_proxy"),
        ({"authentication": "off"}, "auto"),
        ({"authentication": "off", "tls": "local"}, "auto"),
        ({"authentication": "off", "behind_proxy": True}, "auto"),
        ({"authentication": "required"}, "behind_proxy"),
        ({"tls": "files"}, "name both files"),
    ],
)
def test_beyond_loopback_a_server_that_would_be_open_does_not_start(host, server, remedy):
    with pytest.raises(ConfigurationError) as refused:
        check_bind(settings(**server), host, SomeCredentials())
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    "server", [{"tls": "local"}, {"behind_proxy": True}, {"tls": "files", "certificate": "c", "key": "k"}]
)
def test_beyond_loopback_with_tls_and_logins_it_starts_once_somebody_can_log_in(server):
    with pytest.raises(ConfigurationError) as refused:
        check_bind(settings(**server), "0.0.0.0", NoCredentials())
    assert "cairn tokens create" in refused.value.remedy
    policy = check_bind(settings(**server), "0.0.0.0", SomeCredentials())
    assert policy.login
    assert policy.only_secure is not server.get("behind_proxy", False)


def test_a_proxy_in_front_of_loopback_asks_for_logins():
    with pytest.raises(ConfigurationError):
        check_bind(settings(behind_proxy=True, authentication="off"), "127.0.0.1", SomeCredentials())
    assert check_bind(settings(behind_proxy=True), "127.0.0.1", NoCredentials()).login


def test_on_loopback_nobody_logs_in_unless_it_is_asked_for():
    policy = check_bind(settings(), "127.0.0.1", NoCredentials())
    assert (policy.login, policy.rate, policy.only_secure) == (False, 0.0, False)
    policy = check_bind(settings(authentication="required"), "127.0.0.1", NoCredentials())
    assert (policy.login, policy.rate) == (True, 200.0)


def test_the_address_of_the_settings_counts_where_none_is_given():
    with pytest.raises(ConfigurationError):
        check_bind(settings(host="0.0.0.0"))


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("localhost:8080", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("Cairn.Example.com:443", True),
        ("cairn.example.com.", True),
        ("evil.example.com", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.evil.com", False),
        ("10.0.0.7", False),
        ("169.254.169.254", False),
        ("", False),
        ("user@localhost", False),
    ],
)
def test_the_names_of_a_server_on_loopback(host, named):
    assert policy_of(settings(allowed_hosts=("cairn.example.com",)), "127.0.0.1").names(host) is named


def test_a_server_on_all_addresses_is_called_by_any_address_but_by_no_foreign_name():
    policy = policy_of(settings(tls="local"), "0.0.0.0")
    assert policy.names("192.168.1.4:8080") and policy.names("[fe80::1]:8080")
    assert not policy.names("evil.example.com")


def test_origins():
    policy = policy_of(settings(allowed_origins=("https://notebooks.example.com",)), "127.0.0.1")
    host = "localhost:8080"
    assert policy.takes_origin("http://localhost:8080", host, secure=False)
    assert policy.takes_origin("https://localhost:8080", host, secure=True)
    assert policy.takes_origin("https://notebooks.example.com", host, secure=False)
    for origin in ("null", "", "https://localhost:8080", "http://localhost:3000", "http://evil.com", "file://"):
        assert not policy.takes_origin(origin, host, secure=False)


def test_a_credential_that_has_expired_is_none(tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.domain.resources import Capacity

    with open_records(tmp_path / "cairn.db", capacity=Capacity(1000, 1, 0)) as records:
        create_token(records, "late", {"*": "admin"}, lifetime=-1)
        with pytest.raises(ConfigurationError):
            check_bind(settings(tls="local"), "0.0.0.0", records)
        create_token(records, "here", {"*": "admin"}, lifetime=60)
        check_bind(settings(tls="local"), "0.0.0.0", records)
