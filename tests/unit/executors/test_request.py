import pytest

from cairn.domain.resources import Resources
from cairn.engine.ports import Environment, ProcessSpec, StartAttempt
from cairn.executors.process.request import encode_start, needs_fresh_process, preloads
from cairn.launcher.wire import Decoder

KFP = Environment(key="kfp", python="/env/bin/python", variables={"PATH": "/env/bin"})


def _call(**fields):
    return ProcessSpec(argv=(), environment=KFP, call_source="def step(): ...", **fields)


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LANG", "LC_ALL", "TZ"]
)
def test_start_up_variables_need_a_fresh_process(name):
    assert needs_fresh_process(_call(variables={name: "x"}))
    assert needs_fresh_process(_call(secret_variables={name: "x"}))


def test_other_variables_do_not():
    assert not needs_fresh_process(_call(variables={"MY_PYTHON": "x", "OMP_NUM_THREADS": "1"}))


def test_a_command_is_always_fresh():
    assert needs_fresh_process(ProcessSpec(argv=("true",), environment=KFP))


def test_the_host_preloads_nothing():
    assert preloads(KFP)
    assert not preloads(Environment(key="host", python="/usr/bin/python3"))
    assert not preloads(Environment(key="x"))


def test_a_replica_in_another_environment_brings_its_own_variables():
    other = Environment(key="other", python="/other/bin/python", variables={"PATH": "/other/bin", "WHO": "other"})
    processes = (_call(), ProcessSpec(argv=("true",), environment=other, variables={"WHO": "me"}))
    request = StartAttempt(uid="u", directory="/d", processes=processes, resources=Resources(), files=(("/f", b"abc"),))
    decoder = Decoder()
    decoder.feed(encode_start(request, grace_seconds=3.0))
    head, body = decoder.next()
    assert (head["files"], body, head["grace"]) == ([["/f", 3]], b"abc", 3.0)
    assert [process["variables"] for process in head["processes"]] == [{}, {"PATH": "/other/bin", "WHO": "me"}]
    assert [process["fresh"] for process in head["processes"]] == [False, True]
