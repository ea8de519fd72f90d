import pytest

from tests.simulation import sweep

PARTS = 4


@pytest.mark.parametrize("mode", sweep.MODES)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_any_await_of_a_rebalance_does_no_harm(mode: str, part: int) -> None:
    places = sweep.places(mode)
    assert len(places) > 150, "a rebalance has more places than that"
    for crash_at in places[part::PARTS]:
        outcome = sweep.killed_at(mode, crash_at)
        assert outcome.kills == 1
        assert outcome.violations == [], f"python -m tests.simulation --sweep '{mode}' --crash-at {crash_at} --timeline"
