"""Many funds on one address, in virtual time: a venue that enforces what it documents never has to say no."""

from datetime import timedelta

import pytest

from keeper.venues.budgets import Priority
from tests.fakes.limiter_traffic import Traffic, carried, percentile

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("strangers", [0, 600])
def test_an_hour_of_two_hundred_funds_and_a_shared_slot_never_gets_a_429(strangers: int) -> None:
    outcome = carried(Traffic(lasts=HOUR, strangers=strangers))
    assert set(outcome.answers) == {200}
    assert len(outcome.rebalances) == 200
    assert not outcome.refused
    cancels, lookups = outcome.waited[Priority.CANCEL], outcome.waited[Priority.LOOKUP]
    assert len(cancels) > 20
    assert max(cancels) < 2
    assert max(lookups) < 60
    # 12000 weight a minute are asked for and 2400 granted: the checks are stretched, and nobody's much more than another's
    assert outcome.asked < outcome.shared / 4
    assert percentile(outcome.checks, 0.5) < 60
    assert max(outcome.checks) < 240


def test_few_funds_wait_for_nothing() -> None:
    outcome = carried(Traffic(funds=5, markets=2, lasts=HOUR))
    assert set(outcome.answers) == {200}
    assert max(wait for waited in outcome.waited.values() for wait in waited) == 0
    assert max(outcome.checks) < 6
