import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InvariantViolation
from keeper.domain.order import CLIENT_ID_PREFIX, TERMINAL, TRANSITIONS, ChildState, Rejected, advance, client_id


@pytest.mark.parametrize(("current", "following"), list(itertools.product(ChildState, ChildState)))
def test_only_the_table_allows(current: ChildState, following: ChildState) -> None:
    if following in TRANSITIONS[current]:
        assert advance(current, following) is following
    else:
        with pytest.raises(InvariantViolation, match=f"from {current} to {following}"):
            advance(current, following)


def test_a_terminal_state_is_left_only_by_a_fill_that_crossed_a_cancel() -> None:
    leaving = {(state, following) for state in TERMINAL for following in TRANSITIONS[state]}
    assert leaving == {(ChildState.CANCELED, ChildState.FILLED), (ChildState.CANCELED, ChildState.CANCELED)}


def test_nothing_reaches_the_wire_without_an_intent() -> None:
    assert TRANSITIONS[ChildState.PLANNED] == {ChildState.INTENT}


def test_every_state_is_open_or_terminal_or_planned() -> None:
    for state in ChildState:
        assert state.open + state.terminal + (state is ChildState.PLANNED) == 1


ids = st.tuples(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.integers(0, 9), st.integers(1, 99))


@given(st.lists(ids, min_size=2, max_size=20, unique=True))
def test_client_ids_are_distinct_stable_and_in_every_venue_s_alphabet(keys: list[tuple[str, str, str, int, int]]) -> None:
    def make(key: tuple[str, str, str, int, int]) -> str:
        account, fund, run, leg, sequence = key
        return client_id(account=account, fund=fund, run=run, leg=leg, sequence=sequence)

    made = [make(key) for key in keys]
    assert made == [make(key) for key in keys]
    assert len(set(made)) == len(made)
    for one in made:
        assert len(one) == 32
        assert one.startswith(CLIENT_ID_PREFIX)
        assert set(one) <= set(string.ascii_lowercase + string.digits)


def test_a_rejection_keeps_the_venue_s_code_and_its_words() -> None:
    assert Rejected("-2019", "Margin is insufficient.").reason == "-2019: Margin is insufficient."
