import os
import time

import pytest

from cairn.errors import InputRefused, NotFound, WrongState
from cairn.sweeps.types import Definition, Sweep, SweepState
from cairn.wiring import open_cairn


@pytest.fixture
def service(tmp_path):
    with open_cairn(str(tmp_path / "home")) as cairn:
        yield cairn.sweeps


def made(service, id_="aaaa1111", name="trial", **fields):
    sweep = Sweep(id=id_, name=name, directory="/conf", config_name="config", overrides=("x=1,2",), **fields)
    return service.create(sweep, Definition("{}"))


def test_a_sweep_is_kept_as_it_was_made(service):
    sweep = made(service, keys=("x",), seed=7, planned=2)
    assert service.get("aaaa1111") == sweep
    assert (sweep.state, sweep.keys, sweep.seed, sweep.create_time > 0) == (SweepState.RUNNING, ("x",), 7, True)
    assert service.definition(sweep).text == "{}"
    changed = service.change(sweep, state=SweepState.FAILED, counts={"FAILED": 1})
    assert service.get(sweep.id) == changed
    assert (changed.state, changed.counts, changed.keys) == (SweepState.FAILED, {"FAILED": 1}, ("x",))


def test_it_is_found_by_id_beginning_name_or_as_the_latest(service):
    first, second = made(service), made(service, "aaaa2222", "other")
    assert service.find("aaaa1111") == service.find("aaaa1") == service.find("trial") == first
    assert service.find("latest") == second
    with pytest.raises(InputRefused, match="several"):
        service.find("aaaa")
    with pytest.raises(NotFound, match="no sweep 'bbbb'"):
        service.find("bbbb")


def test_one_process_drives_it(service):
    sweep = made(service)
    assert not service.is_driven(sweep)
    with service.held(sweep.id):
        assert service.is_driven(sweep)
        with pytest.raises(WrongState, match="another process"):
            service.delete(sweep)
    assert not service.is_driven(sweep)
    service.delete(sweep)
    assert service.page() == []
    assert not service.directory(sweep.id).exists()


def test_what_a_kill_left_before_it_was_recorded_goes_away_a_day_later(service):
    kept = made(service)
    for id_ in (kept.id, "left", "new"):
        with service.held(id_):
            pass
    yesterday = time.time() - 90_000
    for id_ in (kept.id, "left"):
        os.utime(service.directory(id_), (yesterday, yesterday))
    service.tidy()
    assert sorted(one.name for one in service.directory("x").parent.iterdir()) == [kept.id, "new"]
