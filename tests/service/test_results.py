from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import plain, rounded
from keeper.domain.order import Child, Fill
from keeper.domain.run import Run, RunStatus
from keeper.service.documents import PARTS
from keeper.service.results import Work, result_document
from keeper.venues.feeds.market_spec import MarketSpec
from tests.fakes.desks import Desk, desk_of, drifted, result_of
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

INVERSE = "BTC/USD:BTC"
COSTLY = MarketSpec(taker_bps=Decimal(5), lot=Decimal("0.001"))
NOISE = Fraction(1, 10**20)  # of 34 digits, where a division can't end
MOVES = ("105.3", "104.9", "105.1", "105.05", "105.4")


async def moving_run(desk: Desk, symbol: str, moves: Sequence[str]) -> Run:
    """A run whose price moves after the decision, and after every child."""
    plan = await desk.rebalancer.plan()
    desk.feed.move(symbol, moves[0])
    for number, price in enumerate(moves[1:], 1):
        desk.venue.after[number] = lambda price=price: desk.feed.move(symbol, price)  # type: ignore[misc] # bound early
    run = await desk.rebalancer.execute(plan, "manual:1", desk.watcher)
    assert run.status is RunStatus.COMPLETED
    return run


async def pairs(desk: Desk, run: Run) -> list[tuple[Child, Fill]]:
    children = {child.request.client_id: child for child in await desk.journal.children(run.id)}
    return [(children[name], fill) for name, fill in await desk.journal.fills(run.id)]


def base(market: Market, fill: Fill) -> Fraction:
    contracts = Fraction(fill.amount) * Fraction(market.contract_size)
    return contracts / Fraction(fill.price) if market.kind is MarketKind.INVERSE else contracts


async def test_every_part_of_the_shortfall_is_there_and_they_sum_to_what_the_fills_say(tmp_path: Path) -> None:
    feed = moving_feed({PERP: "105"}, spread_bps="4", BTC=COSTLY)
    async with desk_of(drifted(feed), tmp_path) as desk:
        run = await moving_run(desk, PERP, MOVES)
        told = {part: Decimal(result_of(run)["shortfall"][part]) for part in ("total", *PARTS)}
        fills = [fill for _, fill in await pairs(desk, run)]
        paid = sum((fill.amount * (fill.price - 105) + fill.fee for fill in fills), Decimal(0))
        assert told["total"] == paid == sum(told[part] for part in PARTS)
        assert all(told[part] for part in PARTS if part != "impact")
        assert told["fees"] == sum(fill.fee for booked in desk.venue.booked.values() for fill in booked.fills)
        assert result_of(run)["fees"] == plain(rounded(told["fees"], 8))


async def test_impact_is_what_a_book_of_levels_took(tmp_path: Path) -> None:
    """One level is all a fixed book shows, so its whole cost is spread: the impact is nothing, not a rest."""
    async with desk_of(drifted(moving_feed({PERP: "105"}, spread_bps="4", BTC=COSTLY)), tmp_path) as desk:
        run = await desk.run()
        shortfall = result_of(run)["shortfall"]
        assert Decimal(shortfall["impact"]) == 0
        assert Decimal(shortfall["spread_bps"]) == 2


async def test_the_shortfall_of_an_inverse_contract_is_counted_in_the_funds_currency(tmp_path: Path) -> None:
    inner = paper_venue(
        moving_feed({INVERSE: "52500"}, spread_bps="4", BTC=COSTLY), opening({"BTC": "1"}, {INVERSE: ("100000", "50000")})
    )
    async with desk_of(ScriptedVenue(inner), tmp_path, {INVERSE: "3"}) as desk:
        run = await moving_run(desk, INVERSE, ("52550", "52480", "52600"))
        made = await pairs(desk, run)
        market = desk.rebalancer._observer.markets[INVERSE]
        exact = sum((base(market, fill) * (Fraction(fill.price) - 52500) for _, fill in made), Fraction(0))
        fees = sum((Fraction(fill.fee) for _, fill in made), Fraction(0))
        told = result_of(run)["shortfall"]
        parts = {part: Fraction(told[part]) for part in ("total", *PARTS)}
        assert abs(parts["total"] - parts["fees"] - exact) < NOISE
        assert abs(parts["fees"] - fees * 52550) < NOISE, "paid in coin, valued at the marks of the start"
        assert sum(parts[part] for part in PARTS) == parts["total"]


async def test_the_result_is_told_of_the_settled_account(tmp_path: Path) -> None:
    async with desk_of(drifted(moving_feed({PERP: "105"}, BTC=COSTLY)), tmp_path) as desk:
        run = await moving_run(desk, PERP, ("105", *MOVES))
        result, held = result_of(run), desk.venue.held.positions[PERP]
        mark = desk.feed._prices[PERP]
        nav = desk.venue.held.balances["USDT"] + held.contracts * (mark - held.entry)
        assert Decimal(result["nav_after"]) == rounded(nav, 8)
        assert Decimal(result["leverage_after"]) == rounded(held.contracts * mark / nav, 8)
        assert result["gross_leverage_after"] == result["leverage_after"]
        (leg,) = result["legs"]
        assert leg["leverage_after"] == result["leverage_after"]
        assert (result["nav_before"], result["leverage_before"]) == ("115000", "2.73913043")
        traded = sum((fill.amount * fill.price for booked in desk.venue.booked.values() for fill in booked.fills), Decimal(0))
        assert Decimal(result["filled_notional"]) == Decimal(leg["notional_traded"]) == rounded(traded, 8)
        assert Decimal(leg["traded"]) == desk.bought()
        assert Decimal(leg["planned"]) != desk.bought()
        assert leg["gap"] == "0"


async def test_a_nav_point_is_taken_before_and_after(tmp_path: Path) -> None:
    async with desk_of(drifted(moving_feed({PERP: "105"}, BTC=COSTLY)), tmp_path) as desk:
        run = await desk.run()
        after, before = await desk.journal.nav_points("btc3l")
        assert (before.cause, before.nav, before.run, before.currency) == ("before", Decimal(115_000), run.id, "USDT")
        assert rounded(before.net_leverage, 8) == Decimal("2.73913043")
        assert (after.cause, rounded(after.nav, 8)) == ("after", Decimal(result_of(run)["nav_after"]))
        fees = sum(fill.fee for booked in desk.venue.booked.values() for fill in booked.fills)
        assert rounded(after.nav, 20) == before.nav - fees
        assert after.net_leverage == after.gross_leverage
        assert rounded(after.net_leverage, 8) == Decimal(result_of(run)["leverage_after"])


async def test_an_order_that_turns_out_to_have_filled_is_added_to_the_result(tmp_path: Path) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        desk.venue.faults = {3: Fault.LOST_REPLY}
        run = await desk.run()
        (leg,) = result_of(run)["legs"]
        known = [fill for _, fill in await pairs(desk, run)]
        assert Decimal(leg["traded"]) == sum(fill.amount for fill in known) < desk.bought()
        await desk.rebalancer.recover()
        amended = await desk.journal.run(run.id)
        assert amended is not None
        assert (amended.status, amended.reason, amended.ended_at) == (run.status, run.reason, run.ended_at)
        (leg,) = result_of(amended)["legs"]
        assert Decimal(leg["traded"]) == desk.bought()
        assert result_of(amended)["leverage_after"] == result_of(run)["leverage_after"]
        assert await desk.journal.verify() == ()


async def test_fees_in_an_asset_without_a_price_are_told_apart(tmp_path: Path) -> None:
    async with desk_of(drifted(moving_feed({PERP: "105"}, BTC=COSTLY)), tmp_path) as desk:
        run = await desk.run()
        made = await desk.journal.fills(run.id)
        in_tokens = [(name, replace(fill, fee=Decimal("0.1"), fee_asset="BNB")) for name, fill in made[:2]]
        work = Work(
            plan=run.plan,
            markets=desk.rebalancer._observer.markets,
            children=await desk.journal.children(run.id),
            fills=[*in_tokens, *made[2:]],
            prices={"USDT": Decimal(1), "BTC": Decimal(105)},
        )
        document = result_document(work, None)
        assert document["unpriced_fees"] == {"BNB": "0.2"}
        assert document["fees"] == plain(rounded(sum((fill.fee for _, fill in made[2:]), Decimal(0)), 8))
        assert document["nav_after"] is None
        (leg,) = result_of(run)["legs"]
        assert document["legs"] == [{**leg, "gap": None, "leverage_after": None}]
