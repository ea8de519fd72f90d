"""The stops that a fund keeps on the exchange: a table of worked ones, and laws for any fund."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.domain.account import Position
from keeper.domain.market import Side
from keeper.domain.numbers import sign
from keeper.domain.observation import Observation
from keeper.domain.order import Fill
from keeper.policy.emergency import Emergency, assess
from keeper.policy.resident import MOST, ResidentStop, _parts, resident_stops, serves
from tests.fakes.markets import BTC, ETH, holding, inverse, linear, observe, quote, spot

D = Decimal
AT_FOUR = Emergency(max_leverage=D(4), to=D(3))
LOT = D("0.001")


def fund_at(*multiples: str, price: str = "7950", lot: str = "0.001", tick: str = "0.1", liquidation: str = "") -> Observation:
    """A fund of 100,000 at these signed multiples of Bitcoin, and of Ether (at 200) where there is a second one."""
    prices = {BTC: price, ETH: "200"}
    held = dict(zip((BTC, ETH), multiples, strict=False))
    positions = {
        symbol: Position(
            symbol=symbol,
            contracts=D(multiple) * 100_000 / D(prices[symbol]),
            entry=D(prices[symbol]),
            mark=D(prices[symbol]),
            liquidation=D(liquidation) if liquidation and symbol == BTC else None,
        )
        for symbol, multiple in held.items()
        if D(multiple)
    }
    markets = {linear(symbol, lot=lot, tick=tick): quote(prices[symbol]) for symbol in held}
    return observe({"USDT": "100000"}, markets, positions)


def gone_off(observation: Observation, stop: ResidentStop, *, filled: bool = True) -> Observation:
    """The account once the mark came to the trigger of ``stop``, and, where it filled, what that left of it."""
    at = replace(
        observation, quotes={**observation.quotes, stop.symbol: replace(observation.quotes[stop.symbol], mark=stop.trigger)}
    )
    held = at.account.positions[stop.symbol]
    market = at.markets[stop.symbol]
    traded = stop.amount * stop.side.sign * filled
    left = held.contracts + traded
    profit = market.profit(-traded, held.entry, stop.trigger)
    balances = {**at.account.balances, market.settle: at.account.balances.get(market.settle, D(0)) + profit}
    positions = {symbol: one for symbol, one in at.account.positions.items() if symbol != stop.symbol}
    if left:
        positions[stop.symbol] = replace(held, contracts=left)
    return replace(at, account=replace(at.account, balances=balances, positions=positions))


@pytest.mark.parametrize(
    ("held", "side", "trigger", "amount"),
    [
        # 3x is 4x after -11.1 %: 37.736 held, NAV is 66,667 there, so that 200,000 of 266,667 are kept
        pytest.param("3", Side.SELL, "7066.7", "9.434", id="3x"),
        pytest.param("-3", Side.BUY, "8479.9", "9.433", id="-3x"),
    ],
)
def test_a_stop_of_one_market(held: str, side: Side, trigger: str, amount: str) -> None:
    stop, *_ = resident_stops(AT_FOUR, fund_at(held))
    assert stop == ResidentStop(symbol=BTC, side=side, amount=D(amount), trigger=D(trigger))


@given(
    multiples=st.lists(st.decimals(min_value="-3", max_value="3", places=3), min_size=1, max_size=2),
    level=st.decimals(min_value="3", max_value="8", places=2),
    to=st.decimals(min_value="0.5", max_value="7", places=2),
)
def test_laws_of_any_stop(multiples: list[Decimal], level: Decimal, to: Decimal) -> None:
    assume(to < level)
    emergency = Emergency(max_leverage=level, to=to)
    start = fund_at(*map(str, multiples))
    before_it = dict.fromkeys(start.markets, start)
    for stop in resident_stops(emergency, start):
        observation = before_it[stop.symbol]
        held, mark = observation.account.positions[stop.symbol], observation.marks[stop.symbol]
        assert stop.side.sign == -sign(held.contracts)
        assert 0 < stop.amount <= abs(held.contracts)
        assert sign(mark - stop.trigger) == sign(held.contracts)
        before, after = (assess(emergency, gone_off(observation, stop, filled=filled)) for filled in (False, True))
        tick = observation.markets[stop.symbol].tick
        steep = abs(held.contracts) * tick / before.nav * (1 + level)
        assert level - 2 * steep <= before.gross <= level
        others = before.gross - abs(held.contracts) * stop.trigger / before.nav
        lots = (LOT + observation.markets[stop.symbol].lot) * stop.trigger / before.nav
        assert after.gross <= max(to, others) + lots
        assert after.gross >= min(to, before.gross) - lots
        before_it[stop.symbol] = gone_off(observation, stop)


def test_the_way_to_liquidation_may_come_first() -> None:
    stop, *_ = resident_stops(AT_FOUR, fund_at("3", liquidation="7400"))
    assert stop.trigger == D("7589.8")  # a fortieth of the price away from there
    # at half of the safe distance half of the position is kept, and leverage asks for less than that
    assert stop.amount == D("18.863")
    far, *_ = resident_stops(AT_FOUR, fund_at("3", liquidation="6000"))
    assert far.trigger == D("7066.7")
    # far below the leverage of an emergency it is the distance alone that asks for anything
    [low] = resident_stops(AT_FOUR, fund_at("1", liquidation="7000"))
    assert (low.trigger, low.amount) == (D("7179.5"), D("6.289"))
    short, *_ = resident_stops(AT_FOUR, fund_at("-3", liquidation="8300"))
    assert short.trigger == D("8097.5")


def test_what_needs_none() -> None:
    assert resident_stops(AT_FOUR, fund_at("0")) == ()
    assert resident_stops(AT_FOUR, fund_at("4.1")) == (), "it is one now"
    assert resident_stops(Emergency(max_leverage=None, to=D(1)), fund_at("1")) == (), "no price leads to one"
    assert resident_stops(AT_FOUR, fund_at("3", lot="100")) == (), "less is held than a lot"
    coins = observe({"USD": "0", "ETH": "3"}, {spot(): quote("200")})
    assert resident_stops(Emergency(max_leverage=D(2), to=D(1)), coins) == ()
    # a rise leads a small long to a level below one, and no emergency is ended by selling what has risen
    assert resident_stops(Emergency(max_leverage=D("0.9"), to=D("0.5")), fund_at("0.5")) == ()
    # the next tick is where the mark is
    assert resident_stops(AT_FOUR, fund_at("3.9999", tick="1000", price="8000")) == ()


def test_a_loss_that_leaves_nothing_takes_all() -> None:
    emergency = Emergency(max_leverage=None, to=D(3))
    stop, *_ = resident_stops(emergency, fund_at("3", liquidation="5000"))
    assert stop.amount == D("37.735")


def test_those_that_are_to_go_off_next_rest_as_well() -> None:
    stops = resident_stops(AT_FOUR, fund_at("3"))
    assert [stop.trigger for stop in stops] == [D("7066.7"), D("6281.5"), D("5583.5"), D("4963.1")]
    assert [stop.amount for stop in stops] == [D("9.434"), D("7.076"), D("5.306"), D("3.980")]


def test_one_lot_more_than_needed_and_no_less_than_the_least_order() -> None:
    market = replace(linear(lot="0.001", tick="0.1"), min_amount=D(20))
    observation = fund_at("3")
    observation = replace(observation, markets={BTC: market})
    stop, *_ = resident_stops(AT_FOUR, observation)
    assert stop.amount == D(20)


def test_coins_that_a_short_hedges_are_not_uncovered() -> None:
    market = replace(inverse(lot="1"), tick=D("0.1"))
    hedged = observe({"BTC": "1"}, {market: quote("100")}, holding(market.symbol, "-60", "100"))
    assert resident_stops(Emergency(max_leverage=D("0.45"), to=D("0.4")), hedged) == ()


def test_a_short_paid_for_in_coins_is_cut_as_far_as_its_exposure() -> None:
    market = replace(inverse(lot="1"), tick=D("0.1"))
    short = observe({"BTC": "10"}, {market: quote("100")}, holding(market.symbol, "-3000", "100"))
    emergency = Emergency(max_leverage=D(4), to=D(3))
    stop, *_ = resident_stops(emergency, short)
    assert stop.side is Side.BUY
    assert stop.trigger > 100
    assert assess(emergency, gone_off(short, stop)).gross <= D("3.01")


def test_when_one_that_rests_will_do() -> None:
    wanted, *_ = resident_stops(AT_FOUR, fund_at("3"))
    assert serves(wanted, wanted)
    assert serves(replace(wanted, trigger=wanted.trigger * D("1.0009")), wanted)
    assert not serves(replace(wanted, trigger=wanted.trigger * D("1.0011")), wanted)
    assert not serves(replace(wanted, amount=wanted.amount + LOT), wanted)
    assert not serves(replace(wanted, side=Side.BUY), wanted)
    assert not serves(replace(wanted, symbol=ETH), wanted)


def test_a_stop_above_the_largest_order_is_split_into_equal_ones_a_tick_apart() -> None:
    fund = fund_at("3")
    whole = resident_stops(AT_FOUR, fund)
    worth = whole[0].amount * whole[0].trigger
    parts = resident_stops(AT_FOUR, fund, worth * D("0.4"))
    first = parts[:3]
    assert sum(part.amount for part in first) == whole[0].amount
    assert max(part.amount for part in first) - min(part.amount for part in first) <= LOT
    assert [whole[0].trigger - part.trigger for part in first] == [D(0), D("0.1"), D("0.2")]
    assert all(part.amount * part.trigger <= worth * D("0.4") for part in parts)
    assert len(parts) <= MOST
    assert resident_stops(AT_FOUR, fund, worth * 2) == whole


def test_a_stop_that_can_not_be_split_so_small_is_asked_for_whole() -> None:
    fund = fund_at("3", lot="2")
    whole = resident_stops(AT_FOUR, fund)
    assert resident_stops(AT_FOUR, fund, D(100)) == whole
    assert whole


@given(st.decimals("1.1", "3.8", places=2), st.decimals("500", "200000", places=0))
def test_parts_of_stops_are_distinct_and_no_more_than_the_stops(held: Decimal, largest: Decimal) -> None:
    fund = fund_at(str(held))
    whole, parts = resident_stops(AT_FOUR, fund), resident_stops(AT_FOUR, fund, largest)
    assert len(set(parts)) == len(parts) <= MOST
    assert sum(part.amount for part in parts) <= sum(stop.amount for stop in whole)
    assert all(part.amount * part.trigger <= largest for part in parts) or len(parts) == len(whole)


def test_coins_and_a_perpetual_of_the_same_coin_move_together() -> None:
    perp = fund_at("2")
    coins = D(100_000) / D(7950)
    both = observe(
        {"USDT": "0", "BTC": str(coins)},
        {linear(BTC, lot="0.001", tick="0.1"): quote("7950"), spot("BTC/USDT"): quote("7950")},
        dict(perp.account.positions),
    )
    stop, *_ = resident_stops(Emergency(max_leverage=D("3.6"), to=D(3)), both)
    # 100,000 of NAV with 300,000 of Bitcoin: (3 - 3 x) / (1 - 3 x) = 3.6 at x = 0.6 / 7.8
    assert stop.symbol == BTC
    assert abs(stop.trigger - D(7950) * (1 - D("0.6") / D("7.8"))) <= D("0.1")
    there = replace(both, quotes={symbol: replace(one, mark=stop.trigger) for symbol, one in both.quotes.items()})
    left = replace(there, account=there.account.after(_filled(stop, there), there.markets[BTC])).valuation()
    assert abs(left.gross_leverage - 3) < D("0.001")


def test_what_hedges_coins_has_no_stop_for_its_leverage() -> None:
    coins = D(100_000) / D(7950)
    hedged = observe(
        {"USDT": "0", "BTC": str(coins)},
        {linear(BTC, lot="0.001", tick="0.1"): quote("7950"), spot("BTC/USDT"): quote("7950")},
        dict(fund_at("-1").account.positions),
    )
    assert resident_stops(Emergency(max_leverage=D("3.6"), to=D(3)), hedged) == ()


def _filled(stop: ResidentStop, observation: Observation) -> Fill:
    market = observation.markets[stop.symbol]
    return Fill(
        trade_id="t",
        symbol=stop.symbol,
        side=stop.side,
        amount=stop.amount,
        price=stop.trigger,
        fee=D(0),
        fee_asset=market.settle,
        at=observation.at,
    )


def test_of_two_perpetuals_of_a_coin_each_rung_takes_what_both_of_them_leave() -> None:
    other = "BTC/USDC:USDC"
    half = fund_at("1.5").account.positions[BTC]
    markets = {linear(symbol, lot="0.001", tick="0.1"): quote("7950") for symbol in (BTC, other)}
    markets = {replace(market, quote="USDT", settle="USDT"): told for market, told in markets.items()}
    both = observe({"USDT": "100000"}, markets, {BTC: half, other: replace(half, symbol=other)})
    alone = resident_stops(AT_FOUR, fund_at("3"))
    for symbol in (BTC, other):
        stops = [stop for stop in resident_stops(AT_FOUR, both) if stop.symbol == symbol]
        assert [abs(stop.trigger - whole.trigger) <= D("0.2") for stop, whole in zip(stops, alone, strict=True)] == [True] * 4
        assert [abs(stop.amount * 2 - whole.amount) <= 2 * LOT for stop, whole in zip(stops, alone, strict=True)] == [True] * 4


@given(st.decimals("-3.8", "-1.1", places=2), st.decimals("500", "200000", places=0))
def test_no_part_of_a_buy_is_above_the_largest_either(held: Decimal, largest: Decimal) -> None:
    fund = fund_at(str(held), tick="10")
    whole, parts = resident_stops(AT_FOUR, fund), resident_stops(AT_FOUR, fund, largest)
    assert all(part.amount * part.trigger <= largest for part in parts) or len(parts) == len(whole)


def test_no_part_of_a_stop_waits_for_a_price_below_nothing() -> None:
    stop = ResidentStop(symbol=BTC, side=Side.SELL, amount=D(10), trigger=D(20))
    parts = tuple(_parts(stop, fund_at("3", tick="10"), D(60)))
    assert [part.trigger for part in parts] == [D(20), D(10)]
