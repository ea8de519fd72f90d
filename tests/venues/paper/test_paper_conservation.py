"""At a standing price, equity only ever changes by fees and by what was paid against the mark."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.account import value
from keeper.domain.market import Side
from keeper.domain.order import Accepted, OrderRequest
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.paper import fixed_feed, opening, order, paper_venue

PRICES = {"BTC/USDT:USDT": "1000", "ETH/USDT": "100"}
INVERSE = {"BTC/USD:BTC": "1000"}
SPEC = MarketSpec(lot=Decimal("0.01"), taker_bps=Decimal(4))
TOLERANCE = Decimal("1e-20")


@st.composite
def sequences(draw: st.DrawFn, symbols: dict[str, str]) -> list[OrderRequest]:
    count = draw(st.integers(1, 12))
    requests = []
    for number in range(count):
        symbol = draw(st.sampled_from(sorted(symbols)))
        side = draw(st.sampled_from(Side))
        limit = Decimal(symbols[symbol]) * (1 + side.sign * draw(st.sampled_from([Decimal(0), Decimal("0.01")])))
        amount = Decimal(draw(st.integers(1, 2000))) / 100
        requests.append(order(f"o{number}", side, amount, limit, symbol=symbol, reduce_only=draw(st.booleans())))
    return requests


async def check(requests: list[OrderRequest], prices: dict[str, str], balances: dict[str, str], currency: str) -> None:
    feed = fixed_feed(prices, spread_bps="7", depth="15", specs=dict.fromkeys(prices, SPEC))
    marks = {symbol: Decimal(price) for symbol, price in prices.items()}
    async with paper_venue(feed, opening(balances), borrow=True) as venue:
        markets = await venue.markets(list(prices))
        start = value(await venue.account(), markets.values(), marks, currency).nav
        paid = Decimal(0)
        held = dict.fromkeys(prices, Decimal(0))
        for request in requests:
            outcome = await venue.place(request)
            if not isinstance(outcome, Accepted):
                continue
            market, mark = markets[request.symbol], marks[request.symbol]
            for fill in await venue.fills(request.symbol, outcome.report.order_id):
                assert (request.price - fill.price) * fill.side.sign >= 0
                unit = mark if market.settle != currency else Decimal(1)
                paid += fill.fee * unit - market.profit(fill.amount * fill.side.sign, fill.price, mark) * unit
                held[request.symbol] += fill.amount * fill.side.sign
            assert outcome.report.filled <= request.amount
        account = await venue.account()
        end = value(account, markets.values(), marks, currency).nav
        assert abs(start - end - paid) < TOLERANCE
        assert paid >= 0
        for symbol, contracts in held.items():
            assert account.held(markets[symbol]) == contracts + Decimal(balances.get(markets[symbol].base, "0")) * (
                markets[symbol].settle == markets[symbol].quote and ":" not in symbol
            )


@settings(deadline=None)
@given(requests=sequences(PRICES))
async def test_linear_and_spot_together(requests: list[OrderRequest]) -> None:
    await check(requests, PRICES, {"USDT": "10000", "ETH": "20"}, "USDT")


@settings(deadline=None)
@given(requests=sequences(INVERSE))
async def test_inverse(requests: list[OrderRequest]) -> None:
    await check(requests, INVERSE, {"BTC": "3"}, "USD")
