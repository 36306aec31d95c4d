"""`cairn tokens`: what is printed, and what is kept."""

import json
import stat

import pytest


@pytest.fixture
def tokens(cli, tmp_path):
    """The command on a home of this test's own."""
    own = cli.at(tmp_path / "home")
    return lambda *arguments, **more: own("tokens", *arguments, **more)


def test_a_token_is_printed_once_and_kept_nowhere(tokens, tmp_path):
    made = tokens("create", "ann", "--role", "viewer", "--project", "p", "--project", "q", "--expires", "30d")
    assert made.status == 0
    token = made.out.strip()
    assert token.startswith("cairn_") and len(token) == 55
    assert "viewer of p, viewer of q" in made.err and token not in made.err
    listed = tokens("list", "--json").json
    assert [(one["name"], one["roles"]) for one in listed] == [("ann", {"p": "viewer", "q": "viewer"})]
    assert listed[0]["expire_time"] - listed[0]["create_time"] == 30 * 86400 * 1_000_000
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


def test_json(tokens):
    made = tokens("create", "ann", "--all-projects", "--role", "admin", "--json").json
    assert made["roles"] == {"*": "admin"} and made["token"].startswith("cairn_")
    revoked = tokens("revoke", made["id"], "--json").json
    assert revoked["id"] == made["id"]
    assert tokens("list", "--json").json == []


def test_without_a_project_it_is_for_the_default_one(tokens):
    assert tokens("create", "ann", "--json").json["roles"] == {"default": "editor"}


def test_a_service_accounts_file_is_for_its_owner_alone(tokens, tmp_path):
    file = tmp_path / "key.json"
    made = tokens(
        "create", "ci", "--project", "p", "--service-account", file, "--url", "https://cairn.example.com/", "--json"
    )
    assert made.json["file"] == str(file) and "token" not in made.json
    account = json.loads(file.read_text())
    assert account["token_uri"] == "https://cairn.example.com/accounts/token"
    assert account["client_email"] == "ci@p.iam.gserviceaccount.com"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = tokens("create", "ci", "--service-account", file)
    assert again.status == 2 and "there already" in again.err
    assert json.loads(file.read_text()) == account
    nowhere = tokens("create", "other", "--service-account", tmp_path / "missing" / "key.json")
    assert nowhere.status == 2
    assert [one["name"] for one in tokens("list", "--json").json] == ["ci@p.iam.gserviceaccount.com"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "owner"], "cannot be a name"),
        (["create", "a b"], "cannot be a name"),
        (["create", "ann", "--role", "root"], "root"),
        (["create", "ann", "--project", "p", "--all-projects"], "--all-projects"),
        (["create", "ann", "--expires", "soon"], "duration"),
        (["create", "ann", "--expires", "0s"], "before it began"),
        (["revoke", "nobody"], "no credential"),
    ],
)
def test_what_is_refused(tokens, arguments, words):
    refused = tokens(*arguments)
    assert refused.status == 2 and words in refused.err, refused.err
    assert refused.out == ""


def test_two_of_one_name_are_told_apart(tokens):
    ids = [tokens("create", "ann", "--json").json["id"] for _ in range(2)]
    refused = tokens("revoke", "ann")
    assert refused.status == 2 and all(id_ in refused.err for id_ in ids)
    assert tokens("revoke", ids[0]).status == 0
    assert tokens("revoke", "ann").status == 0
