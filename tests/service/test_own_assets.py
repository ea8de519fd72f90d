"""A fund sees the balances that are its own: what else is in the account is neither worth nor exposure, nor in its way."""

from decimal import Decimal

import pytest

from keeper.domain.errors import StaleData
from keeper.service.observer import Observer
from tests.fakes.paper import fixed_feed, opening, paper_venue

D = Decimal
SPOT = "BTC/USDT"
HELD = {"BTC": "1", "USDT": "300", "DOGE": "5000"}


async def test_other_assets_are_neither_counted_nor_priced() -> None:
    async with paper_venue(fixed_feed({SPOT: "100"}), opening(HELD)) as venue:
        observer = await Observer.on(venue, [SPOT], None, venue.clock, {"BTC", "USDT"})
        observation = await observer.observe()
    assert observation.account.balances == {"BTC": D(1), "USDT": D(300)}
    assert observation.valuation().nav == 400
    assert observation.valuation().leverage(SPOT) == D("0.25")


async def test_where_all_of_the_account_is_the_fund_s_an_asset_without_a_price_is_an_error() -> None:
    async with paper_venue(fixed_feed({SPOT: "100"}), opening(HELD)) as venue:
        observer = await Observer.on(venue, [SPOT], None, venue.clock)
        observation = await observer.observe()
    with pytest.raises(StaleData, match="no price for DOGE"):
        observation.valuation()


async def test_an_asset_that_is_kept_counts_at_its_price() -> None:
    async with paper_venue(fixed_feed({SPOT: "100", "DOGE/USDT": "0.1"}), opening(HELD)) as venue:
        observer = await Observer.on(venue, [SPOT, "DOGE/USDT"], None, venue.clock, {"BTC", "USDT", "DOGE"})
        valuation = (await observer.observe()).valuation()
    assert valuation.nav == 900
    assert valuation.exposures == {SPOT: D(100), "DOGE/USDT": D(500)}
