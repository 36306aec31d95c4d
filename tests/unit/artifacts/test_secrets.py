import pytest

from cairn.artifacts.secrets import LocalSecrets
from cairn.config.home import Home
from cairn.config.settings import DirectoriesSettings
from cairn.errors import InputRefused


@pytest.fixture
def home(tmp_path):
    home = Home.open(tmp_path / "home")
    secret = home.secrets / "db"
    secret.mkdir(parents=True)
    (secret / "password").write_bytes(b"hush\n\x00")
    (secret / "..data").mkdir()
    (secret / ".dot").write_bytes(b"1")
    (secret / "not a key").write_bytes(b"2")
    config_map = home.config_maps / "app.settings"
    config_map.mkdir(parents=True)
    (config_map / "level").write_bytes(b"debug")
    return home


def test_a_secret_is_its_files_byte_for_byte(home):
    secrets = LocalSecrets(home)
    assert secrets.secret("db") == {"password": b"hush\n\x00", ".dot": b"1"}
    assert secrets.secret_directory("db") == str(home.secrets / "db")
    assert secrets.config_map("app.settings") == {"level": b"debug"}
    assert secrets.config_map_directory("app.settings") == str(home.config_maps / "app.settings")


def test_what_is_not_there_is_none(home):
    secrets = LocalSecrets(home)
    assert secrets.secret("none") is secrets.secret_directory("none") is None
    assert secrets.config_map("none") is secrets.config_map_directory("none") is None


def test_a_volume_is_made_when_it_is_asked_for(home):
    path = LocalSecrets(home).volume_directory("my-claim")
    assert path == str(home.volumes / "my-claim")
    assert (home.volumes / "my-claim").is_dir()


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/etc", "a\0", "A", "a..b", "-a", "a" * 254, "a\n"])
def test_names_that_are_none_are_refused(home, name):
    secrets = LocalSecrets(home)
    for method in (secrets.secret, secrets.config_map_directory, secrets.volume_directory):
        with pytest.raises(InputRefused):
            method(name)


def test_another_directory_can_be_configured(home, tmp_path):
    (tmp_path / "elsewhere" / "token").mkdir(parents=True)
    (tmp_path / "elsewhere" / "token" / "key").write_bytes(b"x")
    secrets = LocalSecrets(home, DirectoriesSettings(secrets=str(tmp_path / "elsewhere")))
    assert secrets.secret("token") == {"key": b"x"}
    assert secrets.secret("db") is None


def test_a_secret_that_others_can_read_is_warned_about_once(home, tmp_path):
    warnings = []
    secrets = LocalSecrets(home, warn=warnings.append)
    home.root.chmod(0o755)
    home.secrets.chmod(0o755)
    (home.secrets / "db").chmod(0o755)
    for path in (home.secrets / "db").iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    secrets.secret("db")
    assert warnings == []
    (home.secrets / "db" / "password").chmod(0o644)
    secrets = LocalSecrets(home, warn=warnings.append)
    secrets.secret("db")
    secrets.secret_directory("db")
    assert len(warnings) == 1
    assert "password" in warnings[0]


def test_a_closed_home_protects_what_is_in_it(home):
    warnings = []
    (home.secrets / "db" / "password").chmod(0o644)
    LocalSecrets(home, warn=warnings.append).secret("db")
    assert warnings == []
