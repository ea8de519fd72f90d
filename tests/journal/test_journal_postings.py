"""Postings of a venue's ledger in the journal: each of them once, with what follows from it, and never altered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command as alembic
from sqlalchemy import create_engine

from keeper.domain.errors import InvariantViolation
from keeper.domain.statement import PostingKind
from keeper.journal import Mode, SqlJournal, events, migrations, upgrade
from keeper.ports import Journal
from tests.fakes.book_values import opening
from tests.fakes.journal_values import AT, a_nav, a_posting, later
from tests.fakes.tampering import alter, ask, verdict, write_history

FIRST, SECOND = a_posting(), a_posting("d1", kind=PostingKind.DEPOSIT, amount="100", at=later(60))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqlJournal]:
    opened = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER, inline=True)
    yield opened
    await opened.close()


async def test_what_was_booked_reads_back_by_fund_and_time(journal: Journal) -> None:
    unpriced = replace(a_posting("x"), value=None)
    other = replace(a_posting("y"), fund="other")
    assert await journal.book_ledger("btc3l", [SECOND, FIRST, unpriced], [], last=0, at=later(99))
    assert await journal.book_ledger("other", [other], [], last=0, at=later(99))
    assert await journal.postings("btc3l", AT) == (FIRST, unpriced, SECOND)
    assert await journal.postings("btc3l", AT + timedelta(seconds=1)) == (SECOND,)
    assert await journal.postings("other", AT) == (other,)


async def test_a_posting_that_is_told_twice_is_booked_once(journal: SqlJournal) -> None:
    assert await journal.book_ledger("btc3l", [FIRST], [], last=0, at=AT)
    assert not await journal.book_ledger("btc3l", [SECOND, FIRST], [], last=0, at=AT)
    assert await journal.postings("btc3l", AT) == (FIRST,)
    elsewhere = replace(FIRST, account="acc2")
    assert await journal.book_ledger("btc3l", [elsewhere], [], last=0, at=AT), "ids are an account's own"
    assert [event.kind for event in await journal.events(kind=events.LEDGER_BOOKED)] == [events.LEDGER_BOOKED] * 2


async def test_postings_and_what_follows_from_them_are_booked_together_or_not_at_all(journal: SqlJournal) -> None:
    assert await journal.book_ledger("btc3l", [replace(FIRST, entry="begin")], [opening()], last=0, at=AT)
    assert len((await journal.ledger("btc3l")).entries) == 1
    assert not await journal.book_ledger("btc3l", [SECOND], [], last=0, at=AT), "the books were changed meanwhile"
    last = (await journal.ledger("btc3l")).last
    with pytest.raises(InvariantViolation, match="can't be booked"):
        await journal.book_ledger("btc3l", [SECOND], [opening()], last=last, at=AT)
    assert await journal.postings("btc3l", AT) == (replace(FIRST, entry="begin"),)
    assert await journal.verify() == ()


async def test_a_nav_point_keeps_what_it_is_made_of(journal: SqlJournal) -> None:
    before = replace(a_nav(), exposures=None, prices=None)
    for point in (a_nav(), before):
        await journal.record_nav(point)
    assert await journal.nav_points("btc3l") == (before, a_nav())


async def test_a_journal_of_the_sixth_revision_is_upgraded_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        alembic.upgrade(migrations.configured(connection), "0006")
    engine.dispose()
    upgrade(f"sqlite:///{path}")
    journal = SqlJournal.open(f"sqlite:///{path}", mode=Mode.WRITER, inline=True)
    await journal.record_nav(a_nav())
    assert await journal.book_ledger("btc3l", [FIRST], [], last=0, at=AT)
    assert await journal.postings("btc3l", AT) == (FIRST,)
    assert await journal.verify() == ()
    await journal.close()


def test_a_posting_that_is_altered_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    write_history(path)
    [(seq,)] = ask(path, "SELECT event FROM postings")
    alter(path, ("UPDATE postings SET amount = '99'", ()))
    assert [(fault.seq, fault.what) for fault in verdict(path)] == [(seq, "postings acc1 f1: amount was altered")]
