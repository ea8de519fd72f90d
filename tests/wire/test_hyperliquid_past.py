"""Orders and trades of the past through the real hyperliquid class: what a status stands for, and what only trades tell."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.order import ChildState
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.exchange_core import Forced
from tests.fakes.hyperliquid import Hyperliquid, about, hyperliquid_core, theirs
from tests.fakes.loopback_venue import order, venue_at

D = Decimal
BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID = "kpr0123456789abcdef0123456789"


@pytest.fixture
async def server() -> AsyncIterator[Hyperliquid]:
    async with Hyperliquid(core=hyperliquid_core()) as exchange:
        yield exchange


@pytest.fixture
async def venue(server: Hyperliquid) -> AsyncIterator[CcxtVenue]:
    async with venue_at(server) as connected:
        server.requests.clear()
        yield connected


STATES = [
    ("open", ChildState.LIVE),
    ("triggered", ChildState.LIVE),
    ("canceled", ChildState.CANCELED),
    ("marginCanceled", ChildState.CANCELED),
    ("scheduledCancel", ChildState.CANCELED),
    ("newReasonCanceled", ChildState.CANCELED),
    ("iocCancelRejected", ChildState.CANCELED),
    ("rejected", ChildState.REJECTED),
    ("perpMarginRejected", ChildState.REJECTED),
    ("newReasonRejected", ChildState.REJECTED),
]


@pytest.mark.parametrize(("status", "state"), STATES)
async def test_a_lookup_reports_what_the_status_stands_for(
    server: Hyperliquid, venue: CcxtVenue, status: str, state: ChildState
) -> None:
    server.core.rest(theirs(ID), "BTC", 1, D("0.1"), D(49_000))
    server.faults.append(about("orderStatus", lambda reply: reply | {"order": reply["order"] | {"status": status}}))
    found = await venue.lookup(BTC, ID)
    assert found is not None
    assert (found.state, found.filled, found.average) == (state, D(0), None)


@pytest.mark.parametrize("change", [{"status": "pondering"}, {"status": None}, {"statusTimestamp": "x"}, {"order": {}}])
async def test_a_lookup_that_can_t_be_read_is_unavailable(server: Hyperliquid, venue: CcxtVenue, change: dict[str, Any]) -> None:
    server.core.rest(theirs(ID), "BTC", 1, D("0.1"), D(49_000))
    server.faults.append(about("orderStatus", lambda reply: reply | {"order": reply["order"] | change}))
    with pytest.raises(VenueUnavailable):
        await venue.lookup(BTC, ID)


async def test_a_lookup_of_an_order_in_another_market_is_refused(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.rest(theirs(ID), "BTC", 1, D("0.1"), D(49_000))
    with pytest.raises(VenueUnavailable, match="about BTC"):
        await venue.lookup(ETH, ID)


@pytest.mark.parametrize("told_of", [0, 1])
async def test_an_order_whose_trades_are_told_later_is_not_done_until_then(
    server: Hyperliquid, venue: CcxtVenue, told_of: int
) -> None:
    await venue.place(order(symbol=BTC, client_id=ID, amount=D("1.5"), price=D(50_010)))
    server.faults.append(about("userFillsByTime", lambda reply: reply[:told_of]))
    found = await venue.lookup(BTC, ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.LIVE, sum((one.amount for one in server.core.trades[:told_of]), D(0)))
    with pytest.raises(VenueUnavailable, match="trades of"):
        await venue.orders(BTC, EPOCH + timedelta(milliseconds=server.now() - 1000))
    server.faults.clear()
    found = await venue.lookup(BTC, ID)
    assert found is not None
    assert (found.state, found.filled) == (ChildState.FILLED, D("1.5"))


async def test_a_rebate_is_a_negative_fee(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.fee_rate = D("-0.00001")
    await venue.place(order(symbol=BTC, client_id=ID, amount=D("0.5"), price=D(50_010)))
    [held] = server.core.orders.values()
    fills = await venue.fills(BTC, str(held.id))
    assert [fill.fee for fill in fills] == [one.fee for one in server.core.trades]
    assert all(fill.fee < 0 for fill in fills)


@pytest.mark.parametrize("count", [1999, 2000, 2001, 4500])
async def test_every_trade_is_read_though_an_answer_holds_two_thousand(server: Hyperliquid, venue: CcxtVenue, count: int) -> None:
    await venue.place(order(symbol=BTC, client_id=ID, amount=D("0.5"), price=D(50_010)))
    [first] = server.core.trades
    started = server.now() - 10_000
    server.core.orders[first.order_id].at = started
    server.core.trades = [replace(first, id=first.id + number, at=started + number) for number in range(count)]
    found = await venue.fills(BTC, str(first.order_id))
    assert [fill.trade_id for fill in found] == [str(first.id + number) for number in range(count)]


async def test_trades_beyond_what_the_exchange_remembers_are_not_taken_for_all(server: Hyperliquid, venue: CcxtVenue) -> None:
    await venue.place(order(symbol=BTC, client_id=ID, amount=D("0.5"), price=D(50_010)))
    [first] = server.core.trades
    started = server.now() - 20_000
    server.core.orders[first.order_id].at = started
    server.core.trades = [replace(first, id=first.id + number, at=started + number) for number in range(10_000)]
    with pytest.raises(VenueUnavailable, match="forgotten"):
        await venue.fills(BTC, str(first.order_id))


async def test_trades_of_an_order_that_is_forgotten_are_unavailable(venue: CcxtVenue) -> None:
    with pytest.raises(VenueUnavailable, match="forgotten"):
        await venue.fills(BTC, "12345")


@pytest.mark.parametrize("kind", list(Forced))
async def test_a_forced_trade_is_told_though_no_order_of_it_is_listed(
    server: Hyperliquid, venue: CcxtVenue, kind: Forced
) -> None:
    server.core.hold("BTC", D("1.5"), D(48_000))
    server.core.force("BTC", kind)
    [one] = await venue.orders(BTC, EPOCH + timedelta(milliseconds=server.now() - 1000))
    assert (one.forced, one.is_ours, one.signed, one.state) == (True, False, D("-1.5"), ChildState.FILLED)
    assert one.average == D(50_000)
    assert await venue.orders(ETH, EPOCH + timedelta(milliseconds=server.now() - 1000)) == ()


async def test_the_past_is_not_whole_where_the_exchange_forgot_some(server: Hyperliquid, venue: CcxtVenue) -> None:
    now = server.now()
    for number in range(2001):
        one = server.core.rest("", "ETH", 1, D(1), D(2_400), at=now - 2001 + number)
        server.core.cancel("ETH", order_id=one.id, client_id=None)
    with pytest.raises(VenueUnavailable, match="forgot"):
        await venue.orders(BTC, EPOCH + timedelta(milliseconds=now - 5000))
    assert await venue.orders(BTC, EPOCH + timedelta(milliseconds=now - 1000)) == ()


async def test_a_partly_filled_order_that_rests_is_told_with_its_average(server: Hyperliquid, venue: CcxtVenue) -> None:
    held = server.core.rest(theirs(ID), "BTC", 1, D(2), D(49_000))
    server.core.book(held, D("0.5"), D(49_000))
    [one] = (await venue.account()).open_orders
    assert (one.client_id, one.filled, one.average, one.state) == (ID, D("0.5"), D(49_000), ChildState.LIVE)


async def test_an_order_that_has_no_client_id_at_all_is_a_stranger_s(server: Hyperliquid, venue: CcxtVenue) -> None:
    server.core.rest("", "BTC", 1, D("0.1"), D(49_000))

    def left_out(rows: Any) -> Any:
        return [{name: value for name, value in one.items() if name != "cloid"} for one in rows]

    server.faults.append(about("frontendOpenOrders", left_out))
    [one] = (await venue.account()).open_orders
    assert (one.client_id, one.is_ours) == ("", False)


@pytest.mark.parametrize(("cloid", "ours"), [("0x6b7072" + "A" * 26, True), ("0x6b7073" + "a" * 26, False), (None, False)])
async def test_a_client_id_is_ours_by_the_letters_it_begins_with(
    server: Hyperliquid, venue: CcxtVenue, cloid: str | None, *, ours: bool
) -> None:
    server.core.rest(cloid or "", "BTC", 1, D("0.1"), D(49_000))
    [one] = (await venue.account()).open_orders
    assert one.is_ours is ours
    assert one.client_id == ("kpr" + "a" * 26 if ours else (cloid or "").lower())
