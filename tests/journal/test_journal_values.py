"""What is stored comes back exactly, and what can't be is refused."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select, text

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.order import ChildState, Fill
from keeper.journal import Mode, SqlJournal
from keeper.journal.columns import Unreadable, Unstorable, canonical, instant_text, number_text, plain_value
from keeper.journal.schema import nav_points, runs
from tests.fakes.journal_values import AT, a_child, a_fill, a_nav, a_run

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e40"), max_value=Decimal("1e40"))
ZONES = st.timezones() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
EARLIEST, LATEST = datetime(1971, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - bounds that get their zone from the strategy
INSTANTS = st.datetimes(EARLIEST, LATEST, timezones=ZONES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


@given(DECIMALS)
def test_a_number_reads_back_as_the_same_number(value: Decimal) -> None:
    stored = number_text(value)
    assert Decimal(stored) == value
    assert "e" not in stored.lower()


@pytest.mark.parametrize(
    "digits",
    ["0." + "1" * 30, "0.1000000000000000000000000000001", "123456789012345678901234567890.123456789", "-0.10", "0E-18", "1E+5"],
)
async def test_a_fill_keeps_every_digit_in_the_database(digits: str) -> None:
    fill = replace(a_fill(), price=Decimal(digits), fee=-Decimal(digits))
    assert await _stored(fill) == fill


async def _stored(fill: Fill) -> Fill:
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    await journal.open_run(a_run())
    await journal.record_intent(a_child())
    await journal.advance_child("kpr1", expected=ChildState.INTENT, state=ChildState.FILLED, at=AT, fills=[fill])
    ((_, stored),) = await journal.fills("r1")
    await journal.close()
    return stored


@given(INSTANTS)
def test_a_time_reads_back_as_the_same_instant(value: datetime) -> None:
    # compared in UTC: a time that the clocks skip or repeat equals none of another zone
    assert datetime.fromisoformat(instant_text(value)) == value.astimezone(UTC)


@given(INSTANTS, INSTANTS)
def test_times_sort_as_their_text(one: datetime, other: datetime) -> None:
    assert (instant_text(one) < instant_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


@given(JSON)
def test_a_document_reads_back_and_has_one_text(value: object) -> None:
    stored = canonical(value)
    assert json.loads(stored) == value
    assert canonical(json.loads(stored)) == stored
    assert stored.isascii()


def test_equal_documents_have_one_text() -> None:
    assert canonical({"b": 1, "a": Decimal("1.0")}) == canonical({"a": "1.0", "b": 1}) == '{"a":"1.0","b":1}'


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        datetime(2024, 1, 1),  # noqa: DTZ001 - naive on purpose
        {1: "a"},
        {"a": [object()]},
        b"bytes",
        {1, 2},
    ],
)
def test_a_document_that_json_can_not_hold_is_refused(value: object) -> None:
    with pytest.raises(Unstorable):
        plain_value(value)


@pytest.mark.parametrize(
    "nav",
    [
        pytest.param(Decimal("NaN"), id="nan"),
        pytest.param(Decimal("Infinity"), id="infinite"),
        pytest.param(1.5, id="float"),
        pytest.param(15, id="int"),
        pytest.param("1.5", id="text"),
    ],
)
async def test_what_is_no_finite_decimal_never_gets_into_a_table(engine: Engine, nav: Decimal) -> None:
    with engine.connect() as connection, pytest.raises(Unstorable):
        connection.execute(select(nav_points).where(nav_points.c.nav == nav))
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    if isinstance(nav, Decimal):
        with pytest.raises(InvariantViolation):
            await journal.record_nav(replace(a_nav(), nav=nav))
        assert await journal.nav_points("btc3l") == ()
        assert await journal.events() == ()
    await journal.close()


async def test_a_naive_time_is_refused_and_nothing_is_written() -> None:
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    with pytest.raises(InvariantViolation, match="aware"):
        await journal.record_nav(replace(a_nav(), at=datetime(2024, 1, 1)))  # noqa: DTZ001 - naive on purpose
    assert await journal.events() == ()
    await journal.close()


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("amount", "1e3"),
        ("amount", "nan"),
        ("amount", "1_0"),
        ("amount", ""),
        ("side", "up"),
        ("state", "lost"),
        ("at", "yesterday"),
        ("deadline", "2024-01-01T00:00:00"),
    ],
)
def test_damage_is_an_error_that_says_what_to_do_and_never_a_value(column: str, damage: str) -> None:
    async def scene() -> None:
        journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
        await journal.open_run(a_run())
        await journal.record_intent(a_child())
        journal._base.write(lambda connection: connection.execute(text(f"UPDATE children SET {column} = '{damage}'")))  # noqa: S608 - a table
        try:
            with pytest.raises(JournalError, match="keeper db verify"):
                await journal.children("r1")
        finally:
            await journal.close()

    asyncio.run(scene())


@pytest.mark.parametrize("damage", ["not json", "[1]"])
async def test_a_damaged_document_is_an_error(damage: str) -> None:
    journal = SqlJournal.open("sqlite://", mode=Mode.WRITER, inline=True)
    await journal.open_run(a_run())
    journal._base.write(lambda connection: connection.execute(text("UPDATE runs SET plan = :plan"), {"plan": damage}))
    with pytest.raises(Unreadable):
        await journal.run("r1")
    await journal.close()


def test_an_enum_column_takes_its_own_values_only(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(Unstorable):
        connection.execute(select(runs).where(runs.c.status == "running"))
