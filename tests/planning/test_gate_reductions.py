"""What only reduces risk is let through by everything that protects from adding it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.fund import FundState, Standing, Usage
from keeper.domain.market import Market, Side
from keeper.domain.observation import Observation, Quote
from keeper.domain.order import OrderRequest
from keeper.planning.gate import EMERGENCY_SLACK, REDUCTION_SLACK, Approved, Limits, Refused, Situation, check, intended, reduces
from tests.fakes.markets import BTC, ETH, NOON, book, holding, inverse, linear, observe, quote, spot

D = Decimal
LOT = D("0.001")
LIMITS = Limits(
    max_order_notional=D(50_000), max_turnover_per_day=D(3), max_slippage_bps=D(30), max_leverage=D(4), max_orders_per_run=10
)
RISKY = {"leverage", "liquidation", "free_margin", "reduce_only_state"}


def lots(most: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-most, most).filter(bool).map(lambda whole: whole * LOT)


def request(symbol: str, signed: Decimal, *, reduce_only: bool) -> OrderRequest:
    """An order at a price inside the collar around 100."""
    return OrderRequest(
        client_id="kpr1",
        symbol=symbol,
        side=Side.of(signed),
        amount=abs(signed),
        price=D("100.2") if signed > 0 else D("99.8"),
        reduce_only=reduce_only,
        deadline=NOON + timedelta(seconds=5),
    )


def situation(observation: Observation, **changes: Any) -> Situation:
    calm = Situation(
        observation=observation,
        limits=LIMITS,
        usage=Usage(),
        standing=Standing(fund="btc3l"),
        open_children=(),
        left=D(10**9),
        now=NOON,
    )
    return replace(calm, **changes)


@st.composite
def books_of_risk(draw: st.DrawFn) -> tuple[Observation, str]:
    """An account in any state, good or dreadful, that holds something of one of two markets; and which."""
    kind = draw(st.sampled_from([linear, spot]))
    first, second = kind("BTC/USDT" if kind is spot else BTC, lot="0.001"), linear(ETH, lot="0.001")
    mark = st.integers(998, 1002).map(lambda tenth: D(tenth) / 10)
    positions: dict[str, Position] = {}
    balances = {"USDT": D(draw(st.integers(-50_000, 50_000)))}
    for market in (first, second):
        held = draw(lots(100_000))
        if market.symbol == "BTC/USDT":
            balances["BTC"] = abs(held)
            continue
        far = draw(st.none() | st.integers(1, 300).map(D))
        entry = D(draw(st.integers(50, 200)))
        positions[market.symbol] = Position(symbol=market.symbol, contracts=held, entry=entry, mark=D(100), liquidation=far)
    quotes = {market.symbol: Quote(mark=draw(mark), book=book("100")) for market in (first, second)}
    free = draw(st.none() | st.integers(-1000, 1000).map(D))
    account = Account(balances=balances, positions=positions, free_margin=free, at=NOON)
    markets: dict[str, Market] = {market.symbol: market for market in (first, second)}
    seen = Observation(account=account, markets=markets, quotes=quotes, currency="USDT", at=NOON, stats={})
    return seen, draw(st.sampled_from([first.symbol, second.symbol]))


@given(books_of_risk(), st.integers(1, 100_000), st.sampled_from([FundState.ACTIVE, FundState.REDUCE_ONLY]), st.booleans())
def test_no_control_of_risk_stops_a_reduction(
    risk: tuple[Observation, str],
    part: int,
    state: FundState,
    urgent: bool,  # noqa: FBT001 # drawn by hypothesis
) -> None:
    observation, symbol = risk
    market = observation.markets[symbol]
    held = observation.account.held(market)
    amount = min(part * LOT, abs(held), LIMITS.max_order_notional / 101)
    signed = -market.whole_lots(amount) * (1 if held > 0 else -1)
    order = request(symbol, signed, reduce_only=symbol != "BTC/USDT")
    used = Usage(adding_hour=D(10**12), adding_day=D(10**12), adding_run=D(10**12))
    standing = Standing(fund="btc3l", state=state)
    judged = situation(observation, usage=used, standing=standing, urgent=urgent)
    assert check(order, judged) == Approved(order)


@given(books_of_risk(), lots(10_000), st.booleans(), st.booleans())
def test_a_fund_that_may_only_reduce_never_grows(
    risk: tuple[Observation, str],
    signed: Decimal,
    reduce_only: bool,  # noqa: FBT001 # drawn by hypothesis
    urgent: bool,  # noqa: FBT001 # drawn by hypothesis
) -> None:
    observation, symbol = risk
    market = observation.markets[symbol]
    order = request(symbol, signed, reduce_only=reduce_only)
    judged = situation(observation, standing=Standing(fund="btc3l", state=FundState.REDUCE_ONLY), urgent=urgent)
    before = observation.valuation()
    gross = sum(map(abs, before.exposures.values()))
    if isinstance(check(order, judged), Approved):
        after = abs(before.exposures[symbol] + market.notional(signed, observation.quotes[symbol].mark))
        assert after - abs(before.exposures[symbol]) <= 0 <= gross


@given(books_of_risk(), lots(10_000), st.booleans())
def test_what_passes_keeps_every_limit(
    risk: tuple[Observation, str],
    signed: Decimal,
    reduce_only: bool,  # noqa: FBT001 # drawn by hypothesis
) -> None:
    observation, symbol = risk
    market = observation.markets[symbol]
    order = request(symbol, signed, reduce_only=reduce_only)
    verdict = check(order, situation(observation))
    if isinstance(verdict, Refused) or reduces(order, observation):
        return
    before = observation.valuation()
    exposure = before.exposures[symbol]
    grown = abs(exposure + market.notional(signed, observation.quotes[symbol].mark)) - abs(exposure)
    assert grown <= 0 or before.gross_leverage + grown / before.nav <= LIMITS.max_leverage
    assert market.notional(order.amount, order.price) <= LIMITS.max_order_notional
    assert observation.account.free_margin is None or observation.account.free_margin > 0


HELD = observe({"USDT": "1000"}, {linear(lot="0.001"): quote("100")}, holding(BTC, "30", "100"))
SELL = request(BTC, D(-10), reduce_only=True)


def refusals(order: OrderRequest, judged: Situation) -> set[str]:
    verdict = check(order, judged)
    return {reason.code for reason in verdict.reasons} if isinstance(verdict, Refused) else set()


@pytest.mark.parametrize(("urgent", "slack"), [(False, REDUCTION_SLACK), (True, EMERGENCY_SLACK)])
def test_the_caps_of_reductions_are_wider_and_end_somewhere(urgent: bool, slack: int) -> None:  # noqa: FBT001 # a table's column
    judged = situation(HELD, urgent=urgent, limits=replace(LIMITS, max_order_notional=D(100)))
    last = D(slack) * 3 * 1000 + slack * 3000 - D(998)
    assert refusals(SELL, replace(judged, limits=LIMITS, usage=Usage(reducing_day=last))) == set()
    assert refusals(SELL, replace(judged, limits=LIMITS, usage=Usage(reducing_day=last + 1))) == {"turnover"}
    assert refusals(SELL, replace(judged, limits=LIMITS, usage=Usage(orders_run=10 * slack - 1))) == set()
    assert refusals(SELL, replace(judged, limits=LIMITS, usage=Usage(orders_run=10 * slack))) == {"orders"}
    largest = replace(SELL, amount=D(slack), price=D(100))
    assert refusals(largest, judged) == set()
    assert refusals(replace(largest, amount=D(slack) + LOT), judged) == {"order_notional"}
    apart = 100 * (1 - D(slack if urgent else 1) * 30 / 10_000)  # a size rests on it: only an emergency takes what it gets
    far = replace(HELD, quotes={BTC: Quote(mark=D(100), book=book("100"), index=apart)})
    assert refusals(SELL, situation(far, urgent=urgent)) == set()
    farther = replace(HELD, quotes={BTC: Quote(mark=D(100), book=book("100"), index=apart - D("0.01"))})
    assert refusals(SELL, situation(farther, urgent=urgent)) == {"index"}


def test_the_brake_does_not_get_weaker_as_nav_goes() -> None:
    ruined = replace(HELD, account=replace(HELD.account, balances={"USDT": D(-500)}))
    assert ruined.valuation().nav < 0
    used = Usage(reducing_day=D(3000), reducing_hour=D(3000), reducing_run=D(3000))
    assert refusals(SELL, situation(ruined, usage=used)) == set()
    adding = request(BTC, D(1), reduce_only=False)
    assert "nav" in refusals(adding, situation(ruined))


def test_a_short_against_coins_is_a_hedge_and_buying_it_back_is_no_reduction() -> None:
    market = inverse()
    hedged = observe({"BTC": "1"}, {market: quote("100")}, holding(market.symbol, "-80", "100"))
    back = replace(request(market.symbol, D(20), reduce_only=True), client_id="kpr2")
    assert hedged.valuation().exposures[market.symbol] == 20
    assert not reduces(back, hedged)
    bound = situation(hedged, standing=Standing(fund="b", state=FundState.REDUCE_ONLY))
    assert refusals(back, bound) == {"reduce_only_state"}
    assert intended(situation(hedged), back).usage.adding_run == 20


def test_on_spot_a_sale_of_what_is_held_reduces_and_one_of_more_does_not() -> None:
    market = spot("BTC/USDT", lot="0.001")
    coins = observe({"USDT": "100", "BTC": "2"}, {market: quote("100")})
    assert reduces(request("BTC/USDT", D(-2), reduce_only=False), coins)
    assert not reduces(request("BTC/USDT", D("-2.001"), reduce_only=False), coins)
    assert not reduces(request("BTC/USDT", D(1), reduce_only=False), coins)
    bound = situation(coins, standing=Standing(fund="b", state=FundState.REDUCE_ONLY))
    assert refusals(request("BTC/USDT", D(-2), reduce_only=False), bound) == set()
    assert refusals(request("BTC/USDT", D(1), reduce_only=False), bound) == {"reduce_only_state"}
    # what an unknown order may have sold is not held any more for whoever decides in an emergency, so that nothing is sold twice
    waiting = replace(bound, open_children=("kpr9",))
    assert refusals(request("BTC/USDT", D(-1), reduce_only=False), waiting) == {"open_child"}
    assert refusals(request("BTC/USDT", D(-1), reduce_only=False), replace(waiting, urgent=True)) == set()
    assert refusals(request("BTC/USDT", D(-3), reduce_only=False), replace(waiting, urgent=True)) >= {"open_child"}


def test_none_of_the_codes_of_risk_is_ever_said_of_a_reduction() -> None:
    dreadful = replace(
        HELD,
        account=replace(
            HELD.account,
            balances={"USDT": D(1)},
            free_margin=D(-1),
            positions={BTC: replace(HELD.account.positions[BTC], liquidation=D(101))},
        ),
    )
    bound = situation(dreadful, standing=Standing(fund="b", state=FundState.REDUCE_ONLY))
    assert refusals(request(BTC, D(1), reduce_only=False), bound) == {*RISKY, "turnover"}
    assert refusals(SELL, bound) == set()
