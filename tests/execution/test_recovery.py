from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from keeper.domain.order import ChildState
from keeper.execution.recovery import CLOCK_SKEW, Found, Lookup, NeverPlaced, Resolution, StillUnknown, resolve, state_of
from tests.fakes.journal_values import a_child, a_report, later

LAG = timedelta(seconds=1)
CHILD = a_child()  # its deadline is five seconds after it was sent
OPEN_UNTIL = CHILD.request.deadline + LAG + CLOCK_SKEW


def nothing(*seconds: float) -> list[Lookup]:
    """Lookups that found nothing, so many seconds after the time from which they count."""
    return [Lookup(None, OPEN_UNTIL + timedelta(seconds=offset)) for offset in seconds]


def again(seconds: float) -> StillUnknown:
    return StillUnknown(OPEN_UNTIL + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("lookups", "resolution"),
    [
        pytest.param(nothing(-7.9), again(0), id="right after it was sent"),
        pytest.param(nothing(-0.001), again(0), id="a moment before it counts"),
        pytest.param(nothing(-7.9, -5, -0.001), again(0), id="early ones never add up"),
        pytest.param(nothing(0), again(1), id="one that counts"),
        pytest.param(nothing(-3, 0.5), again(1.5), id="an early one does not count"),
        pytest.param(nothing(0, 0.999), again(1), id="two within a read lag"),
        pytest.param(nothing(0, 0.5, 0.9), again(1), id="three within a read lag"),
        pytest.param(nothing(0, 1), NeverPlaced(), id="two a read lag apart"),
        pytest.param(nothing(0, 0.5, 1), NeverPlaced(), id="first and last a read lag apart"),
        pytest.param(nothing(60, 61), NeverPlaced(), id="much later"),
    ],
)
def test_nothing_found_is_proof_only_late_and_twice(lookups: list[Lookup], resolution: Resolution) -> None:
    assert resolve(CHILD, lookups, LAG) == resolution


@pytest.mark.parametrize("offset", [-7.9, 0.0, 60.0])
@pytest.mark.parametrize("state", [ChildState.FILLED, ChildState.CANCELED, ChildState.LIVE])
def test_what_is_found_is_found_whenever(offset: float, state: ChildState) -> None:
    report = a_report(state=state)
    resolution = resolve(CHILD, [Lookup(report, OPEN_UNTIL + timedelta(seconds=offset))], LAG)
    assert resolution == Found(report)
    assert state_of(Found(report)) is state


def test_one_find_outweighs_any_number_of_misses() -> None:
    report = a_report()
    lookups = [*nothing(0), Lookup(report, OPEN_UNTIL + LAG), *nothing(2, 3, 4)]
    assert resolve(CHILD, lookups, LAG) == Found(report)


def test_without_a_read_lag_two_lookups_at_the_same_late_time_are_enough() -> None:
    at: datetime = CHILD.request.deadline + CLOCK_SKEW
    assert resolve(CHILD, [Lookup(None, at)], timedelta(0)) == StillUnknown(at)
    assert resolve(CHILD, [Lookup(None, at), Lookup(None, at)], timedelta(0)) == NeverPlaced()


def test_a_later_deadline_is_waited_for() -> None:
    child = replace(CHILD, request=replace(CHILD.request, deadline=later(60)))
    assert resolve(child, nothing(0, 1), LAG) == StillUnknown(later(60) + LAG + CLOCK_SKEW)


def test_what_was_never_placed_ends_so() -> None:
    assert state_of(NeverPlaced()) is ChildState.NOT_PLACED
