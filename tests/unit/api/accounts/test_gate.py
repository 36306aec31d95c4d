"""The gate alone: who is let in, as whom."""

import logging
from types import SimpleNamespace

import msgspec
import pytest

from cairn.api.access import ADMINISTER, PUBLIC, READ, READ_ANY, WRITE, WRITE_ANY, Identity, Role, require, visible
from cairn.api.accounts.gate import NOBODY, OWNER, Arrival, Gate
from cairn.api.accounts.policy import check_bind, policy_of
from cairn.api.accounts.registry import create_token
from cairn.config.home import Home
from cairn.config.settings import ServerSettings, Settings
from cairn.errors import NotFound, PermissionDenied, TooManyRequests, Unauthenticated


@pytest.fixture
def make_gate(records, tmp_path):
    made = []

    def make(host="127.0.0.1", *, policy=None, **server):
        home = Home(tmp_path)
        cairn = SimpleNamespace(settings=Settings(server=ServerSettings(**server)), home=home, records=records)
        context = SimpleNamespace(cairn=cairn, url=f"http://{host}:1", shared={})
        made.append(Gate(context, policy or check_bind(cairn.settings, host, records)))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


def arrival(token="", host="localhost:8080", peer="10.1.1.1", secure=False, **headers):
    found = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token:
        found["authorization"] = f"Bearer {token}"
    return Arrival(found, peer, secure)


def test_on_loopback_whoever_comes_is_the_owner_whatever_they_send(make_gate):
    gate = make_gate()
    for headers in ({}, {"authorization": "Bearer ya29.x"}, {"authorization": "Basic x"}, {"authorization": "Bearer"}):
        assert gate.admit(arrival(**headers)) is OWNER


def test_where_logins_are_needed_nobody_is_nobody_and_wrong_credentials_are_refused(make_gate, records):
    gate = make_gate(authentication="required")
    _, token = create_token(records, "ann", {"p": "viewer"})
    assert gate.admit(arrival()) is NOBODY
    assert gate.admit(arrival(token)).name == "ann"
    assert gate.admit(arrival(authorization=f"bearer {token}")).name == "ann"
    for wrong in (f"Bearer {token[:-1]}", "Bearer x", "Bearer", "Basic YTpi", token, "Bearer " + "x" * 100_000):
        with pytest.raises(Unauthenticated):
            gate.admit(arrival(authorization=wrong, peer=wrong[:20]))


def test_an_attempts_token_is_held_to_its_project_also_on_loopback(make_gate, records, monkeypatch):
    running = {"attempt-1": "p"}
    monkeypatch.setattr(type(records), "project_of_running", lambda _self, attempt: running.get(attempt))
    for server in ({}, {"authentication": "required"}):
        running["attempt-1"] = "p"
        gate = make_gate(**server)
        steps = gate.authentication.steps
        token = steps.issue("attempt-1", "p")
        identity = gate.admit(arrival(token))
        assert (identity.name, identity.attempt, identity.projects) == ("step:attempt-1", "attempt-1", {"p"})
        gate.authorise(identity, WRITE, "p")
        with pytest.raises(NotFound):
            gate.authorise(identity, READ, "q")
        with pytest.raises(PermissionDenied):
            gate.authorise(identity, ADMINISTER)
        for wrong in (
            steps.issue("attempt-2", "p"),
            steps.issue("attempt-1", "q"),
            token[:-2] + "xx",
            steps.issue("attempt-1", "p", lifetime=-1),
        ):
            with pytest.raises(Unauthenticated):
                gate.admit(arrival(wrong))
        del running["attempt-1"]
        steps._running.clear()
        with pytest.raises(Unauthenticated, match="has ended"):
            gate.admit(arrival(token))


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8080", "", "localhost.evil.com", "192.168.0.3"])
def test_a_name_that_was_made_to_lead_here_is_refused(make_gate, host):
    with pytest.raises(PermissionDenied, match="no name of this server"):
        make_gate().admit(arrival(host=host))


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        ({"origin": "http://localhost:8080"}, True),
        ({"origin": "https://notebooks.example.com"}, True),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "https://localhost:8080"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://localhost:8080.evil.com"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"}, False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://notebooks.example.com"}, True),
    ],
)
def test_pages_of_elsewhere_are_refused(make_gate, headers, let_in):
    gate = make_gate(allowed_origins=("https://notebooks.example.com/",))
    if let_in:
        gate.admit(arrival(**headers))
        return
    with pytest.raises(PermissionDenied):
        gate.admit(arrival(**headers))


def test_a_preflight_is_answered_for_allowed_origins(make_gate):
    gate = make_gate(allowed_origins=("https://notebooks.example.com",))
    asked = arrival(
        origin="https://notebooks.example.com",
        access_control_request_method="POST",
        access_control_request_headers="authorization",
    )
    answer = gate.preflight(asked, "OPTIONS")
    assert answer["access-control-allow-origin"] == "https://notebooks.example.com"
    assert answer["access-control-allow-headers"] == "authorization"
    assert "access-control-allow-credentials" not in answer
    assert gate.preflight(asked, "POST") is None
    assert gate.sharing(arrival(origin="http://localhost:8080")) == {}
    with pytest.raises(PermissionDenied):
        gate.admit(arrival(origin="https://evil.com", access_control_request_method="POST"))


def test_beyond_loopback_clear_text_is_refused(make_gate, records):
    create_token(records, "ann", {"p": "viewer"})
    gate = make_gate("0.0.0.0", tls="local")
    with pytest.raises(PermissionDenied, match="TLS"):
        gate.admit(arrival())
    assert gate.admit(arrival(secure=True)) is NOBODY
    assert gate.admit(arrival(peer="127.0.0.1")) is NOBODY


def test_roles_and_boundaries(make_gate):
    gate = make_gate()
    viewer = Identity("v", {"p": Role.VIEWER})
    admin = Identity("a", {"p": Role.ADMIN})
    gate.authorise(viewer, READ, "p")
    gate.authorise(viewer, READ_ANY)
    gate.authorise(OWNER, ADMINISTER)
    gate.authorise(NOBODY, PUBLIC)
    for identity, access, project, error in [
        (viewer, WRITE, "p", PermissionDenied),
        (viewer, WRITE_ANY, "", PermissionDenied),
        (viewer, READ, "q", NotFound),
        (admin, WRITE, "q", NotFound),
        (admin, READ, "", NotFound),
        (admin, ADMINISTER, "", PermissionDenied),
        (NOBODY, READ, "p", Unauthenticated),
        (NOBODY, READ_ANY, "", Unauthenticated),
        (Identity("none", {}), READ_ANY, "", PermissionDenied),
    ]:
        with pytest.raises(error):
            gate.authorise(identity, access, project)


def test_what_a_handler_asks_for_itself():
    viewer = Identity("v", {"p": Role.VIEWER, "n": Role.NONE})
    assert visible(viewer, "p") and visible(OWNER, "any")
    assert not visible(viewer, "q") and not visible(viewer, "n") and not visible(NOBODY, "p")
    require(viewer, "p")
    with pytest.raises(PermissionDenied):
        require(viewer, "p", Role.EDITOR)
    with pytest.raises(NotFound):
        require(viewer, "q")


def test_an_unknown_role_in_the_records_is_none(make_gate, records):
    _, token = create_token(records, "ann", {"p": "viewer"})
    credential = records.credentials()[0]
    records.delete_credential(credential.id)
    records.add_credential(msgspec.structs.replace(credential, roles={"p": "superuser"}))
    assert make_gate(authentication="required").admit(arrival(token)).projects == frozenset()


def test_each_identity_has_a_rate_of_its_own(make_gate, records):
    gate = make_gate(authentication="required", requests_per_second=1.0, burst=3)
    _, ann = create_token(records, "ann", {"p": "viewer"})
    _, bob = create_token(records, "bob", {"p": "viewer"})
    for _ in range(3):
        gate.admit(arrival(ann))
    with pytest.raises(TooManyRequests) as refused:
        gate.admit(arrival(ann, peer="10.9.9.9"))
    assert 0 < refused.value.retry_after_seconds <= 1
    gate.admit(arrival(bob))
    for _ in range(3):
        gate.admit(arrival(peer="10.0.0.1"))
    with pytest.raises(TooManyRequests):
        gate.admit(arrival(peer="10.0.0.1"))
    gate.admit(arrival(peer="10.0.0.2"))


def test_loopback_without_logins_has_no_limit_unless_one_is_set(make_gate):
    gate = make_gate()
    for _ in range(5000):
        gate.admit(arrival())
    limited = make_gate(requests_per_second=1.0, burst=2)
    limited.admit(arrival())
    limited.admit(arrival())
    with pytest.raises(TooManyRequests):
        limited.admit(arrival())


def test_failed_logins_are_limited_by_peer_and_logged_without_the_token(make_gate, records, caplog):
    gate = make_gate(authentication="required")
    _, token = create_token(records, "ann", {"p": "viewer"})
    gate.admit(arrival(token))
    wrong = "cairn_canarycanary"
    with caplog.at_level(logging.DEBUG):
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                gate.admit(arrival(wrong))
        with pytest.raises(TooManyRequests):
            gate.admit(arrival(wrong))
    assert "10.1.1.1" in caplog.text and "canary" not in caplog.text
    gate.admit(arrival(token))  # who has logged in is not kept out by a neighbour
    with pytest.raises(Unauthenticated):
        gate.admit(arrival(wrong, peer="10.2.2.2"))


def test_behind_a_proxy_the_peer_is_whom_the_proxy_names_last(make_gate, records):
    create_token(records, "ann", {"p": "viewer"})
    gate = make_gate("0.0.0.0", behind_proxy=True)
    for number in range(20):
        with pytest.raises(Unauthenticated):
            gate.admit(arrival("x", x_forwarded_for=f"{number}.0.0.1, 6.6.6.6"))
    with pytest.raises(TooManyRequests):
        gate.admit(arrival("x", x_forwarded_for="9.9.9.9, 6.6.6.6"))
    with pytest.raises(Unauthenticated):
        gate.admit(arrival("x", x_forwarded_for="6.6.6.6, 7.7.7.7"))


def test_the_policy_that_is_given_counts(make_gate):
    settings = Settings(server=ServerSettings(allowed_hosts=("cairn.example.com",)))
    assert make_gate(policy=policy_of(settings, "127.0.0.1")).admit(arrival(host="cairn.example.com")) is OWNER
