"""A log directory fills an experiment, again and again, without doubles."""

from __future__ import annotations

import shutil

import msgspec
import pytest
from event_logs import FILES, NAME, scalar_event, values

from cairn.errors import InputRefused, NotFound
from cairn.tensorboards import filling
from cairn.tensorboards.event_files import framed
from cairn.tensorboards.exporting import export
from cairn.tensorboards.filling import Experiment, LogFiller, Position, run_id
from cairn.tensorboards.types import Entry, Level, Where
from cairn.wiring import open_cairn

WHERE = Where("demo", "here")


@pytest.fixture
def cairn(tmp_path):
    with open_cairn(str(tmp_path / "home")) as opened:
        yield opened


def held(service, experiment="exp"):
    """run → tag → steps with values."""
    board = service.default(WHERE).id
    found = {}
    for run in service.page(Level.RUN, (board, experiment), WHERE)[0]:
        series = service.page(Level.SERIES, run.path, WHERE)[0]
        found[run.display_name] = {
            one.display_name: [(p.step, p.value) for p in service.read(one.path, WHERE, most=-1)[1]] for one in series
        }
    return found


def test_all_that_the_real_writers_write_is_there_once(cairn, monkeypatch):
    monkeypatch.setattr(filling, "PASS_VALUES", 7)  # many passes
    service = cairn.tensorboards
    filler = LogFiller(service, str(FILES), Experiment(WHERE, "", "exp", prefix="train"))
    assert filler.fill_all() == 18 + 8 + 5
    again = LogFiller(service, str(FILES), Experiment(WHERE, "", "exp", prefix="train"))  # as after a lost position
    assert again.fill_all() == 18 + 8 + 5
    found = held(service)
    assert set(found) == {"train/x", "train/torch", "train/tb2"}
    assert found["train/torch"]["new"] == [(0, 0.0), (1, 2.0), (2, 4.0), (3, 6.0)]
    [(step, ids)] = found["train/tb2"]["__run_graph__"]
    assert step == 0
    path = next(one.path for one in _series(service) if one.display_name == "__run_graph__")
    assert dict(service.blobs(path, WHERE, ids)) == {ids[0]: b"graph!"}
    [(step, tensor)] = found["train/tb2"]["hist"]
    assert (step, tensor) == next((v.step, v.tensor) for v in values("tb2") if v.tag == "hist")


def _series(service):
    board = service.default(WHERE).id
    runs = service.page(Level.RUN, (board, "exp"), WHERE)[0]
    return [one for run in runs for one in service.page(Level.SERIES, run.path, WHERE)[0]]


def test_it_goes_on_where_it_was_by_what_was_kept(cairn, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / NAME).write_bytes(framed(scalar_event("loss", 0, 1.0)))
    experiment = Experiment(WHERE, "", "exp")
    first = LogFiller(cairn.tensorboards, str(logs), experiment)
    assert first.fill().values == 1
    kept = msgspec.convert(msgspec.json.decode(msgspec.json.encode(first.position)), Position)
    with (logs / NAME).open("ab") as file:
        file.write(framed(scalar_event("loss", 1, 2.0)) + framed(scalar_event("loss", 1, 3.0)))
    second = LogFiller(cairn.tensorboards, str(logs), experiment, kept)
    assert second.fill().values == 2
    assert held(cairn.tensorboards) == {"default": {"loss": [(0, 1.0), (1, 3.0)]}}


def test_a_pass_that_could_not_be_written_is_read_again(cairn, tmp_path, monkeypatch):
    shutil.copytree(FILES / "torch", tmp_path / "logs")
    filler = LogFiller(cairn.tensorboards, str(tmp_path / "logs"), Experiment(WHERE, "", "exp"))

    def full(*_):
        raise InputRefused("no space")

    with monkeypatch.context() as broken:
        broken.setattr(cairn.tensorboards, "write", full)
        with pytest.raises(InputRefused):
            filler.fill()
    assert filler.fill().values == 8
    assert len(held(cairn.tensorboards)["default"]["loss"]) == 4


def test_a_tag_whose_kind_changes_is_left_out_and_the_rest_is_not(cairn, tmp_path):
    service = cairn.tensorboards
    filler = LogFiller(service, str(FILES), Experiment(WHERE, "", "exp"))
    filler.fill_all()
    logs = tmp_path / "logs" / "tb2"
    logs.mkdir(parents=True)
    (logs / NAME).write_bytes(framed(scalar_event("hist", 9, 1.0)) + framed(scalar_event("acc", 9, 2.0)))
    LogFiller(service, str(tmp_path / "logs"), Experiment(WHERE, "", "exp")).fill_all()
    assert held(service)["tb2"]["acc"][-1] == (9, 2.0)
    assert [step for step, _ in held(service)["tb2"]["hist"]] == [1]


def test_a_tensor_that_is_too_large_is_left_out(cairn, monkeypatch):
    monkeypatch.setattr(filling, "MAX_TENSOR", 100)
    LogFiller(cairn.tensorboards, str(FILES), Experiment(WHERE, "", "exp")).fill_all()
    assert "h" not in held(cairn.tensorboards)["x"] and "loss" in held(cairn.tensorboards)["x"]


def test_an_experiment_exported_is_read_as_it_was(cairn, tmp_path):
    service = cairn.tensorboards
    LogFiller(service, str(FILES), Experiment(WHERE, "", "exp")).fill_all()
    before = held(service)
    names = export(service, (service.default(WHERE).id, "exp"), WHERE, tmp_path / "out")
    assert sorted(names) == ["tb2", "torch", "x"]
    LogFiller(service, str(tmp_path / "out"), Experiment(WHERE, "", "again")).fill_all()
    assert held(service, "again") == before


def test_names_of_runs_stay_apart_as_ids():
    assert run_id("train") == "train" and run_id("default") == "default"
    assert len({run_id(name) for name in ("a/b", "a-b", "a b", "a.b", "ä", "x" * 200, "x" * 201)}) == 7
    assert all(len(run_id(name)) <= 128 for name in ("ä" * 300, "/" * 10, "x" * 200))


def test_the_default_is_one_whoever_asks_first(cairn):
    service = cairn.tensorboards
    first = service.default(WHERE)
    assert service.default(WHERE).id == first.id
    other = service.create(Entry(Level.TENSORBOARD, ("",), "demo", "here", "mine", default=True))
    assert service.default(WHERE).id == other.id
    assert not service.get(Level.TENSORBOARD, first.path, WHERE).default
    assert service.default(Where("demo", "elsewhere")).id not in (first.id, other.id)


def test_a_run_whose_experiment_is_deleted_meanwhile_is_told(cairn, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / NAME).write_bytes(framed(scalar_event("loss", 0, 1.0)))
    filler = LogFiller(cairn.tensorboards, str(logs), Experiment(WHERE, "", "exp"))
    filler.fill()
    board = cairn.tensorboards.default(WHERE).id
    cairn.tensorboards.delete(Level.EXPERIMENT, (board, "exp"), WHERE)
    with (logs / NAME).open("ab") as file:
        file.write(framed(scalar_event("loss", 1, 1.0)))
    with pytest.raises(NotFound):
        filler.fill()
