"""What a document of targets may say, and how far one is from another."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.policy.steering import Steering, Wrong, jump, told

D = Decimal
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
RULES = Steering(bounds={BTC: (D(-1), D(3)), ETH: (D(0), D(1))}, max_age=timedelta(hours=1))
SOUND = {BTC: D("2.5"), ETH: "0"}


def asked(document: object, *, age: timedelta = timedelta(0)) -> dict[str, Decimal] | Wrong:
    return told(document, RULES, written_at=NOON - age, now=NOON)


def test_what_is_told_is_read_as_it_stands() -> None:
    assert asked({"target": SOUND}) == {BTC: D("2.5"), ETH: D(0)}
    assert asked({"at": "2026-12-01T12:00:00+00:00", "target": {BTC: 3, ETH: 1}}) == {BTC: D(3), ETH: D(1)}
    assert asked({"at": NOON, "target": {BTC: "-1", ETH: D(0)}}) == {BTC: D(-1), ETH: D(0)}


@pytest.mark.parametrize(
    ("document", "key", "value", "remedy"),
    [
        ([1], "target", "(missing)", "must be a table that holds one"),
        ({}, "target", "(missing)", "must be a table of multiples"),
        ({"target": 3}, "target", "3", "must be a table of multiples"),
        ({"target": SOUND, "leverage": 3}, "leverage", "3", "unknown key; known keys: at, target"),
        ({"target": {**SOUND, "SOL/USDT:USDT": 1}}, 'target."SOL/USDT:USDT"', "1", "is no market of the fund, which has BTC"),
        ({"target": {BTC: 3}}, f'target."{ETH}"', "(missing)", "must be a plain decimal number"),
        ({"target": {**SOUND, BTC: "3e0"}}, f'target."{BTC}"', "'3e0'", "must be a plain decimal number"),
        ({"target": {**SOUND, BTC: True}}, f'target."{BTC}"', "True", "must be a plain decimal number"),
        ({"target": {**SOUND, BTC: D("NaN")}}, f'target."{BTC}"', "NaN", "must be a plain decimal number"),
        ({"target": {**SOUND, BTC: [3]}}, f'target."{BTC}"', "[3]", "must be a plain decimal number"),
        ({"target": {**SOUND, BTC: "3.01"}}, f'target."{BTC}"', "3.01", "must be within bounds, from -1 to 3"),
        ({"target": {**SOUND, BTC: "-1.01"}}, f'target."{BTC}"', "-1.01", "must be within bounds, from -1 to 3"),
        ({"at": "yesterday", "target": SOUND}, "at", "(missing)", "must be a time with its zone"),
        ({"at": datetime(2026, 12, 1), "target": SOUND}, "at", "2026-12-01T00:00:00", "must be a time with its zone"),  # noqa: DTZ001
        ({"at": 5, "target": SOUND}, "at", "5", "must be a time with its zone"),
        (
            {"at": NOON + timedelta(minutes=2), "target": SOUND},
            "at",
            "2026-12-01T12:02:00+00:00",
            "lies ahead of 2026-12-01 12:00",
        ),
        ({"at": NOON - timedelta(hours=2), "target": SOUND}, "at", "2026-12-01T10:00:00+00:00", "is 7200 s old, max_age is 3600"),
    ],
)
def test_what_can_t_be_used_is_named(document: object, key: str, value: str, remedy: str) -> None:
    wrong = asked(document)
    assert isinstance(wrong, Wrong)
    assert (wrong.key, wrong.value) == (key, value)
    assert remedy in wrong.remedy
    assert str(wrong) == f"{key} = {value}: {wrong.remedy}"


def test_what_does_not_say_when_it_was_made_is_as_old_as_its_file() -> None:
    assert not isinstance(asked({"target": SOUND}, age=timedelta(hours=1)), Wrong)
    assert isinstance(asked({"target": SOUND}, age=timedelta(hours=1, seconds=1)), Wrong)
    ageless = Steering(bounds=RULES.bounds)
    assert not isinstance(told({"target": SOUND}, ageless, written_at=NOON - timedelta(days=900), now=NOON), Wrong)


targets = st.dictionaries(st.sampled_from([BTC, ETH]), st.decimals(min_value=-5, max_value=5, places=3))


@given(targets, targets)
def test_a_jump_is_a_distance(one: dict[str, Decimal], other: dict[str, Decimal]) -> None:
    assert jump(one, other) == jump(other, one) >= 0
    assert jump(one, one) == 0
    assert jump({}, one) == sum(abs(each) for each in one.values())
