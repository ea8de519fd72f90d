"""Book entries: each booked once, in order with the NAV points, and only on books that nobody has changed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command as alembic
from sqlalchemy import create_engine

from keeper.accounting.dealing import Redemption, Subscription, dealt
from keeper.accounting.nav import fold
from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.ledger import BookEntry, FeeTerms, Ledger
from keeper.journal import Mode, SqlJournal, events, migrations, upgrade
from keeper.ports import Journal
from tests.fakes.book_values import START, D, folded, opening, point, stamp
from tests.fakes.tampering import alter, verdict

DAY = timedelta(days=1)
TERMS = FeeTerms(management=D("0.010"), payees={"anna": D("0.25"), "ben": D("0.75")}, since=START)


@pytest.fixture(params=["threads", "inline", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/var/keeper.db"
    opened = SqlJournal.open(url, mode=Mode.WRITER, inline=request.param != "threads")
    yield opened
    assert await opened.verify() == ()
    await opened.close()


def subscribed(entry_id: str = "wire-7", *, moved: bool = True) -> BookEntry:
    request = Subscription(holder="ben", amount=D("333.33333333"), moved=moved)
    return dealt(folded(opening(terms=TERMS)), request, stamp(entry_id, "100333.33333333", after=DAY))


async def test_books_read_back_as_they_were_entered_in_order_with_the_nav_points(journal: Journal) -> None:
    await journal.record_nav(point("99000", after=-DAY))
    assert await journal.ledger("btc3l") == Ledger()
    begun = [opening(terms=TERMS), replace(subscribed("first", moved=False), reason="ünïcode")]
    assert await journal.enter("btc3l", begun, last=0)
    points = [point("110000", after=DAY), point("120000", after=2 * DAY)]
    await journal.record_nav(points[0])
    await journal.record_nav(replace(points[0], fund="other"))
    ledger = await journal.ledger("btc3l")
    assert ledger.items == (*begun, points[0])
    assert await journal.enter("btc3l", [subscribed()], last=ledger.last)
    await journal.record_nav(points[1])
    found = await journal.ledger("btc3l")
    assert found.items == (*begun, points[0], subscribed(), points[1])
    assert await journal.ledger("other") == Ledger()
    assert [event.kind for event in await journal.events(kind=events.BOOKS_ENTERED)] == ["books.entered"] * 3
    books = fold(found.items)
    assert books is not None
    assert books == folded(*found.items)
    assert (books.units, books.worth) == (100000 + begun[1].units + subscribed().units, D("120333.33333333"))


async def test_an_id_is_booked_once_whoever_books_it(journal: Journal) -> None:
    await journal.enter("btc3l", [opening()], last=0)
    last = (await journal.ledger("btc3l")).last
    assert await journal.enter("btc3l", [subscribed()], last=last)
    last = (await journal.ledger("btc3l")).last
    for again in ([subscribed()], [subscribed("a"), subscribed("a")], [replace(subscribed("b"), fund="other")]):
        with pytest.raises(InvariantViolation, match="can't be booked for btc3l"):
            await journal.enter("btc3l", again, last=last)
    assert len((await journal.ledger("btc3l")).entries) == 2
    assert await journal.enter("other", [replace(opening(), fund="other")], last=0), "ids are a fund's own"


async def test_books_that_were_changed_meanwhile_take_nothing(journal: Journal) -> None:
    assert await journal.enter("btc3l", [opening()], last=0)
    assert not await journal.enter("btc3l", [replace(opening(), id="anew")], last=0)
    seen = await journal.ledger("btc3l")
    await journal.record_nav(point("50000", after=DAY))
    assert not await journal.enter("btc3l", [subscribed()], last=seen.last), "it was reckoned on another NAV"
    seen = await journal.ledger("btc3l")
    books = fold(seen.items)
    assert books is not None
    out = [dealt(books, Redemption(holder=""), stamp(name, "50000", after=DAY)) for name in ("one", "two")]
    done = await asyncio.gather(*(journal.enter("btc3l", [entry], last=seen.last) for entry in out))
    assert sorted(done) == [False, True], "all units are redeemed once"


async def test_what_can_not_be_stored_exactly_is_refused_whole(journal: Journal) -> None:
    with pytest.raises(InvariantViolation):
        await journal.enter("btc3l", [opening(), replace(subscribed(), units=Decimal("NaN"))], last=0)
    assert await journal.ledger("btc3l") == Ledger()


async def test_a_journal_of_the_fourth_revision_is_upgraded_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        alembic.upgrade(migrations.configured(connection), "0004")
    engine.dispose()
    with pytest.raises(JournalError, match="keeper db upgrade"):
        SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER)
    upgrade(f"sqlite:///{path}")
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    await journal.record_nav(point("1", after=DAY))
    assert await journal.enter("btc3l", [opening(terms=TERMS)], last=0)
    assert (await journal.ledger("btc3l")).items == (opening(terms=TERMS),)
    assert await journal.verify() == ()
    await journal.close()


def test_an_altered_or_removed_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"

    async def write() -> None:
        journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
        await journal.enter("btc3l", [opening(), subscribed()], last=0)
        await journal.close()

    asyncio.run(write())
    alter(path, ("UPDATE book_entries SET units = '1000000' WHERE id = 'wire-7'", ()))
    assert [(fault.seq, fault.what) for fault in verdict(path)] == [(2, "book_entries btc3l wire-7: units was altered")]
    alter(path, ("DELETE FROM book_entries WHERE id = 'wire-7'", ()))
    assert [(fault.seq, fault.what) for fault in verdict(path)] == [(2, "book_entries btc3l wire-7: the row was removed")]
