"""This machine's clock and randomness keep the promises of the ports."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from keeper import system
from keeper.ports import Clock, Entropy
from keeper.system import SystemClock, SystemEntropy


class SteppedClock(SystemClock):
    """Wall time from a list, as after a suspended machine woke up."""

    def __init__(self, *times: datetime) -> None:
        self.times = list(times)

    def now(self) -> datetime:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


START = datetime(2024, 1, 1, tzinfo=UTC)


def test_now_is_aware_utc() -> None:
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.now() <= clock.now()


async def test_sleep_ends_no_earlier_than_asked_for() -> None:
    clock = SystemClock()
    at = clock.now() + timedelta(seconds=0.05)
    await clock.sleep_until(at)
    assert clock.now() >= at


async def test_a_sleep_of_hours_ends_soon_after_the_wall_clock_jumped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "STEP", 0.01)
    clock = SteppedClock(START, START + timedelta(seconds=0.01), START + timedelta(hours=9))
    await asyncio.wait_for(clock.sleep_until(START + timedelta(hours=8)), timeout=5)
    assert clock.times == [START + timedelta(hours=9)]


async def test_a_clock_set_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "STEP", 0.001)
    clock = SteppedClock(START, START - timedelta(hours=1), START - timedelta(hours=1), START + timedelta(seconds=1))
    await clock.sleep_until(START + timedelta(seconds=1))
    assert len(clock.times) == 1


async def test_others_get_a_turn_even_when_there_is_nothing_to_wait_for() -> None:
    turns: list[str] = []
    other = asyncio.create_task(_mark(turns))
    await SystemClock().sleep_until(START)
    assert turns == ["other"]
    await other


async def _mark(turns: list[str]) -> None:
    turns.append("other")


def test_tokens_are_eight_hexadecimal_digits_and_never_the_same() -> None:
    entropy: Entropy = SystemEntropy()
    tokens = [entropy.token() for _ in range(1000)]
    assert len(set(tokens)) == 1000
    assert all(len(token) == 8 and set(token) <= set("0123456789abcdef") for token in tokens)


def test_a_token_that_was_drawn_before_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["00000001", "00000001", "00000001", "00000002"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(drawn))
    entropy = SystemEntropy()
    assert [entropy.token(), entropy.token()] == ["00000001", "00000002"]


async def test_a_second_does_not_become_an_hour_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "STEP", 0.01)
    clock = SteppedClock(START, START - timedelta(hours=1))
    await asyncio.wait_for(clock.sleep_until(START + timedelta(seconds=0.1)), timeout=5)
    assert clock.now() == START - timedelta(hours=1)


def test_there_is_one_time_of_this_machine() -> None:
    assert SystemClock() == SystemClock()
    assert len({SystemClock(), SystemClock()}) == 1
    assert SystemClock() != SteppedClock(START)
