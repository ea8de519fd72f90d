"""Plans that can't wait: a market out of reach is left out and named, and the rest goes on."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from keeper.domain.book import OrderBook
from keeper.domain.observation import Observation
from keeper.planning.brief import Brief
from keeper.planning.build import build
from keeper.planning.gate import Limits
from keeper.planning.plan import Plan
from keeper.policy.mandate import Mandate
from tests.fakes.markets import BTC, ETH, NOON, holding, linear, observe, quote, spot

D = Decimal
LIMITS = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(9), max_slippage_bps=D(30), max_leverage=D(9))
NO_BOOK = OrderBook((), (), NOON)
HELD = {**holding(BTC, "30", "100"), **holding(ETH, "-100", "10")}


def basket(positions: dict[str, object] | None = None) -> Observation:
    """BTC that can be traded, ETH that has no book."""
    held = HELD if positions is None else positions
    return observe(
        {"USDT": "1000"},
        {linear(): quote("100"), linear(ETH): replace(quote("10"), book=NO_BOOK)},
        held,  # type: ignore[arg-type] # positions by symbol
    )


def flat_plan(observation: Observation, *symbols: str, urgent: bool = True) -> Plan:
    brief = Brief(
        fund="btc3l",
        venue="sim",
        environment="paper",
        mandate=Mandate(targets=dict.fromkeys(symbols, D(0))),
        limits=LIMITS,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
        urgent=urgent,
    )
    return build(brief, observation)


def test_a_market_without_a_book_is_left_out_and_named() -> None:
    plan = flat_plan(basket(), BTC, ETH)
    [leg] = plan.legs
    assert (leg.symbol, leg.amount, leg.goal, plan.refusals) == (BTC, D(30), D(0), ())
    assert f"left out: the order book of {ETH} can't be trusted: no bids, no asks" in plan.reason
    assert [refusal.code for refusal in plan.bound] == ["book"]
    assert set(plan.targets) == {BTC, ETH}


def test_what_can_wait_waits_for_every_book() -> None:
    plan = flat_plan(basket(), BTC, ETH, urgent=False)
    assert ([refusal.code for refusal in plan.refusals], plan.legs, plan.bound) == (["book"], (), ())


def test_a_market_in_which_nothing_is_held_is_not_missed() -> None:
    plan = flat_plan(basket(holding(BTC, "30", "100")), BTC, ETH)  # type: ignore[arg-type] # positions by symbol
    assert ([leg.symbol for leg in plan.legs], plan.bound, "left out" in plan.reason) == ([BTC], (), False)


def test_what_is_left_alone_out_of_reach_is_due_and_refused() -> None:
    plan = flat_plan(basket(holding(ETH, "-100", "10")), BTC, ETH)  # type: ignore[arg-type] # positions by symbol
    assert (plan.due, plan.legs, [refusal.code for refusal in plan.refusals]) == (True, (), ["book"])


def test_a_market_that_nobody_could_read_is_named_once() -> None:
    coins = observe({"USDT": "1000"}, {linear(): quote("100")}, holding(BTC, "30", "100"))
    plan = flat_plan(replace(coins, unread={"SOL/USDT": "no answer"}), BTC, "SOL/USDT")
    assert [refusal.message for refusal in plan.bound] == ["SOL/USDT can't be read: no answer"]
    shown = replace(basket(), unread={ETH: "no answer"})
    assert [refusal.message for refusal in flat_plan(shown, BTC, ETH).bound] == [f"{ETH} can't be read: no answer"]


def test_an_asset_without_a_price_is_named_and_keeps_nothing_from_its_end() -> None:
    market = spot("BTC/USDT")
    coins = observe({"USDT": "1000", "BTC": "1"}, {market: quote("100")})
    plan = flat_plan(replace(coins, unpriced=("BNB",)), "BTC/USDT")
    assert ([leg.symbol for leg in plan.legs], plan.bound) == (["BTC/USDT"], ())
    assert plan.reason.endswith("left out: BNB has no price")
