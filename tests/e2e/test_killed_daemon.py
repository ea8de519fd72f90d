"""The daemon killed at random moments of a rebalance: each next one settles what is open, and finishes the same run.

`tests/bench/killed_daemon.py` does the same with a hundred kills.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fakes.killed_daemon import Killed, killed_rebalance

LASTS = 2.0
"""Seconds of a rebalance within which a kill falls; it takes somewhat longer."""
SEEDS = ("1", "2")


def test_after_every_kill_the_journal_agrees_with_the_exchange_and_the_gap_is_closed(tmp_path: Path) -> None:
    def rebalance(seed: str) -> Killed:
        return killed_rebalance(tmp_path / seed, seed, LASTS, kills=3)

    with ThreadPoolExecutor(len(SEEDS)) as pool:
        done = list(pool.map(rebalance, SEEDS))
    assert [one.faults for one in done] == [()] * len(SEEDS)
    assert all(one.orders for one in done)
    for one in done:
        assert one.moments
        assert one.controls
