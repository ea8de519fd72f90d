"""Garbage from the exchange through the real binanceusdm class: refused as a whole, never taken for an answer."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueError, VenueRefused, VenueUnavailable
from keeper.domain.order import Accepted
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes import binance_messages
from tests.fakes.binance_usdm import BinanceUsdm, Fault
from tests.fakes.loopback_venue import BTC, order, venue_at

D = Decimal


Alter = Callable[[Any], Any]


def _first(**fields: Any) -> Alter:
    return lambda rows: [rows[0] | fields, *rows[1:]]


def _asset(**fields: Any) -> Alter:
    return lambda reply: reply | {"assets": [reply["assets"][0] | fields]}


def _all(**fields: Any) -> Alter:
    return lambda reply: reply | fields


def _without(name: str) -> Alter:
    return lambda reply: {key: value for key, value in reply.items() if key != name}


BAD_ACCOUNT: list[tuple[str, Alter]] = [
    ("v3/account", _asset(walletBalance="NaN")),
    ("v3/account", _asset(walletBalance=None)),
    ("v3/account", _asset(walletBalance="")),
    ("v3/account", _asset(walletBalance="1_000")),
    ("v3/account", _asset(walletBalance=True)),
    ("v3/account", _without("assets")),
    ("v3/account", lambda _reply: {}),
    ("v3/account", lambda _reply: []),
    ("v3/positionRisk", _first(positionAmt="nan")),
    ("v3/positionRisk", _first(positionAmt=None)),
    ("v3/positionRisk", _first(positionAmt="Infinity")),
    ("v3/positionRisk", _first(entryPrice="0")),
    ("v3/positionRisk", _first(entryPrice=None)),
    ("v3/positionRisk", _first(entryPrice="-1")),
    ("v3/positionRisk", _first(markPrice="NaN")),
    ("v3/positionRisk", _first(markPrice="0")),
    ("v3/positionRisk", lambda rows: [_without("positionAmt")(rows[0])]),
    ("v3/positionRisk", lambda _rows: {}),
]
BAD_QUOTE: list[tuple[str, Alter]] = [
    ("premiumIndex", _all(markPrice="NaN")),
    ("premiumIndex", _all(markPrice=None)),
    ("premiumIndex", _all(markPrice="-50000")),
    ("premiumIndex", _all(markPrice="0")),
    ("premiumIndex", _without("markPrice")),
    ("premiumIndex", lambda reply: reply | {"time": reply["time"] - 11_000}),
    ("premiumIndex", lambda reply: reply | {"time": reply["time"] + 11_000}),
    ("premiumIndex", _without("time")),
    ("premiumIndex", _all(time="99999999999999999999")),
    ("depth", lambda reply: reply | {"T": reply["T"] - 11_000}),
    ("depth", _without("T")),
    ("depth", _all(bids=[])),
    ("depth", _all(asks=None)),
    ("depth", _all(bids=[["NaN", "1"]])),
    ("depth", _all(bids=[["49999.9", "-1"]])),
    ("depth", _all(bids=[["49999.9"]])),
    ("depth", _all(bids=[[]])),
    ("depth", _all(bids=["49999.9"])),
    ("depth", _all(bids=[["60000", "1"]])),
    ("depth", lambda reply: reply | {"asks": reply["asks"][::-1]}),
]
BAD_DAY: list[tuple[str, Alter]] = [
    ("24hr", _all(volume="NaN")),
    ("24hr", _all(volume="-1")),
    ("24hr", _all(highPrice="0")),
    ("24hr", _all(lowPrice=None)),
    ("24hr", _all(lowPrice="60000", highPrice="50000")),
]


@pytest.mark.parametrize(("path", "alter"), BAD_ACCOUNT)
async def test_garbage_in_an_account_is_stale_data(server: BinanceUsdm, venue: CcxtVenue, path: str, alter: Alter) -> None:
    server.core.hold("BTCUSDT", D(3), D(50_000))
    server.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.account()


@pytest.mark.parametrize(("path", "alter"), BAD_QUOTE)
async def test_garbage_in_a_quote_is_stale_data(server: BinanceUsdm, venue: CcxtVenue, path: str, alter: Alter) -> None:
    server.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.quote(BTC)


@pytest.mark.parametrize(("path", "alter"), BAD_DAY)
async def test_garbage_in_a_day_is_stale_data(server: BinanceUsdm, venue: CcxtVenue, path: str, alter: Alter) -> None:
    server.faults.append(Fault(path, "alter", alter=alter))
    with pytest.raises(StaleData):
        await venue.stats(BTC)


HEDGED: list[Alter] = [
    _first(positionSide="LONG"),
    _first(positionSide="SHORT"),
    lambda rows: [rows[0], rows[0]],
]


@pytest.mark.parametrize("alter", HEDGED)
async def test_two_positions_in_one_market_are_refused(server: BinanceUsdm, venue: CcxtVenue, alter: Alter) -> None:
    server.core.hold("BTCUSDT", D(3), D(50_000))
    server.faults.append(Fault("positionRisk", "alter", alter=alter))
    with pytest.raises(VenueRefused, match="one-way") as refusal:
        await venue.account()
    assert refusal.value.code == "hedge_mode"


READS: list[tuple[str, Callable[[CcxtVenue], Any]]] = [
    ("v3/account", lambda venue: venue.account()),
    ("positionRisk", lambda venue: venue.account()),
    ("openOrders", lambda venue: venue.account()),
    ("depth", lambda venue: venue.quote(BTC)),
    ("premiumIndex", lambda venue: venue.quote(BTC)),
    ("24hr", lambda venue: venue.stats(BTC)),
]


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty", "half_json", "redirect", "422", "-1007"])
@pytest.mark.parametrize(("path", "read"), READS)
async def test_no_read_takes_garbage_for_an_answer(
    server: BinanceUsdm, venue: CcxtVenue, kind: str, path: str, read: Callable[[CcxtVenue], Any]
) -> None:
    server.faults.append(Fault(path, kind))
    with pytest.raises((VenueError, StaleData)):
        await read(venue)


@pytest.mark.parametrize("alter", [lambda _reply: {}, lambda _reply: {"symbols": []}])
async def test_an_exchange_without_markets_can_t_be_connected_to(server: BinanceUsdm, alter: Alter) -> None:
    server.faults.append(Fault("exchangeInfo", "alter", alter=alter))
    with pytest.raises(VenueUnavailable, match="no markets"):
        await venue_at(server).__aenter__()


BAD_TRADES = [
    _first(qty="NaN"),
    _first(price="0"),
    _first(commission=None),
    _first(side="HOLD"),
    _first(time=None),
    lambda rows: [_without("orderId")(rows[0])],
]


@pytest.mark.parametrize("alter", BAD_TRADES)
async def test_garbage_in_a_trade_makes_the_fills_unavailable(server: BinanceUsdm, venue: CcxtVenue, alter: Alter) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    server.faults.append(Fault("userTrades", "alter", alter=alter))
    with pytest.raises(VenueUnavailable):
        await venue.fills(BTC, outcome.report.order_id)


async def test_trades_that_go_back_may_not_be_all(server: BinanceUsdm, venue: CcxtVenue) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    [row] = [binance_messages.trade(one) for one in server.core.trades]
    server.faults.append(Fault("userTrades", "alter", alter=lambda _rows: [row] * 1000))
    with pytest.raises(VenueUnavailable, match="from 502 on, the venue answers with 501: some may be missing"):
        await venue.fills(BTC, outcome.report.order_id)
    assert len(server.seen("userTrades")) <= 10


async def test_trades_without_an_end_are_refused(server: BinanceUsdm, venue: CcxtVenue) -> None:
    outcome = await venue.place(order())
    assert isinstance(outcome, Accepted)
    server.core.trades += [replace(server.core.trades[0], id=number) for number in range(1000, 22_000)]
    with pytest.raises(VenueUnavailable, match="more than 20 pages"):
        await venue.fills(BTC, outcome.report.order_id)


async def test_open_orders_that_are_no_list_are_refused(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.faults.append(Fault("openOrders", "alter", alter=lambda _rows: {}))
    with pytest.raises((VenueError, StaleData)):
        await venue.account()


async def test_an_observation_whose_one_read_fails_leaves_no_other_behind(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D(3), D(50_000))
    server.faults.append(Fault("positionRisk", "alter", alter=_first(positionAmt="NaN")))
    server.faults.append(Fault("openOrders", "hang"))
    with pytest.raises(StaleData):
        await venue.account()
    assert len(server.seen("openOrders")) == 1
