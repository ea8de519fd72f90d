"""A bookkeeper at work: what it reckons on an account that moves, books once, and does not book."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.accounting.dealing import Consolidation, Movement, Payment, Redemption, Request, Subscription
from keeper.domain.errors import BookRefused, InvariantViolation
from keeper.domain.ledger import EntryKind, FeeTerms, Ledger
from keeper.domain.run import NavPoint, RunStatus
from keeper.journal import Mode, SqlJournal
from keeper.service.book_documents import deal_document, view_document
from keeper.service.books import GOOD_FOR, Bookkeeper, folded, keep_terms, left_by
from keeper.service.observer import Observer
from keeper.system import SystemEntropy
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.book_values import BOTH_FEES, NO_FEES, opening, point
from tests.fakes.journal_values import a_run
from tests.fakes.moving_feed import MovingFeed, moving_feed
from tests.fakes.paper import PERP, START, paper_venue
from tests.fakes.paper import opening as account

D = Decimal
PLACE = {"fund": "btc3l", "venue": "sim", "environment": "paper"}


@dataclass(slots=True)
class Office:
    """A bookkeeper, and everything it works with. The account is worth 100,000 at 50,000 and 10,000 more at each 1,000 above."""

    keeper: Bookkeeper
    journal: SqlJournal
    venue: PaperVenue
    feed: MovingFeed
    observer: Observer

    def hired(self, terms: FeeTerms) -> Bookkeeper:
        """Another bookkeeper of the same fund."""
        return Bookkeeper("btc3l", self.journal, self.observer, self.venue.clock, terms, SystemEntropy())

    async def begin(self) -> None:
        deal = await self.keeper.opening(holder="", price=D(1), entry_id="open", reason="")
        assert await self.keeper.book(deal)

    async def wait(self, span: timedelta) -> None:
        await self.venue.clock.sleep_until(self.venue.clock.now() + span)

    async def ask(self, request: Request, entry_id: str = "") -> bool:
        return await self.keeper.book(await self.keeper.deal(request, entry_id=entry_id, reason=""))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    feed = moving_feed({PERP: "50000"})
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/keeper.db", mode=Mode.WRITER, inline=True)
    async with paper_venue(feed, account({"USDT": "100000"}, {PERP: ("10", "50000")})) as venue:
        observer = await Observer.on(venue, [PERP], "USDT", venue.clock)
        made = Office(
            Bookkeeper("btc3l", journal, observer, venue.clock, NO_FEES, SystemEntropy()), journal, venue, feed, observer
        )
        yield made
    assert await journal.verify() == ()
    await journal.close()


async def test_flows_are_dealt_at_what_the_account_is_worth_when_they_are_booked(office: Office) -> None:
    await office.begin()
    office.feed.move(PERP, "52000")
    deal = await office.keeper.deal(Subscription(holder="ben", amount=D(60000), moved=False), entry_id="", reason="")
    assert (deal.entry.equity, deal.entry.price, deal.entry.units) == (D(120000), D("1.2"), D(50000))
    assert await office.keeper.book(deal)
    assert folded(await office.journal.ledger("btc3l")) == deal.after


async def test_what_was_reckoned_long_ago_is_not_booked(office: Office) -> None:
    await office.begin()
    deal = await office.keeper.deal(Subscription(holder="ben", amount=D(5), moved=False), entry_id="", reason="")
    await office.wait(GOOD_FOR)
    assert await office.keeper.book(deal), "a minute is not too long"
    late = await office.keeper.deal(Redemption(holder="ben"), entry_id="", reason="")
    await office.wait(GOOD_FOR + timedelta(seconds=1))
    assert not await office.keeper.book(late)


async def test_two_who_redeem_the_same_units_at_once_get_them_once(office: Office) -> None:
    await office.begin()
    deals = [await office.keeper.deal(Redemption(holder=""), entry_id="", reason="") for _ in range(2)]
    assert sorted(await asyncio.gather(*map(office.keeper.book, deals))) == [False, True]
    with pytest.raises(BookRefused, match="has no units"):
        await office.keeper.deal(Redemption(holder=""), entry_id="", reason="")


BOOKED: list[tuple[str, Request, list[Request], list[Request]]] = [
    (
        "in",
        Subscription(holder="ben", amount=D(5), moved=False),
        [Subscription(holder="ben", amount=D("5.0"), moved=True)],
        [Subscription(holder="ann", amount=D(5), moved=False), Subscription(holder="ben", amount=D(6), moved=False)],
    ),
    (
        "out",
        Redemption(holder="", units=D(7)),
        [Redemption(holder="", units=D(7)), Redemption(holder="", amount=D("6.93")), Redemption(holder="")],
        [Redemption(holder="", units=D(8)), Redemption(holder="", amount=D(8)), Redemption(holder="ben")],
    ),
    (
        "paid",
        Payment(payee="manager", amount=D(1)),
        [Payment(payee="manager", amount=None), Payment(payee="manager", amount=D(1))],
        [Payment(payee="ann", amount=None), Payment(payee="manager", amount=D(2))],
    ),
    ("ten", Consolidation(D(10)), [Consolidation(D("10.0"))], [Consolidation(D(2)), Movement("in")]),
    ("there", Movement("in"), [Movement("in")], [Movement("out")]),
]


async def test_an_id_that_is_booked_takes_the_same_request_and_no_other(office: Office) -> None:
    office.keeper = office.hired(BOTH_FEES)
    await office.begin()
    await office.wait(timedelta(days=365))
    for name, request, _, _ in BOOKED:
        assert await office.ask(request, name)
    before = await office.journal.ledger("btc3l")
    for name, _, same, others in BOOKED:
        for request in same:
            done = await office.keeper.deal(request, entry_id=name, reason="")
            assert (done.entries, done.entry) == ((), before.entry(name))
            assert deal_document(done, PLACE, status="already_booked")["entries"][0]["id"] == name
        for request in others:
            with pytest.raises(BookRefused) as error:
                await office.keeper.deal(request, entry_id=name, reason="")
            assert error.value.code == "twice"
    again = await office.keeper.opening(holder="", price=D(1), entry_id="open", reason="")
    assert again.entry == before.entry("open")
    for holder, price, entry_id, code in (("ben", 1, "open", "twice"), ("", 2, "open", "twice"), ("", 1, "x", "open_already")):
        with pytest.raises(BookRefused) as error:
            await office.keeper.opening(holder=holder, price=D(price), entry_id=entry_id, reason="")
        assert error.value.code == code
    assert await office.journal.ledger("btc3l") == before


async def test_what_reads_as_all_is_the_same_request_when_it_is_typed_again(office: Office) -> None:
    await office.begin()
    assert await office.ask(Subscription(holder="ben", amount=D("77777.77"), moved=False))
    assert await office.ask(Consolidation(D(3)))
    request = Redemption(holder="ben", units=D("25925.92333333"))
    assert await office.ask(request, "all")
    assert (await office.keeper.deal(request, entry_id="all", reason="")).done is not None


async def test_fees_become_owed_as_time_passes_and_are_recorded_before_what_is_dealt_under_them(office: Office) -> None:
    await office.begin()
    assert await keep_terms(office.journal, "btc3l", NO_FEES, START, SystemEntropy())
    assert await keep_terms(office.journal, "no_books", BOTH_FEES, START, SystemEntropy())
    assert len((await office.journal.ledger("btc3l")).entries) == 1, "nothing is to be recorded"
    assert await keep_terms(office.journal, "btc3l", BOTH_FEES, START, SystemEntropy())
    office.keeper = office.hired(BOTH_FEES)
    await office.wait(timedelta(days=365))
    view = await office.keeper.view()
    assert view_document(view, PLACE)["payees"] == [{"payee": "manager", "owed": "1000", "provisional": "0"}]
    dearer = replace(BOTH_FEES, management=D("0.02"))
    deal = await office.hired(dearer).deal(Payment(payee="manager", amount=None), entry_id="", reason="")
    assert [entry.kind for entry in deal.entries] == [EntryKind.TERMS, EntryKind.PAID]
    assert await office.keeper.book(deal)
    await office.wait(timedelta(days=365))
    [owed] = view_document(await office.keeper.view(), PLACE)["payees"]
    assert D(owed["owed"]) == D(1980), "2 % of 99,000"


async def test_the_books_of_another_currency_are_shown_as_they_were_and_dealt_no_more(office: Office) -> None:
    assert await office.journal.enter("btc3l", [replace(opening(), currency="USDC", at=START)], last=0)
    office.feed.move(PERP, "51000")
    view = await office.keeper.view()
    assert view.books is not None
    assert (view.books.currency, view.books.equity) == ("USDC", D(100000))
    with pytest.raises(BookRefused, match="kept in USDC"):
        await office.ask(Consolidation(D(10)))


async def test_nav_per_unit_is_what_a_run_left_whatever_came_later(office: Office) -> None:
    run = a_run()
    assert await left_by(office.journal, run) is None
    await office.begin()
    assert await left_by(office.journal, run) is None
    for nav, name in (("110000", "r1"), ("120000", "r1"), ("90000", "r2")):
        await office.wait(timedelta(hours=1))
        await office.journal.record_nav(_point(nav, name, office))
    assert await left_by(office.journal, run) == D("1.2")
    assert await left_by(office.journal, replace(run, id="r2")) == D("0.9")


def _point(nav: str, run: str, office: Office) -> NavPoint:
    return replace(point(nav, after=timedelta(0)), run=run, at=office.venue.clock.now())


def test_books_that_do_not_add_up_are_nobodys_request() -> None:
    with pytest.raises(InvariantViolation, match="keeper db verify"):
        folded(Ledger((opening(), opening())))


async def test_nobody_deals_while_a_run_is_at_work_where_the_fund_deals_at_rest_only(office: Office) -> None:
    await office.begin()
    at_rest = Bookkeeper("btc3l", office.journal, office.observer, office.venue.clock, NO_FEES, SystemEntropy(), at_rest=True)
    asked = Subscription(holder="ben", amount=D(1000), moved=False)
    assert (await at_rest.deal(asked, entry_id="", reason="")).entries
    run = a_run()
    await office.journal.open_run(run)
    with pytest.raises(BookRefused, match="a run of btc3l is at work"):
        await at_rest.deal(asked, entry_id="", reason="")
    assert (await at_rest.deal(Consolidation(ratio=D(10)), entry_id="", reason="")).entries
    assert await office.ask(asked)
    await office.journal.close_run(run.id, RunStatus.COMPLETED, reason="", result={}, at=START)
    assert (await at_rest.deal(asked, entry_id="", reason="")).entries
