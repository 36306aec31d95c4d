"""Whatever stands in the `cairn` node: it is read, or refused with its place; never a traceback, never ignored."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.config.composing import Composed
from cairn.config.mapping import RUN_KEYS, SCHEDULE_KEYS, STEP_KEYS, SWEEP_KEYS, TARGET_KEYS, run_configuration
from cairn.domain.configuration import Configuration
from cairn.errors import ConfigurationError

NODES = {"": RUN_KEYS, "steps.x": STEP_KEYS, "schedule": SCHEDULE_KEYS, "sweep": SWEEP_KEYS, "target": TARGET_KEYS}
KEYS = sorted({key for table in NODES.values() for key in table} | {"type", "count", "max", "backoff", "name", "*", ""})
TEXTS = (
    "1",
    "2Gi",
    "-1",
    "1e400",
    "90s",
    "???",
    "2026-05-01",
    "0 3 * * *",
    "a=b",
    "\0",
    "\ud800",
    "nan",
    "Europe/Paris",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(TEXTS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


def read(node):
    return run_configuration(Composed(Configuration("/conf", "config"), {}, node, "/conf/config.yaml"))


def at(node, value):
    for key in reversed([key for key in node.split(".") if key]):
        value = {key: value}
    return value


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), node=st.sampled_from(sorted(NODES)))
def test_any_value_at_any_key_is_read_or_refused_with_its_place(data, node):
    key = data.draw(st.sampled_from(sorted(NODES[node])))
    value = data.draw(values)
    refused: ConfigurationError | None = None
    try:
        read(at(node, {key: value}))
    except ConfigurationError as error:
        refused = error
    assert refused is None or refused.place.startswith("/conf/config.yaml: cairn")


@pytest.mark.parametrize("node", sorted(NODES))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.text(min_size=1, max_size=12), value=values)
def test_a_key_that_there_is_not_is_refused(node, key, value):
    if key in NODES[node]:
        return
    given = {"cron": "0 3 * * *", key: value} if node == "schedule" else {key: value}
    with pytest.raises(ConfigurationError):
        read(at(node, given))
