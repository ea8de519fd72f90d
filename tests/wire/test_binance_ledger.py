"""The income history of Binance's futures, through the real classes: each posting once, whatever pages it comes in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import StaleData, VenueUnavailable
from keeper.domain.observation import FundingRate
from keeper.domain.statement import Posting, PostingKind
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.binance_usdm import BinanceUsdm, Fault
from tests.fakes.loopback_venue import BTC, ETH, order

D = Decimal
HOUR = timedelta(hours=1)


def since(server: BinanceUsdm, **back: float) -> datetime:
    return datetime.fromtimestamp(server.now() / 1000, UTC) - timedelta(**back)


async def told(venue: CcxtVenue, at: datetime) -> list[Posting]:
    found = await venue.ledger(at)
    assert found is not None
    return list(found)


async def test_funding_fees_and_transfers_are_told_and_realised_profit_is_not(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.hold("BTCUSDT", D(2), D(50_000))
    start, before = since(server, minutes=1), server.core.wallet["USDT"]
    server.core.pay("USDT", D(250))
    server.core.fund("BTCUSDT", D("0.0001"))
    await venue.place(order(amount=D("0.015")))
    found = await told(venue, start)
    kinds = {one.kind: one for one in found}
    assert set(kinds) == {PostingKind.TRANSFER, PostingKind.FUNDING, PostingKind.TRADING_FEE}
    assert (kinds[PostingKind.TRANSFER].amount, kinds[PostingKind.TRANSFER].symbol) == (D(250), "")
    assert (kinds[PostingKind.FUNDING].amount, kinds[PostingKind.FUNDING].symbol) == (server.core.fundings[0].amount, BTC)
    assert len({one.id for one in found}) == len(found)
    profit = sum((one.profit for one in server.core.trades), D(0))
    assert server.core.wallet["USDT"] == before + sum(one.amount for one in found) + profit
    assert [one.at for one in found] == sorted(one.at for one in found)


async def test_a_long_history_is_told_whole_and_each_posting_once(server: BinanceUsdm, venue: CcxtVenue) -> None:
    now = server.now()
    for number in range(2_500):
        server.core.pay("USDT", D(number + 1))
        payment = server.core.payments[-1]
        object.__setattr__(payment, "at", now - 1_000_000 + number * 300)
    found = await told(venue, since(server, hours=1))
    assert sorted(one.amount for one in found) == [D(number + 1) for number in range(2_500)]


async def test_a_look_far_back_ends_where_the_exchange_forgets(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.pay("USDT", D(1))
    assert len(await told(venue, since(server, days=1000))) == 1
    spans = [request for request in server.requests if request.path.endswith("/income")]
    assert len(spans) == 13


async def test_a_rate_and_how_often_it_is_paid_are_told(server: BinanceUsdm, venue: CcxtVenue) -> None:
    server.core.funding_hours["ETHUSDT"] = 4
    await venue.markets([BTC, ETH])
    assert await venue.funding(BTC) == FundingRate(rate=D("0.0001"), every=8 * HOUR)
    assert await venue.funding(ETH) == FundingRate(rate=D("0.0001"), every=4 * HOUR)


async def test_the_other_perpetuals_of_an_asset_are_named_dated_and_closed_ones_are_not(venue: CcxtVenue) -> None:
    assert all(symbol.startswith("BTC/") and "-" not in symbol and symbol != BTC for symbol in await venue.alike(BTC))
    assert await venue.alike(ETH) == ()


def _spoiled(rows: Any, **changes: object) -> Any:
    return [row | changes for row in rows]


GARBAGE = [
    lambda _rows: {},
    lambda _rows: [[]],
    lambda rows: _spoiled(rows, income="NaN"),
    lambda rows: _spoiled(rows, income=None),
    lambda rows: _spoiled(rows, asset=""),
    lambda rows: _spoiled(rows, time="yesterday"),
    lambda rows: [{key: value for key, value in row.items() if key != "tranId"} for row in rows],
    lambda rows: [*rows, *_spoiled(rows, income="7")],
]


@pytest.mark.parametrize("spoil", GARBAGE)
async def test_an_answer_that_can_not_be_read_whole_is_refused(server: BinanceUsdm, venue: CcxtVenue, spoil: Any) -> None:
    server.core.pay("USDT", D(1))
    server.faults.append(Fault("income", "alter", alter=spoil))
    with pytest.raises((StaleData, VenueUnavailable)):
        await venue.ledger(since(server, hours=1))
