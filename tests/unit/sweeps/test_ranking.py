import math

import pytest

from cairn.sweeps.ranking import parse_overrides, ranked
from cairn.sweeps.types import Job


def job(number, *metrics, state="SUCCEEDED"):
    return Job(number, {}, state, metrics=metrics)


def test_the_goal_says_which_end_is_first():
    jobs = [job(0, 0.5), job(1, 0.9), job(2, 0.1)]
    assert [one.number for one in ranked(jobs, ("maximize",))] == [1, 0, 2]
    assert [one.number for one in ranked(jobs, ("minimize",))] == [2, 0, 1]
    assert [(one.rank, one.best) for one in ranked(jobs, ("minimize",))] == [(1, True), (2, False), (3, False)]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_what_has_no_number_comes_last_and_is_not_the_best(goal):
    jobs = [job(0, None), job(1, math.nan), job(2, 7.0), job(3, None, state="FAILED"), job(4)]
    found = ranked(jobs, (goal,))
    assert [one.number for one in found] == [2, 1, 0, 3, 4]
    assert [one.best for one in found] == [True, False, False, False, False]
    assert [one.rank for one in found] == [1, 2, 0, 0, 0]


def test_equal_jobs_keep_their_order():
    assert [one.number for one in ranked([job(2, 1.0), job(0, 1.0), job(1, 1.0)], ("minimize",))] == [0, 1, 2]


def test_of_several_objectives_those_are_best_that_no_other_job_beats():
    jobs = [job(0, 1.0, 1.0), job(1, 2.0, 3.0), job(2, 0.5, 0.5), job(3, 2.0, 4.0)]
    found = ranked(jobs, ("maximize", "minimize"))
    assert [one.number for one in found] == [1, 3, 0, 2], "by the first, then by the second"
    assert {one.number for one in found if one.best} == {0, 1, 2}


def test_without_metrics_jobs_stand_in_their_order():
    assert [(one.number, one.rank) for one in ranked([job(1), job(0)], ())] == [(0, 0), (1, 0)]


def test_overrides_are_told_by_their_key():
    told = parse_overrides(["x=1", "+model.layers=[1,2]", "++seed=3", "a='b=c'", "~old", "db@main=mysql"])
    assert told == {
        "x": "1", "model.layers": "[1,2]", "seed": "3", "a": "'b=c'", "~old": "", "db@main": "mysql"
    }  # fmt: skip
