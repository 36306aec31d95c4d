"""The rules of admission, without a database."""

from hypothesis import given
from hypothesis import strategies as st

from cairn.domain.resources import Capacity
from cairn.records.ledger import NOTHING, PATIENCE, Amount, Demand, Ledger

MACHINE = Capacity(cpu_millis=4000, memory_bytes=100, accelerators=1)
CPU: Amount = (1000, 0, 0)


def a_ledger(
    held: dict[int, Amount] | None = None,
    demands: list[Demand] | None = None,
    *,
    now: int = 0,
    dead: set[int] = frozenset(),
) -> Ledger:
    waiting = {one.run: one for one in demands or []}
    return Ledger(MACHINE, dict(held or {}), waiting, now, lambda run: run not in dead)


_amounts = st.tuples(st.integers(0, 5000), st.integers(0, 120), st.integers(0, 2))


@given(st.lists(st.tuples(st.integers(1, 4), _amounts), max_size=30), st.dictionaries(st.integers(1, 4), _amounts))
def test_never_more_than_the_machine_unless_it_was_idle(asked: list[tuple[int, Amount]], waiting: dict) -> None:
    ledger = a_ledger(demands=[Demand(run, 0, amount) for run, amount in waiting.items()])
    admitted = [amount for run, amount in asked if amount != NOTHING and ledger.admit(run, amount)]
    if len(admitted) > 1:
        free = (MACHINE.cpu_millis, MACHINE.memory_bytes, MACHINE.accelerators)
        later = admitted[1:]
        for dimension in range(3):
            taken = sum(amount[dimension] for amount in later)
            assert taken == 0 or taken + admitted[0][dimension] <= free[dimension]


@given(st.lists(st.tuples(st.integers(1, 4), _amounts), min_size=1), st.dictionaries(st.integers(1, 4), _amounts))
def test_an_idle_machine_always_starts_something(asked: list[tuple[int, Amount]], waiting: dict) -> None:
    ledger = a_ledger(demands=[Demand(run, 0, amount) for run, amount in waiting.items()])
    assert any(ledger.admit(run, amount) for run, amount in asked)


def test_every_resource_counts() -> None:
    assert not a_ledger({1: (1000, 60, 0)}).admit(2, (0, 50, 0))
    assert not a_ledger({1: (1000, 0, 1)}).admit(2, (0, 0, 1))
    assert a_ledger({1: (1000, 60, 0)}).admit(2, (3000, 40, 1))


def test_what_is_overdrawn_in_one_resource_leaves_the_others() -> None:
    assert a_ledger({1: (9000, 10, 0)}).admit(2, (0, 50, 0))
    assert not a_ledger({1: (9000, 10, 0)}).admit(2, (1, 50, 0))


def test_the_run_that_holds_less_goes_first() -> None:
    held = {1: (3000, 0, 0)}
    assert not a_ledger(held, [Demand(2, 0, CPU)]).admit(1, CPU)
    assert a_ledger(held, [Demand(2, 0, CPU)], dead={2}).admit(1, CPU)
    assert a_ledger(held, [Demand(1, 0, CPU)]).admit(2, CPU)


def test_among_equals_the_one_that_waits_longer_goes_first() -> None:
    held = {1: (1000, 0, 0), 2: (1000, 0, 0), 3: (1000, 0, 0)}
    waiting = [Demand(1, 20, CPU), Demand(2, 10, CPU)]
    assert not a_ledger(held, waiting).admit(1, CPU)
    assert not a_ledger(held, waiting).admit(3, CPU)
    assert a_ledger(held, waiting).admit(2, CPU)


def test_nobody_waits_for_a_demand_that_has_room_beside() -> None:
    assert a_ledger({1: (2000, 0, 0)}, [Demand(2, 0, CPU)]).admit(1, CPU)


def test_nobody_waits_for_a_demand_that_wants_something_else() -> None:
    assert a_ledger({1: (1000, 0, 1)}, [Demand(2, 0, (0, 0, 1))], now=2 * PATIENCE).admit(1, CPU)


def test_a_large_demand_is_passed_over_for_a_while_and_then_held_open_for() -> None:
    held, large = {1: (3000, 0, 0)}, [Demand(2, 0, (4000, 0, 0))]
    assert a_ledger(held, large, now=PATIENCE).admit(1, CPU)
    assert not a_ledger(held, large, now=PATIENCE + 1).admit(1, CPU)
    assert a_ledger(held, [Demand(2, 0, (5000, 0, 0))], now=PATIENCE + 1).admit(1, CPU)  # it never fits
