"""Worlds as seeds draw them. The long run is `python -m tests.simulation --seeds 20000 --jobs 2`."""

import pytest

from tests.simulation.__main__ import outcome_of, replay
from tests.simulation.world import Scenario

SEEDS, PARTS = 500, 20


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_a_seed_has_in_store_nothing_is_violated(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        scenario = Scenario(seed=seed)
        outcome = outcome_of(scenario)
        assert outcome.violations == [], replay(scenario)
