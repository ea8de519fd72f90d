"""Funding on the paper exchange, and its own ledger of what moved the account beside prices."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.market import Side
from keeper.domain.observation import FundingRate
from keeper.domain.statement import PostingKind
from keeper.venues.feeds.market_spec import MarketSpec
from keeper.venues.paper.persistence import PaperStore
from keeper.venues.paper.venue import PaperVenue
from tests.fakes.paper import PERP, START, fixed_feed, opening, order, paper_venue

D = Decimal
INVERSE = "BTC/USD:BTC"
HOUR = timedelta(hours=1)
PAID = MarketSpec(funding_bps=D(1), taker_bps=D(5))


def venue_of(
    positions: dict[str, tuple[str, str]] | None = None, *, path: Path | None = None, spec: MarketSpec = PAID
) -> PaperVenue:
    feed = fixed_feed({PERP: "100", INVERSE: "100"}, specs={PERP: spec, INVERSE: spec})
    return paper_venue(feed, opening({"USDT": "1000", "BTC": "10"}, positions), store=PaperStore(path, ""))


@pytest.mark.parametrize(
    ("symbol", "contracts", "asset", "amount"),
    [
        (PERP, "30", "USDT", "-0.3"),
        (PERP, "-30", "USDT", "0.3"),
        (INVERSE, "300", "BTC", "-0.0003"),
        (INVERSE, "-300", "BTC", "0.0003"),
    ],
)
async def test_longs_pay_shorts_every_eight_hours(symbol: str, contracts: str, asset: str, amount: str) -> None:
    async with venue_of({symbol: (contracts, "100")}) as venue:
        before = (await venue.account()).balances[asset]
        await venue.clock.sleep_until(START + 7 * HOUR)
        assert (await venue.account()).balances[asset] == before
        await venue.clock.sleep_until(START + 16 * HOUR)
        assert (await venue.account()).balances[asset] == before + 2 * D(amount)
        told = await venue.ledger(START)
        assert [(one.at - START, one.kind, one.asset, one.amount, one.symbol) for one in told] == [
            (hours * HOUR, PostingKind.FUNDING, asset, D(amount), symbol) for hours in (8, 16)
        ]
        assert await venue.ledger(START + 9 * HOUR) == told[1:]


async def test_the_position_of_the_instant_pays_and_not_one_that_came_later() -> None:
    async with venue_of() as venue:
        await venue.clock.sleep_until(START + 9 * HOUR)
        await venue.place(order("a", Side.BUY, "10", "101"))
        await venue.clock.sleep_until(START + 17 * HOUR)
        await venue.place(order("b", Side.SELL, "10", "99"))
        told = await venue.ledger(START)
        assert [(one.kind, one.amount) for one in told] == [
            (PostingKind.TRADING_FEE, D("-0.5")),
            (PostingKind.FUNDING, D("-0.1")),
            (PostingKind.TRADING_FEE, D("-0.5")),
        ]
        assert (await venue.account()).balances["USDT"] == 1000 + sum(one.amount for one in told)
        assert len({one.id for one in told}) == 3


async def test_what_was_paid_outlives_the_process_and_what_fell_due_meanwhile_is_paid(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    async with venue_of({PERP: ("30", "100")}, path=path) as venue:
        await venue.clock.sleep_until(START + 9 * HOUR)
        told = await venue.ledger(START)
        assert len(told) == 1
    async with venue_of({PERP: ("30", "100")}, path=path) as venue:
        assert await venue.ledger(START) == told
        await venue.clock.sleep_until(START + 25 * HOUR)
        assert [one.at - START for one in await venue.ledger(START)] == [8 * HOUR, 16 * HOUR, 24 * HOUR]
        assert (await venue.account()).balances["USDT"] == D("999.1")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in document.items() if key not in ("postings", "funded_at")}))
    async with venue_of(path=path) as venue:
        assert await venue.ledger(START) == ()


async def test_a_market_without_funding_pays_none() -> None:
    async with venue_of({PERP: ("30", "100")}, spec=MarketSpec()) as venue:
        await venue.clock.sleep_until(START + 25 * HOUR)
        assert (await venue.ledger(START), await venue.funding(PERP)) == ((), None)
    async with venue_of() as venue:
        assert await venue.funding(PERP) == FundingRate(rate=D("0.0001"), every=8 * HOUR)


@pytest.mark.parametrize(("symbol", "bps", "words"), [("BTC/USDT", "1", "spot market has no funding"), (PERP, "99999", "write")])
def test_funding_that_can_not_be_is_refused_in_words(symbol: str, bps: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MarketSpec(funding_bps=D(bps)).market(symbol)
