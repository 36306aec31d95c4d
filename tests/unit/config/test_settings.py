import pytest

from cairn.config.home import Home
from cairn.config.settings import Settings, load_settings, mistaken_variables
from cairn.errors import ConfigurationError


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path)


def load(home, text="", **variables):
    home.configuration.write_text(text)
    return load_settings(home, variables)


def test_without_a_file_everything_has_a_default(home):
    assert load_settings(home, {}) == Settings()


def test_every_section_is_read(home):
    settings = load(
        home,
        """
        [machine]
        cpu = 2
        memory = "4Gi"
        [environments]
        find_links = ["/wheels"]
        offline = true
        [images]
        "gcr.io/*" = "host"
        "*" = "project:/x"
        [buckets]
        "gs://b" = "local"
        [run]
        failure_policy = "fast"
        """,
    )
    assert (settings.machine.cpu, settings.machine.memory) == (2.0, "4Gi")
    assert settings.environments.find_links == ("/wheels",)
    assert list(settings.images.items()) == [("gcr.io/*", "host"), ("*", "project:/x")]
    assert settings.run.failure_policy == "fast"


def test_variables_go_over_the_file(home):
    settings = load(
        home,
        '[environments]\nkfp = "2.16.0"\noffline = true\n',
        CAIRN_ENVIRONMENTS_OFFLINE="false",
        CAIRN_ENVIRONMENTS_EXTRA_INDEX_URLS="https://a https://b",
        CAIRN_MACHINE_CPU="1.5",
        CAIRN_RUN_CACHE_TTL="60",
        CAIRN_HOME="/x",
        PATH="/bin",
    )
    assert (settings.environments.offline, settings.environments.kfp) == (False, "2.16.0")
    assert settings.environments.extra_index_urls == ("https://a", "https://b")
    assert (settings.machine.cpu, settings.run.cache_ttl) == (1.5, 60)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[environment]\n", "environments"),
        ("[environments]\nindexurl = 'x'\n", "index_url"),
        ("[run]\nfailure_policy = 'quick'\n", "failure_policy"),
        ("[environments]\noffline = 'yes'\n", "offline"),
        ("[machine]\ncpu = 'two'\n", "cpu"),
        ("machine = 1\n", "machine"),
        ("[machine\n", "is not TOML"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_and_the_nearest_name(home, text, said):
    with pytest.raises(ConfigurationError) as raised:
        load(home, text)
    assert said in str(raised.value)
    assert "config.toml" in str(raised.value)


@pytest.mark.parametrize(
    "variable",
    [{"CAIRN_ENVIRONMENTS_OFLINE": "1"}, {"CAIRN_ENVIRONMENTS_OFFLINE": "maybe"}, {"CAIRN_MACHINE_CPU": "x"}],
)
def test_a_variable_that_does_not_fit_is_refused_by_its_name(home, variable):
    with pytest.raises(ConfigurationError, match=next(iter(variable))):
        load(home, **variable)


def test_variables_that_a_step_is_given_are_no_settings(home):
    assert load(home, CAIRN_RUN="1", CAIRN_TASK="train", CAIRN_ATTEMPT="1") == Settings()


def test_a_variable_near_a_known_one_is_mentioned():
    given = ["CAIRN_ENVIRONMENT_OFLINE", "CAIRN_RUNS_CACHE", "CAIRN_RECORD_ADDRESS"]
    said = mistaken_variables(dict.fromkeys(given, "1"))
    assert [line.partition(" ")[0] for line in said] == given
    for line, near in zip(said, ("CAIRN_ENVIRONMENTS_OFFLINE", "CAIRN_RUN_CACHE", "CAIRN_RECORDS_…"), strict=True):
        assert near in line
    others = ("CAIRN_HOME", "CAIRN_BACKGROUND_IDLE", "CAIRN_RUN", "CAIRN_RUN_CACHE", "CAIRN_HILL_HEIGHT", "RUNS_CACHE")
    assert mistaken_variables(dict.fromkeys(others, "1")) == []


def test_every_setting_of_the_server_can_be_a_variable(home):
    settings = load(home, CAIRN_SERVER_DRAIN_SECONDS="2.5", CAIRN_SERVER_PORT="9000", CAIRN_SERVER_BEHIND_PROXY="yes")
    assert (settings.server.drain_seconds, settings.server.port, settings.server.behind_proxy) == (2.5, 9000, True)
    with pytest.raises(ConfigurationError, match="drain_seconds"):
        load(home, CAIRN_SERVER_DRAIN_SECONDS="-1")
