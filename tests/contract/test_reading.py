"""What a venue says of its markets and its account is what is true there."""

from datetime import timedelta
from decimal import Decimal

from keeper.domain.market import MarketKind
from tests.contract.case import Ability, VenueCase
from tests.contract.cases import every
from tests.contract.wire_case import WireCase

D = Decimal
NEAR = D("1e-7")


@every()
async def test_a_market_has_the_venue_s_size_steps_and_minimums(case: VenueCase) -> None:
    async with case.opened() as world:
        markets = await world.venue.markets([case.main, case.second])
        for symbol, market in markets.items():
            rules = world.rules(symbol)
            told = (market.kind, market.contract_size, market.tick, market.lot)
            assert told == (rules.kind, rules.contract_size, rules.tick, rules.lot)
            assert (market.min_amount, market.min_cost) == (rules.min_amount, rules.min_cost)
            assert market.symbol == symbol
            assert market.settle == (market.base if market.kind is MarketKind.INVERSE else market.quote)


@every()
async def test_an_account_tells_balances_and_signed_positions_with_entry_and_mark(case: VenueCase) -> None:
    short = D(-6_000) if Ability.REDUCE_ONLY not in case.lacks else D(6_000)
    async with case.opened(held={case.main: D(10_000), case.second: short}) as world:
        account = await world.venue.account()
        assert {asset: amount for asset, amount in account.balances.items() if amount} == world.balances()
        assert account.open_orders == ()
        truth = world.positions()
        assert {symbol: held.contracts for symbol, held in account.positions.items()} == {
            symbol: held.contracts for symbol, held in truth.items()
        }
        assert Ability.REDUCE_ONLY in case.lacks or {held.contracts > 0 for held in truth.values()} == {True, False}
        for symbol, held in account.positions.items():
            assert abs(held.entry - truth[symbol].entry) <= truth[symbol].entry * NEAR
            assert abs(held.mark - truth[symbol].mark) <= truth[symbol].mark * NEAR
            assert held.worth in (None, abs(world.rules(symbol).worth(held.contracts, held.mark)))
            assert held.worth is not None or not isinstance(case, WireCase)
        markets = await world.venue.markets([case.main, case.second])
        for symbol, market in markets.items():
            whole = world.balances()[market.base] if market.kind is MarketKind.SPOT else truth[symbol].contracts
            assert account.held(market) == whole


@every(Ability.FREE_MARGIN)
async def test_an_account_tells_what_new_positions_may_bind(case: VenueCase) -> None:
    async with case.opened(held={case.main: D(10_000)}) as world:
        told, truth = (await world.venue.account()).free_margin, world.free_margin()
        assert told is not None
        assert truth is not None
        assert abs(told - truth) <= NEAR


@every()
async def test_a_quote_shows_the_mark_and_both_sides_of_the_book(case: VenueCase) -> None:
    async with case.opened() as world:
        quote = await world.venue.quote(case.main)
        for levels, sign in ((quote.book.asks, 1), (quote.book.bids, -1)):
            assert levels
            shown = world.displayed(case.main, sign)[: len(levels)]
            assert [(level.price, level.amount) for level in levels] == shown
        assert quote.book.faults() == ()
        assert abs(quote.mark - world.mark(case.main)) <= world.rules(case.main).tick
        assert abs(quote.book.at - world.venue.clock.now()) < timedelta(seconds=2)


@every(Ability.VOLUME)
async def test_a_day_has_a_volume_and_a_volatility(case: VenueCase) -> None:
    async with case.opened() as world:
        stats = await world.venue.stats(case.main)
        assert stats.volume > 0
        assert 0 <= stats.volatility < 1


@every()
async def test_the_venue_s_clock_is_told_in_utc(case: VenueCase) -> None:
    async with case.opened() as world:
        told = await world.venue.time()
        assert told.utcoffset() == timedelta(0)
        assert abs(told - world.venue.clock.now()) < timedelta(seconds=2)
