"""When leverage or the way to liquidation can't wait, and how far a fund is de-levered: tables, and laws for any fund."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.account import Position, leverage_after_move, move_to_gross
from keeper.domain.errors import StaleData
from keeper.domain.numbers import ZERO, rounded
from keeper.domain.observation import Observation
from keeper.policy.emergency import Emergency, assess, delever, emergency_of
from keeper.policy.mandate import Mandate
from keeper.policy.triggers import Due, NotDue
from tests.fakes.markets import BTC, ETH, holding, inverse, linear, observe, quote, spot

D = Decimal
AT_FOUR = Emergency(max_leverage=D(4), to=D(3))


def fund_at(*multiples: str, liquidation: dict[str, str] | None = None) -> Observation:
    """A fund of 100 at these signed multiples of Bitcoin, and of Ether where there is a second one."""
    prices = {BTC: "100", ETH: "10"}
    held = dict(zip((BTC, ETH), multiples, strict=False))
    positions = {
        symbol: Position(
            symbol=symbol,
            contracts=D(multiple) * 100 / D(prices[symbol]),
            entry=D(prices[symbol]),
            mark=D(prices[symbol]),
            liquidation=D(liquidation[symbol]) if liquidation and symbol in liquidation else None,
        )
        for symbol, multiple in held.items()
        if D(multiple)
    }
    return observe({"USDT": "100"}, {linear(symbol): quote(prices[symbol]) for symbol in held}, positions)


def moved(observation: Observation, symbol: str, move: Decimal) -> Observation:
    """The same account once the price of one market moved."""
    price = observation.quotes[symbol].mark * (1 + move)
    return replace(observation, quotes={**observation.quotes, symbol: replace(observation.quotes[symbol], mark=price)})


@pytest.mark.parametrize(
    ("held", "level", "move"),
    [
        pytest.param("3", "4", "-0.111111", id="worked example: 3 to 4"),
        pytest.param("-3", "4", "0.066667", id="worked example: -3 to -4"),
        pytest.param("3", "4.125", "-0.12", id="worked example: 3 to 4.125"),
        pytest.param("5", "7", "-0.066667", id="worked example: 5 to 7"),
    ],
)
def test_the_move_that_leads_to_an_emergency(held: str, level: str, move: str) -> None:
    before = fund_at(held)
    reading = assess(Emergency(max_leverage=D(level), to=D(1)), before)
    assert {symbol: rounded(away, 6) for symbol, away in reading.moves.items()} == {BTC: D(move)}
    assert reading.room is not None
    assert rounded(reading.room, 6) == abs(D(move))
    assert not reading.danger
    sign = 1 if D(move) > 0 else -1
    beyond, short_of = (moved(before, BTC, reading.moves[BTC] + sign * D(step)) for step in ("0.0001", "-0.0001"))
    assert assess(Emergency(max_leverage=D(level), to=D(1)), beyond).danger
    assert not assess(Emergency(max_leverage=D(level), to=D(1)), short_of).danger


def test_the_room_of_a_hedge_is_what_both_of_its_legs_lose_together() -> None:
    reading = assess(Emergency(max_leverage=D(4), to=D(3)), fund_at("1.5", "-1.5"))
    assert reading.room is not None
    both = moved(moved(fund_at("1.5", "-1.5"), BTC, -reading.room), ETH, reading.room)
    assert rounded(assess(AT_FOUR, both).gross, 20) == 4
    assert reading.room < min(map(abs, reading.moves.values()))


@pytest.mark.parametrize(("held", "others", "to"), [("1", "0", "1"), ("0.5", "0", "9"), ("3", "0", "0.5")])
def test_a_level_that_no_move_leads_to(held: str, others: str, to: str) -> None:
    move = move_to_gross(D(held), D(others), D(to))
    assert move is None or leverage_after_move(D(held), move) > 0


@pytest.mark.parametrize(
    ("held", "dangerous"),
    [("3.999", False), ("4", True), ("4.001", True), ("-3.999", False), ("-4", True), ("0", False)],
)
def test_an_emergency_begins_at_its_level(held: str, *, dangerous: bool) -> None:
    reading = assess(AT_FOUR, fund_at(held))
    assert bool(reading.danger) is dangerous
    assert isinstance(delever(AT_FOUR, fund_at(held), [BTC]), Due) is dangerous
    assert reading.net == D(held)


@pytest.mark.parametrize(("held", "dangerous"), [("3", False), ("3.001", True), ("3.999", True), ("-3.5", True), ("-2.9", False)])
def test_one_that_has_begun_goes_on_until_it_has_ended(held: str, *, dangerous: bool) -> None:
    decided = delever(AT_FOUR.going_on, fund_at(held), [BTC])
    match decided:
        case Due(_, goals):
            assert dangerous
            assert rounded(goals[BTC], 20) == D(3) * (1 if D(held) > 0 else -1)
        case NotDue():
            assert not dangerous


@pytest.mark.parametrize(
    ("held", "goals"),
    [
        pytest.param(("4.5",), ("3",), id="long"),
        pytest.param(("-4.5",), ("-3",), id="short"),
        pytest.param(("3", "-3"), ("1.5", "-1.5"), id="hedge"),
        pytest.param(("4", "2"), ("2", "1"), id="two longs"),
        pytest.param(("5", "-1"), ("2.5", "-0.5"), id="uneven"),
    ],
)
def test_every_position_is_cut_to_the_same_share(held: tuple[str, ...], goals: tuple[str, ...]) -> None:
    decided = delever(AT_FOUR, fund_at(*held), [BTC, ETH][: len(held)])
    assert isinstance(decided, Due)
    assert [rounded(goal, 20) for goal in decided.goals.values()] == [D(goal) for goal in goals]


@pytest.mark.parametrize(
    ("held", "goals"),
    [
        pytest.param(("4", "1"), ("2", "1"), id="the leg that has done its part makes up for no other one"),
        pytest.param(("2", "1"), None, id="both have"),
        pytest.param(("1", "2.5"), ("1", "1"), id="one has less than it was to have"),
        pytest.param(("-4", "-1"), ("-2", "-1"), id="shorts"),
    ],
)
def test_one_that_goes_on_goes_where_it_was_to_go(held: tuple[str, str], goals: tuple[str, str] | None) -> None:
    begun = {BTC: D("2"), ETH: D("1")}
    decided = delever(AT_FOUR.going_on, fund_at(*held), [BTC, ETH], begun)
    match decided:
        case Due(_, to):
            assert goals is not None
            assert [rounded(goal, 20) for goal in to.values()] == [D(goal) for goal in goals]
        case NotDue():
            assert goals is None


def test_one_that_goes_on_closes_what_was_to_be_closed() -> None:
    decided = delever(AT_FOUR.going_on, fund_at("3.5"), [BTC], {BTC: ZERO})
    assert isinstance(decided, Due)
    assert decided.goals == {BTC: ZERO}


def test_what_can_t_be_traded_now_is_made_up_for_by_the_rest() -> None:
    decided = delever(AT_FOUR, fund_at("3", "2"), [BTC])
    assert isinstance(decided, Due)
    assert {symbol: rounded(goal, 20) for symbol, goal in decided.goals.items()} == {BTC: D(1)}
    assert isinstance(delever(AT_FOUR, fund_at("3", "2"), []), NotDue)


def goals_of(decided: Due | NotDue) -> dict[str, Decimal]:
    assert isinstance(decided, Due)
    return {symbol: rounded(goal, 20) for symbol, goal in decided.goals.items()}


def test_what_is_waited_for_keeps_its_share_and_takes_it_once_it_can_be_traded() -> None:
    assert goals_of(delever(AT_FOUR, fund_at("3", "2"), [BTC], awaited=[ETH])) == {BTC: D("1.8")}
    begun = {BTC: D("1.8")}
    assert goals_of(delever(AT_FOUR.going_on, fund_at("1.8", "2"), [BTC, ETH], begun)) == {BTC: D("1.8"), ETH: D("1.2")}
    waits = delever(AT_FOUR.going_on, fund_at("1.8", "2"), [BTC], begun, awaited=[ETH])
    assert waits == NotDue("gross leverage is 3.800x: what can be traded now has done its part")
    assert goals_of(delever(AT_FOUR.going_on, fund_at("1.8", "2"), [BTC], begun)) == {BTC: D(1)}


@pytest.mark.parametrize(
    ("held", "goals"),
    [
        pytest.param(("0.5", "2.8"), {BTC: "0.5", ETH: "2.5"}, id="a leg that went too far leaves more for the other"),
        pytest.param(("0.5", "2.5"), None, id="and all of it where there is room"),
        pytest.param(("3.5", "2"), {BTC: "1.8", ETH: "1.2"}, id="one that grew goes where it was to go"),
    ],
)
def test_the_rest_is_what_those_that_were_begun_leave(held: tuple[str, str], goals: dict[str, str] | None) -> None:
    decided = delever(AT_FOUR.going_on, fund_at(*held), [BTC, ETH], {BTC: D("1.8")})
    assert (None if isinstance(decided, NotDue) else goals_of(decided)) == (
        None if goals is None else {symbol: D(goal) for symbol, goal in goals.items()}
    )


def test_where_those_that_were_begun_leave_nothing_all_are_cut_to_the_same_share_once_more() -> None:
    decided = delever(AT_FOUR.going_on, fund_at("4", "4"), [BTC, ETH], {BTC: D("4")})
    assert goals_of(decided) == {BTC: D("1.5"), ETH: D("1.5")}


def test_nobody_waits_for_a_market_that_is_not_known() -> None:
    assert goals_of(delever(AT_FOUR, fund_at("4.5"), [BTC], awaited=["SOL/USDT:USDT"])) == {BTC: D(3)}


def test_no_position_is_turned_however_much_there_is_that_can_t_be_reduced() -> None:
    foreign = {"SOL/USDT:USDT": Position(symbol="SOL/USDT:USDT", contracts=D(500), entry=D(1), mark=D(1))}
    seen = fund_at("2")
    seen = replace(seen, account=replace(seen.account, positions={**seen.account.positions, **foreign}))
    decided = delever(AT_FOUR, seen, [BTC])
    assert isinstance(decided, Due)
    assert decided.goals == {BTC: ZERO}


def test_coins_that_margin_a_position_are_exposure_that_no_reduction_takes_away() -> None:
    market = inverse()
    seen = observe({"BTC": "1"}, {market: quote("50000")}, holding(market.symbol, "160000", "50000"))
    assert assess(AT_FOUR, seen).gross == D("4.2")
    decided = delever(AT_FOUR, seen, [market.symbol])
    assert isinstance(decided, Due)
    assert {symbol: rounded(goal, 20) for symbol, goal in decided.goals.items()} == {market.symbol: D(3)}
    hedged = observe({"BTC": "1"}, {market: quote("50000")}, holding(market.symbol, "-20000", "50000"))
    rule = Emergency(max_leverage=D("0.5"), to=D("0.1"))
    assert "nothing that is held can be reduced" in getattr(delever(rule, hedged, [market.symbol]), "why", "")


def test_coins_bought_on_credit_are_sold() -> None:
    market = spot()
    seen = observe({"USD": "-20000", "ETH": "150"}, {market: quote("170")})
    decided = delever(AT_FOUR, seen, [market.symbol])
    assert isinstance(decided, Due)
    assert {symbol: rounded(goal, 20) for symbol, goal in decided.goals.items()} == {market.symbol: D(3)}


@pytest.mark.parametrize(
    ("held", "liquidation", "goal"),
    [
        pytest.param("2", "98", "0.8", id="a long 2 % away goes down to two fifths, for 5 %"),
        pytest.param("-2", "102", "-0.8", id="a short likewise"),
        pytest.param("2", "97", None, id="3 % are enough"),
        pytest.param("2", "101", "0", id="one that is past it goes whole"),
        pytest.param("4.5", "98", "1.8", id="the stricter of both counts"),
    ],
)
def test_an_emergency_begins_near_liquidation_too(held: str, liquidation: str, goal: str | None) -> None:
    seen = fund_at(held, liquidation={BTC: liquidation})
    decided = delever(AT_FOUR, seen, [BTC])
    assert (assess(AT_FOUR, seen).distance or D(0)) == (100 - D(liquidation)) / 100 * (1 if D(held) > 0 else -1)
    match decided:
        case Due(_, goals):
            assert goal is not None
            assert rounded(goals[BTC], 20) == D(goal)
        case NotDue():
            assert goal is None


def test_near_liquidation_one_that_has_begun_goes_on_until_the_distance_is_safe() -> None:
    near = fund_at("2", liquidation={BTC: "96"})
    assert not assess(AT_FOUR, near).danger
    assert "away from liquidation" in assess(AT_FOUR.going_on, near).danger
    assert not assess(AT_FOUR.going_on, fund_at("2", liquidation={BTC: "95"})).danger


@pytest.mark.parametrize(("liquidation", "goals"), [("99.9", None), ("101", {BTC: ZERO})])
def test_where_no_distance_is_asked_for_only_what_is_past_it_goes(liquidation: str, goals: dict[str, Decimal] | None) -> None:
    rule = replace(AT_FOUR, min_distance=ZERO, safe_distance=ZERO)
    assert getattr(delever(rule, fund_at("2", liquidation={BTC: liquidation}), [BTC]), "goals", None) == goals


def test_a_position_of_another_market_counts_at_its_own_mark() -> None:
    other = Position(symbol="SOL/USDT:USDT", contracts=D(1), entry=D(10), mark=D(10), liquidation=D("9.9"))
    seen = fund_at("1")
    seen = replace(seen, account=replace(seen.account, positions={**seen.account.positions, other.symbol: other}))
    assert "SOL/USDT:USDT is 0.0100" in assess(AT_FOUR, seen).danger


def test_a_fund_that_has_nothing_left_has_no_leverage() -> None:
    with pytest.raises(StaleData, match="NAV is"):
        assess(AT_FOUR, moved(fund_at("3"), BTC, D("-0.34")))


@pytest.mark.parametrize(
    ("targets", "level", "to"),
    [({BTC: "3"}, "4", "3"), ({BTC: "-3"}, "5", "3"), ({BTC: "1.5", ETH: "-1.5"}, "5", "3"), ({BTC: "0.9"}, None, "0.9")],
)
def test_what_a_mandate_makes_of_it(targets: dict[str, str], level: str | None, to: str) -> None:
    rule = emergency_of(Mandate(targets={symbol: D(multiple) for symbol, multiple in targets.items()}), safe_distance=D("0.06"))
    assert rule.max_leverage == (None if level is None else D(level))
    assert (rule.to, rule.min_distance, rule.safe_distance) == (D(to), D("0.03"), D("0.06"))
    assert emergency_of(Mandate(targets={BTC: D(3)}), to=D("2.5")).to == D("2.5")


def test_without_a_level_only_liquidation_counts() -> None:
    rule = emergency_of(Mandate(targets={BTC: D("0.9")}))
    reading = assess(rule, fund_at("9"))
    assert (reading.danger, reading.moves, reading.room, reading.near, rule.going_on.max_leverage) == ("", {}, None, False, None)


@pytest.mark.parametrize(
    ("held", "near"), [("3", False), ("3.7", False), ("3.8", True), ("4", True), ("-3.6", False), ("-3.8", True)]
)
def test_near_is_a_move_of_two_percent(held: str, *, near: bool) -> None:
    assert assess(AT_FOUR, fund_at(held)).near is near


def test_an_account_without_exposure_has_no_way_to_an_emergency() -> None:
    reading = assess(AT_FOUR, observe({"USDT": "100"}, {linear(): quote("100")}))
    assert (reading.gross, reading.room, dict(reading.moves), reading.distance) == (ZERO, None, {}, None)


multiples = st.decimals(min_value=D("-9"), max_value=D("9"), places=3)


@given(
    held=st.tuples(multiples, multiples),
    level=st.decimals(min_value=D("1.1"), max_value=D(9), places=2),
    part=st.floats(0.1, 0.99),
)
def test_for_any_fund_nothing_is_added_or_turned_and_gross_leverage_ends_where_it_should(
    held: tuple[Decimal, Decimal], level: Decimal, part: float
) -> None:
    rule = Emergency(max_leverage=level, to=rounded(level * D(str(part)), 4))
    seen = fund_at(str(held[0]), str(held[1]))
    decided = delever(rule, seen, [BTC, ETH])
    gross = abs(held[0]) + abs(held[1])
    assert isinstance(decided, Due) is (gross >= level)
    if isinstance(decided, Due):
        before = dict(zip((BTC, ETH), held, strict=True))
        for symbol, goal in decided.goals.items():
            assert goal * before[symbol] >= 0
            assert abs(goal) <= abs(before[symbol])
        assert rounded(sum(map(abs, decided.goals.values()), ZERO), 15) == rule.to


@given(held=st.tuples(multiples, multiples), level=st.decimals(min_value=D(10), max_value=D(20), places=2))
def test_for_any_fund_the_move_of_one_market_leads_to_the_level(held: tuple[Decimal, Decimal], level: Decimal) -> None:
    seen = fund_at(str(held[0]), str(held[1]))
    for symbol, move in assess(Emergency(max_leverage=level, to=D(1)), seen).moves.items():
        assert rounded(moved(seen, symbol, move).valuation().gross_leverage, 10) == level
