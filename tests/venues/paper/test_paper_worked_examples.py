"""The worked examples on the account itself: what a paper exchange returns is worth what the book says."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from keeper.domain.account import Account
from keeper.domain.market import Side
from keeper.domain.numbers import rounded
from keeper.domain.observation import Observation
from keeper.domain.order import Accepted, ChildState
from keeper.ports import Venue
from keeper.venues.feeds.fixed import FixedFeed
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.paper import fixed_feed, opening, order, paper_venue

TICK = Decimal(1) / 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    symbol: str
    currency: str
    feed: FixedFeed
    start: Account
    nav: str
    leverage: str
    buy: str  # contracts to 3x
    nav_after: str


def example(name: str) -> Example:
    fine = MarketSpec(lot=TICK)
    costly = MarketSpec(lot=Decimal("0.001"), taker_bps=Decimal(5))
    match name:
        case "1: linear after a rise of 5 %":
            symbol = "BTC/USDT:USDT"
            return Example(
                symbol=symbol,
                currency="USDT",
                feed=fixed_feed({symbol: "105"}, specs={symbol: fine}),
                start=opening({"USDT": "100"}, {symbol: ("3", "100")}),
                nav="115",
                leverage="2.739130",
                buy="0.285714",
                nav_after="115",
            )
        case "2: spot on credit":
            symbol = "ETH/USD"
            return Example(
                symbol=symbol,
                currency="USD",
                feed=fixed_feed({symbol: "210"}, specs={symbol: fine}),
                start=opening({"USD": "-20000", "ETH": "150"}),
                nav="11500",
                leverage="2.739130",
                buy="14.285714",
                nav_after="11500",
            )
        case "7b: inverse with the coin as equity":
            symbol = "BTC/USD:BTC"
            return Example(
                symbol=symbol,
                currency="USD",
                feed=fixed_feed({symbol: "52500"}, specs={symbol: costly}),
                start=opening({"BTC": "1"}, {symbol: ("100000", "50000")}),
                nav="57500",
                leverage="2.739130",
                buy="14985.015",
                nav_after="57492.50749",  # less 5 bps of 14,985.015
            )
    raise AssertionError(name)


async def observe(venue: Venue, symbol: str, currency: str) -> Observation:
    quote = await venue.quote(symbol)
    return Observation(
        account=await venue.account(),
        markets=await venue.markets([symbol]),
        quotes={symbol: quote},
        currency=currency,
        at=venue.clock.now(),
        stats={},
    )


@pytest.mark.parametrize("name", ["1: linear after a rise of 5 %", "2: spot on credit", "7b: inverse with the coin as equity"])
async def test_nav_and_leverage_before_and_after_the_trade(name: str) -> None:
    case = example(name)
    async with paper_venue(case.feed, case.start) as venue:
        before = (await observe(venue, case.symbol, case.currency)).valuation()
        assert rounded(before.nav, 9) == Decimal(case.nav)
        assert str(rounded(before.net_leverage, 6)) == case.leverage

        price = (await venue.quote(case.symbol)).book.mid
        outcome = await venue.place(order("a", Side.BUY, case.buy, price, symbol=case.symbol))
        assert isinstance(outcome, Accepted)
        assert (outcome.report.state, outcome.report.average) == (ChildState.FILLED, price)

        after = (await observe(venue, case.symbol, case.currency)).valuation()
        assert rounded(after.nav, 5) == Decimal(case.nav_after)
        assert abs(after.net_leverage - 3) < TICK * 3


async def test_an_inverse_position_pays_its_fee_in_the_coin() -> None:
    case = example("7b: inverse with the coin as equity")
    async with paper_venue(case.feed, case.start) as venue:
        outcome = await venue.place(order("a", Side.BUY, "10500", "52500", symbol=case.symbol))
        assert isinstance(outcome, Accepted)
        (fill,) = await venue.fills(case.symbol, outcome.report.order_id)
        assert (fill.fee_asset, fill.fee) == ("BTC", Decimal("0.0001"))  # 5 bps of 0.2 BTC
        assert (await venue.account()).balances["BTC"] == Decimal("0.9999")


async def test_a_position_carries_the_current_mark_and_nothing_rests() -> None:
    case = example("1: linear after a rise of 5 %")
    async with paper_venue(case.feed, case.start) as venue:
        account = await venue.account()
        position = account.positions[case.symbol]
        assert (position.contracts, position.entry, position.mark) == (Decimal(3), Decimal(100), Decimal(105))
        assert account.open_orders == ()
        assert account.at == venue.clock.now()
