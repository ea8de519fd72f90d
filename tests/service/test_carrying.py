"""What holding costs: of a contract the position pays funding, whatever coins stand behind it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from keeper.domain.observation import FundingRate
from keeper.ports import MarketData
from keeper.service.carrying import carry_of
from tests.fakes.markets import holding, inverse, observe, quote

COIN = "BTC/USD:BTC"


class Rates:
    """Tells a rate of 1 bp each 8 hours, and no other market."""

    async def funding(self, _symbol: str) -> FundingRate:
        return FundingRate(rate=Decimal("0.0001"), every=timedelta(hours=8))

    async def alike(self, _symbol: str) -> tuple[str, ...]:
        return ()


async def carried(contracts: str) -> dict[str, Any]:
    """Of an account of one bitcoin at 50,000 with so many contracts of a dollar."""
    positions = holding(COIN, contracts, "50000") if Decimal(contracts) else {}
    observation = observe({"BTC": "1"}, {inverse(): quote("50000")}, positions)
    return await carry_of(cast("MarketData", Rates()), observation)


async def test_coins_that_back_no_position_pay_no_funding() -> None:
    assert (await carried("0"))["markets"] == []


async def test_of_coins_that_are_hedged_the_hedge_earns_funding() -> None:
    told = await carried("-50000")
    assert [(one["market"], Decimal(one["leverage"])) for one in told["markets"]] == [(COIN, Decimal(-1))]
    assert Decimal(told["yearly"]) == Decimal("-0.1095")
