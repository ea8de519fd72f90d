"""What an operator reads of a fund that may not do all it wants: every cause has words, and names what to type next."""

import pytest

from keeper.domain.fund import FundState, Standing
from keeper.policy.breakers import PASSING, Cause
from keeper.service.standings import MEANINGS, RECONCILED, halts_again, meaning, next_steps


def standing(state: FundState, cause: str = "") -> Standing:
    return Standing(fund="btc3l", state=state, cause=cause)


def test_every_cause_has_its_own_words() -> None:
    assert set(MEANINGS) == set(Cause)
    assert len(set(MEANINGS.values())) == len(MEANINGS)


@pytest.mark.parametrize("cause", Cause)
def test_a_meaning_tells_what_is_sent_why_and_whether_it_passes(cause: Cause) -> None:
    bound, halted = meaning(standing(FundState.REDUCE_ONLY, cause)), meaning(standing(FundState.HALTED, cause))
    assert bound.startswith("only what reduces risk is sent; ")
    assert halted == f"nothing is sent; {MEANINGS[cause]}"
    assert ("lifts by itself" in bound) is (cause in PASSING)


@pytest.mark.parametrize("cause", ["", "of a later version"])
def test_without_a_known_cause_it_was_a_human(cause: str) -> None:
    assert meaning(standing(FundState.HALTED, cause)) == "nothing is sent; a human said so"


def test_nothing_is_to_be_typed_for_a_fund_that_may_trade() -> None:
    assert next_steps(standing(FundState.ACTIVE), [], is_held=False) == []


def test_the_venue_is_asked_before_a_human_is_and_a_comparison_comes_before_resuming() -> None:
    steps = next_steps(standing(FundState.HALTED, Cause.FILLS), ["kpr1", "kpr2"], is_held=False)
    assert [step.split("`")[1].split()[1] for step in steps] == ["rebalance", "resolve", "reconcile", "resume"]
    assert "`keeper resolve btc3l kpr1`" in steps[1]
    beside = next_steps(standing(FundState.ACTIVE), ["kpr1"], is_held=True)
    assert [step.split("`")[1] for step in beside] == ["keeper resolve btc3l kpr1"]


def test_a_run_that_was_left_behind_is_settled_by_the_next_one() -> None:
    [step] = next_steps(standing(FundState.ACTIVE), [], is_held=False, is_cut=True)
    assert step.startswith("`keeper rebalance btc3l`, or `keeper run`, ")
    assert next_steps(standing(FundState.ACTIVE), [], is_held=True, is_cut=True) == []


@pytest.mark.parametrize("cause", ["", *Cause])
def test_a_fund_is_halted_again_for_what_is_still_there_and_nobody_accepted(cause: str) -> None:
    halted = standing(FundState.HALTED, cause)
    again = halts_again(halted, is_accepted=False)
    assert bool(again) is (cause in (Cause.JOURNAL, Cause.POSITION, Cause.IDENTITY))
    assert ("`keeper reconcile btc3l`" in again) is bool(again)
    assert halts_again(halted, is_accepted=True) == ""
    assert halts_again(standing(FundState.REDUCE_ONLY, cause), is_accepted=False) == ""


@pytest.mark.parametrize("cause", Cause)
def test_a_comparison_is_named_where_it_tells_more(cause: Cause) -> None:
    steps = next_steps(standing(FundState.HALTED, cause), [], is_held=False)
    assert any("keeper reconcile" in step for step in steps) is (cause in RECONCILED)
    assert steps[-1] == f"{'only then ' if cause in RECONCILED else ''}`keeper resume btc3l`"


def test_what_differs_is_accepted_before_a_fund_is_resumed() -> None:
    for cause in (Cause.JOURNAL, Cause.POSITION, Cause.FILLS, Cause.IDENTITY):
        [compare, resume] = next_steps(standing(FundState.HALTED, cause), [], is_held=False)
        assert compare.startswith("`keeper reconcile btc3l`, then `keeper reconcile btc3l --accept` once ")
        assert resume == "only then `keeper resume btc3l`"
