import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from cairn.api.accounts.registry import create_token, find
from cairn.api.accounts.service_accounts import create_account, default_account, write_account
from cairn.config.home import Home
from cairn.errors import InputRefused, NotFound

URL = "http://127.0.0.1:8080"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_file_has_googles_form_and_the_record_no_private_key(records, tmp_path):
    credential, account = create_account(records, "ci", URL, {"p": "editor"}, project="p")
    assert account["client_email"] == credential.identity == "ci@p.iam.gserviceaccount.com"
    assert account["private_key_id"] == credential.id and len(credential.id) == 40
    assert account["token_uri"] == f"{URL}/accounts/token"
    assert "PRIVATE" not in records.credential(credential.id).verifier
    path = tmp_path / "key.json"
    write_account(path, account)
    assert json.loads(path.read_text()) == account
    assert mode(path) == 0o600
    with pytest.raises(InputRefused, match="there already"):
        write_account(path, account)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputRefused):
        write_account(path, account)
    assert not (tmp_path / "elsewhere").exists()


def test_the_homes_account_is_made_once_and_follows_the_port(records, tmp_path):
    home = Home(tmp_path)
    path = default_account(home, records, URL)
    first = json.loads(path.read_text())
    assert mode(path) == 0o600 and mode(path.parent) == 0o700
    inode = path.stat().st_ino
    assert default_account(home, records, URL) == path
    assert path.stat().st_ino == inode  # not even written again
    default_account(home, records, "http://127.0.0.1:9999", "p")
    moved = json.loads(path.read_text())
    assert moved["token_uri"] == "http://127.0.0.1:9999/accounts/token" and moved["project_id"] == "p"
    assert moved["auth_uri"].startswith("http://127.0.0.1:9999/")
    assert mode(path) == 0o600
    same = ("private_key", "private_key_id", "client_email")
    assert [moved[key] for key in same] == [first[key] for key in same]
    assert [one.roles for one in records.credentials()] == [{"*": "admin"}]


def test_a_revoked_key_is_replaced(records, tmp_path):
    home = Home(tmp_path)
    first = json.loads(default_account(home, records, URL).read_text())
    records.delete_credential(first["private_key_id"])
    second = json.loads(default_account(home, records, URL).read_text())
    assert second["private_key_id"] != first["private_key_id"]
    assert records.credential(first["private_key_id"]) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"private_key_id": 7}'])
def test_a_damaged_file_is_made_anew(records, tmp_path, content):
    home = Home(tmp_path)
    path = default_account(home, records, URL)
    path.write_text(content)
    assert json.loads(default_account(home, records, URL).read_text())["type"] == "service_account"


def test_several_at_once_make_one(records, tmp_path):
    home = Home(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: default_account(home, records, URL), range(8)))
    assert len(records.credentials()) == 1


def test_a_credential_is_found_by_id_and_by_a_name_of_its_own(records):
    one, _ = create_token(records, "ann", {"p": "viewer"})
    assert find(records, "ann") == find(records, one.id) == one
    other, _ = create_token(records, "ann", {"p": "viewer"})
    with pytest.raises(InputRefused, match="2 credentials"):
        find(records, "ann")
    assert find(records, other.id) == other
    with pytest.raises(NotFound):
        find(records, "bob")


@pytest.mark.parametrize("name", ["owner", "nobody", "step:x", "", "a b", "a\nb", "é", "x" * 129, "-a"])
def test_a_name_that_could_be_mistaken_is_refused(records, name):
    with pytest.raises(InputRefused):
        create_token(records, name, {"p": "viewer"})


def test_an_unknown_role_is_refused(records):
    with pytest.raises(InputRefused, match="no role"):
        create_token(records, "ann", {"p": "root"})
