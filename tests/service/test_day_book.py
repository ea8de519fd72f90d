"""A fund's days: what the venue's ledger told is booked once, and what the fund was worth as each day ended."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.accounting.dealing import Assignment, Subscription
from keeper.domain.errors import BookRefused, VenueUnavailable
from keeper.domain.ledger import EntryKind
from keeper.domain.statement import Posting, PostingKind
from keeper.ports import Clock
from keeper.records import EARLIEST
from keeper.service.books import Bookkeeper
from keeper.service.carrying import CARRY
from keeper.service.causes import Past, causes_document, flows_of
from keeper.service.causes_page import carry_words
from keeper.service.day_book import CLOSED, PATIENCE, POSTED, READ, DayBook
from keeper.service.observer import Observer
from keeper.service.period import Period
from keeper.service.positions import PositionBook
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.bank import Bank
from tests.fakes.book_values import NO_FEES
from tests.fakes.daemon_desks import Kept, kept
from tests.fakes.daemons import fund_of
from tests.fakes.desks import drifted
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, START
from tests.fakes.scripted_venue import Fault

D = Decimal
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COSTLY = MarketSpec(taker_bps=D(5), lot=D("0.001"), funding_bps=D(1))


class Token:
    def token(self) -> str:
        return "0badcafe"


async def books_of(desk: Kept) -> tuple[Bookkeeper, DayBook]:
    fund = fund_of()
    await desk.venue.__aenter__()
    observer = await Observer.on(desk.venue, fund.symbols, "USDT", desk.venue.clock)
    days = DayBook(fund.name, desk.venue, desk.journal, observer, PositionBook(fund, desk.venue, desk.journal, observer))
    return Bookkeeper(fund.name, desk.journal, observer, desk.venue.clock, NO_FEES, Token(), days.follow), days


@pytest.fixture
async def desk() -> AsyncIterator[Kept]:
    async with kept(drifted(moving_feed({PERP: "105"}, BTC=COSTLY))) as made:
        yield made


async def days_of(desk: Kept) -> dict[str, dict[str, object]]:
    journal, fund = desk.journal, fund_of().name
    runs = {run.id: run for run in await desk.runs()}
    past = Past(
        points=(await journal.nav_points(fund, limit=1000))[::-1],
        runs=runs,
        fills=[(run, fill) for run, _, fill in await journal.fills_of(fund)],
        markets=await journal.pins(desk.venue.info.account),
        postings=await journal.postings(fund, EARLIEST),
        ledger=await journal.ledger(fund),
    )
    found = causes_document(past, Period().holds)
    assert found is not None
    return {row["name"]: row for row in found["days"]}


async def test_a_daemon_closes_each_day_and_its_change_is_explained_to_the_last_digit(desk: Kept) -> None:
    bank = Bank(desk.venue)
    feed = desk.venue.inner.feed
    async with desk.daemon():
        for hours in range(1, 50):
            await desk.until(START + hours * HOUR)
            feed.move(PERP, str(105 + (hours * 7) % 11 - 5))  # type: ignore[attr-defined]
            if hours == 30:
                bank.pay("5000")
        await desk.passed(hours=1)
    days = await days_of(desk)
    assert list(days) == ["2025-03-01", "2025-03-02", "2025-03-03"]
    assert [row["unexplained"] for row in days.values()] == ["0", "0", "0"]
    assert [row["flows"] for row in days.values()] == ["0", "5000", "0"]
    assert all(D(str(row["funding"])) < 0 for row in list(days.values())[:2])
    assert D(str(days["2025-03-01"]["trading"])) < 0
    closed = await desk.journal.events(kind=CLOSED)
    assert [event.at for event in reversed(closed)] == [START, START + DAY + POSTED, START + 2 * DAY + POSTED]
    postings = await desk.journal.postings(fund_of().name, EARLIEST)
    assert len({one.posting.id for one in postings}) == len(postings)
    assert {one.posting.kind for one in postings} == {PostingKind.FUNDING, PostingKind.TRADING_FEE, PostingKind.DEPOSIT}


async def test_what_a_ledger_tells_again_is_booked_once_and_a_restart_reads_on(desk: Kept) -> None:
    bank = Bank(desk.venue)
    await desk.kept_until(START + 9 * HOUR)
    bank.pay("100")
    await desk.kept_until(START + 10 * HOUR)
    _, days = await books_of(desk)
    await days.follow()
    await days.follow()
    assert len(await desk.journal.postings(fund_of().name, EARLIEST)) == len(await desk.venue.ledger(START) or ())


async def test_a_ledger_that_can_not_be_read_keeps_nobody_from_trading_and_is_read_later(desk: Kept) -> None:
    desk.venue.failing["ledger"] = 3
    async with desk.daemon():
        await desk.until(START + 20 * timedelta(minutes=1))
        assert [run.status.value for run in await desk.runs()][-1] in ("running", "completed")
        await desk.until(START + HOUR)
    assert (await desk.runs())[-1].status.value == "completed"
    assert await desk.journal.postings(fund_of().name, EARLIEST)
    assert (await desk.journal.standing(fund_of().name)).trouble == ""


async def test_no_day_is_closed_while_an_order_is_open_and_nobody_spins_meanwhile(desk: Kept) -> None:
    desk.venue.faults[1] = Fault.RESTING
    desk.venue.on_place = lambda request: desk.venue.stubborn.add(request.client_id)
    async with desk.daemon():
        await desk.until(START + 25 * HOUR)
        assert await desk.journal.open_children(fund_of().name)
        assert [event.at for event in await desk.journal.events(kind=CLOSED)] == [START]
        looks = desk.venue.log.count(("ledger", ""))
        await desk.passed(hours=1)
    assert desk.venue.log.count(("ledger", "")) - looks <= 13


async def test_an_exchange_that_does_not_tell_is_noted_and_its_days_are_closed(desk: Kept) -> None:
    async def nothing(_since: datetime) -> None:
        return None

    desk.venue.ledger = nothing  # type: ignore[method-assign,assignment]
    await desk.kept_until(START + 25 * HOUR)
    notes = await desk.journal.events(kind=READ)
    assert {event.payload["told"] for event in notes} == {False}
    assert len(notes) <= 5
    assert len(await desk.journal.events(kind=CLOSED)) == 2


async def test_money_that_comes_by_itself_has_units_of_nobody_by_name_until_they_are_assigned(desk: Kept) -> None:
    bank = Bank(desk.venue)
    keeper, days = await books_of(desk)
    deal = await keeper.opening(holder="anna", price=D(1), entry_id="open", reason="")
    assert await keeper.book(deal)
    await desk.passed(hours=1)
    bank.pay("1150")
    await days.follow()
    view = await keeper.view()
    assert view.books is not None
    assert (view.books.nav_per_unit, view.books.holders[""]) == (D(1), D(1150))
    with pytest.raises(BookRefused, match="keeper nav assign btc3l ledger-p0"):
        await keeper.deal(Subscription(holder="ben", amount=D(1150), moved=True), entry_id="x", reason="")
    assigned = await keeper.deal(Assignment("ledger-p0", "ben"), entry_id="who", reason="his wire")
    assert await keeper.book(assigned)
    assert assigned.after.holders["ben"] == 1150
    again = await keeper.deal(Assignment("ledger-p0", "ben"), entry_id="who", reason="his wire")
    assert again.done is not None
    with pytest.raises(BookRefused, match="as something else"):
        await keeper.deal(Assignment("ledger-p0", "anna"), entry_id="who", reason="")


async def test_announced_money_is_booked_as_moved_when_the_exchange_tells_of_it(desk: Kept) -> None:
    bank = Bank(desk.venue)
    keeper, days = await books_of(desk)
    await keeper.book(await keeper.opening(holder="", price=D(1), entry_id="open", reason=""))
    deal = await keeper.deal(Subscription(holder="anna", amount=D(1150), moved=False), entry_id="wire", reason="")
    assert await keeper.book(deal)
    await desk.passed(hours=1)
    bank.pay("1150")
    await days.follow()
    entries = (await desk.journal.ledger(fund_of().name)).entries
    assert [(entry.kind, entry.about) for entry in entries[2:]] == [(EntryKind.MOVED, "wire")]
    view = await keeper.view()
    assert view.books is not None
    assert (dict(view.books.transit), view.books.nav_per_unit) == ({}, D(1))


async def test_money_in_a_coin_is_worth_what_it_fetches_and_what_nothing_prices_is_kept(desk: Kept) -> None:
    bank = Bank(desk.venue)
    _, days = await books_of(desk)
    bank.pay("2", asset="BTC")
    bank.told.append(Posting(id="x", kind=PostingKind.OTHER, at=desk.now, asset="XYZ", amount=D(1)))
    await days.follow()
    told = {one.posting.asset: one.value for one in await desk.journal.postings(fund_of().name, EARLIEST)}
    assert told == {"BTC": D(210), "XYZ": None}


async def test_what_holding_costs_is_seen_as_a_day_is_closed() -> None:
    feed = moving_feed({PERP: "105", "BTC/USDC:USDC": "105"}, BTC=COSTLY)
    async with kept(drifted(feed)) as desk:
        await desk.kept_until(START + 25 * HOUR)
        [seen, first] = await desk.journal.events(kind=CARRY)
    assert first.payload["yearly"] == "0.29993478"
    payload: Any = first.payload
    [market] = payload["markets"]
    assert [(one["market"], one["yearly"]) for one in market["others"]] == [("BTC/USDC:USDC", "0.29993478")]
    told = (
        "Funding of BTC/USDT:USDT at 2.739x: +29.99% of NAV a year (+1.00 bps every 8 h); the same there: BTC/USDC:USDC +29.99%"
    )
    assert carry_words(first.payload) == [told]
    assert carry_words(seen.payload)[0].startswith("Funding of BTC/USDT:USDT at 3.00")


async def test_rates_that_are_not_told_are_no_rates(desk: Kept) -> None:
    desk.venue.failing["funding"] = 10
    await desk.kept_until(START + HOUR)
    [seen] = await desk.journal.events(kind=CARRY)
    assert seen.payload["yearly"] is None
    assert carry_words(seen.payload) == ["Funding of BTC/USDT:USDT at 2.739x: not told here"]
    assert carry_words(None) == []


async def test_a_command_that_deals_needs_the_ledger(desk: Kept) -> None:
    keeper, _ = await books_of(desk)
    await keeper.book(await keeper.opening(holder="", price=D(1), entry_id="open", reason=""))
    desk.venue.failing["ledger"] = 1
    with pytest.raises(VenueUnavailable):
        await keeper.deal(Subscription(holder="anna", amount=D(5), moved=False), entry_id="wire", reason="")


async def test_coins_in_the_account_that_are_not_the_funds_are_no_flows_of_its(desk: Kept) -> None:
    bank = Bank(desk.venue)
    await desk.venue.__aenter__()
    observer = await Observer.on(desk.venue, fund_of().symbols, "USDT", desk.venue.clock, {"USDT"})
    positions = PositionBook(fund_of(), desk.venue, desk.journal, observer)
    days = DayBook(fund_of().name, desk.venue, desk.journal, observer, positions)
    bank.pay("2", asset="BTC")
    bank.pay("7")
    await days.follow()
    await days.follow()
    assert [one.posting.asset for one in await desk.journal.postings(fund_of().name, EARLIEST)] == ["USDT"]


async def test_what_a_fund_of_another_name_has_booked_on_the_account_is_not_booked_again(desk: Kept) -> None:
    bank = Bank(desk.venue)
    _, days = await books_of(desk)
    bank.pay("100")
    await days.follow()
    renamed = DayBook("renamed", desk.venue, desk.journal, days._observer, days._positions)
    bank.pay("50")
    await renamed.follow()
    await renamed.follow()
    assert [one.posting.amount for one in await desk.journal.postings("renamed", EARLIEST)] == [D(50)]


async def test_a_day_waits_an_hour_for_a_ledger_that_can_not_be_read_and_is_closed_then(desk: Kept) -> None:
    async with desk.daemon():
        await desk.until(START + HOUR)
        desk.venue.failing["ledger"] = 10_000
        await desk.until(START + DAY + POSTED + PATIENCE - timedelta(minutes=1))
        assert len(await desk.journal.events(kind=CLOSED)) == 1
        await desk.passed(hours=1)
    [closed, _] = await desk.journal.events(kind=CLOSED)
    assert timedelta(0) <= closed.at - (START + DAY + POSTED + PATIENCE) <= timedelta(minutes=10)


async def test_money_from_before_the_books_were_opened_is_not_counted_twice(desk: Kept) -> None:
    bank = Bank(desk.venue)
    keeper, days = await books_of(desk)
    await days.follow()
    bank.pay("1150")
    await desk.passed(hours=1)
    assert await keeper.book(await keeper.opening(holder="anna", price=D(1), entry_id="open", reason=""))
    await desk.passed(hours=1)
    await days.follow()
    entries = (await desk.journal.ledger(fund_of().name)).entries
    assert [entry.kind for entry in entries] == [EntryKind.OPENED]
    assert [one.posting.amount for one in await desk.journal.postings(fund_of().name, EARLIEST)] == [D(1150)]


class Ticking:
    """A clock that goes on between any two looks at it, as a real one does."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self._looks = 0

    def now(self) -> datetime:
        self._looks += 1
        return self._inner.now() + timedelta(microseconds=self._looks)

    async def sleep_until(self, at: datetime) -> None:
        await self._inner.sleep_until(at)


async def test_the_first_day_is_closed_on_a_clock_that_goes_on_and_the_next_look_is_tomorrow(desk: Kept) -> None:
    _, days = await books_of(desk)
    days._clock = Ticking(desk.venue.clock)
    again = await days.keep()
    assert len(await desk.journal.events(kind=CLOSED)) == 1
    assert again == START + DAY + POSTED
    assert await days.keep() == again


async def test_a_ledger_that_was_not_read_is_asked_again_though_the_day_is_closed(desk: Kept) -> None:
    _, days = await books_of(desk)
    desk.venue.failing["ledger"] = 1
    await days.keep()
    assert len(await desk.journal.events(kind=CLOSED)) == 1
    assert not await desk.journal.events(kind=READ)
    await desk.passed(hours=1)
    await days.keep()
    assert len(await desk.journal.events(kind=READ)) == 1


async def test_whoever_acts_on_flows_hears_of_those_that_somebody_else_has_booked(desk: Kept) -> None:
    heard: list[int] = []
    _, other = await books_of(desk)
    positions = PositionBook(fund_of(), desk.venue, desk.journal, other._observer)
    days = DayBook(fund_of().name, desk.venue, desk.journal, other._observer, positions, on_flow=lambda: heard.append(len(heard)))
    await days.keep()
    Bank(desk.venue).pay("100")
    await other.follow()
    heard.clear()
    await desk.passed(hours=1)
    await days.keep()
    assert heard == [0]


async def test_a_deposit_that_opens_the_books_is_one_flow_and_an_old_one_found_late_none_of_today(desk: Kept) -> None:
    bank = Bank(desk.venue)
    keeper, days = await books_of(desk)
    bank.pay("500")
    await days.follow()
    await desk.passed(hours=1)
    assert await keeper.book(await keeper.deal(Subscription(holder="ben", amount=D(500), moved=True), entry_id="in", reason=""))
    await desk.passed(hours=1)
    bank.pay("70")
    await days.follow()
    ledger, postings = await desk.journal.ledger(fund_of().name), await desk.journal.postings(fund_of().name, EARLIEST)
    assert [amount for _, amount in flows_of(ledger, postings)] == [D(500), D(70)]
    assert flows_of(ledger, []) == ((ledger.entries[1].at, D(500)),), "what was made of a posting is told by that posting alone"
