from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.fund import FundState, Worth
from keeper.domain.market import MarketKind, Side
from keeper.domain.order import ChildState, VenueOrder
from keeper.domain.run import NavCause
from keeper.policy.breakers import (
    Breakers,
    Cause,
    Change,
    ChangeKind,
    PositionChange,
    Record,
    explain_change,
    judge,
    passes,
    peak_of,
    trips,
)
from tests.fakes.markets import BTC, NOON

D = Decimal
BREAKERS = Breakers()
REDUCE, HALT = FundState.REDUCE_ONLY, FundState.HALTED


def change(before: str, after: str, own: str = "0", orders: tuple[VenueOrder, ...] = (), **kind: MarketKind) -> Change:
    market = kind.get("kind", MarketKind.LINEAR)
    return explain_change(
        market, before=D(before), after=D(after), own_fills=D(own), foreign_orders=orders, smallest_fill=abs(D(own))
    )


def order(filled: str, *, forced: bool = False) -> VenueOrder:
    """An order of somebody else that moved the position by ``filled``."""
    signed = D(filled)
    return VenueOrder(
        order_id="1",
        client_id="" if forced else "web_1",
        symbol=BTC,
        side=Side.of(signed),
        amount=abs(signed),
        filled=abs(signed),
        average=D(100),
        state=ChildState.FILLED,
        forced=forced,
        at=NOON,
        changed_at=NOON,
    )


FORCED = change("3", "1", orders=(order("-2", forced=True),))
GONE = change("3", "1")


@pytest.mark.parametrize(
    ("passing", "failing", "state", "cause"),
    [
        ({"slippage_bps": D(25)}, {"slippage_bps": D("25.1")}, REDUCE, Cause.SLIPPAGE),
        ({"slippage_bps": D(-90)}, {"slippage_bps": D("NaN")}, REDUCE, Cause.SLIPPAGE),
        ({"peak": D(100), "nav": D(60)}, {"peak": D(100), "nav": D("59.9")}, REDUCE, Cause.LOSS),
        ({"peak": D(100), "nav": None}, {"peak": D(100), "nav": D(-5)}, REDUCE, Cause.LOSS),
        ({"peak": None, "nav": D(1)}, {"peak": D(100), "nav": D("NaN")}, REDUCE, Cause.LOSS),
        ({"peak": D(90), "nav": D(100)}, {"peak": D("Infinity"), "nav": D(100)}, REDUCE, Cause.LOSS),
        ({"errors": 20}, {"errors": 21}, REDUCE, Cause.ERROR_RATE),
        ({"unseen": timedelta(minutes=5)}, {"unseen": timedelta(minutes=5, seconds=1)}, REDUCE, Cause.STALE_DATA),
        ({"trouble": timedelta(minutes=10)}, {"trouble": timedelta(minutes=10, seconds=1)}, REDUCE, Cause.VENUE_TROUBLE),
        ({}, {"changes": (PositionChange(symbol=BTC, change=FORCED, hedged=True),)}, REDUCE, Cause.FORCED_HEDGE),
        ({}, {"changes": (PositionChange(symbol=BTC, change=FORCED),)}, HALT, Cause.POSITION),
        ({"changes": (PositionChange(symbol=BTC, change=change("3", "1", "-2")),)},
         {"changes": (PositionChange(symbol=BTC, change=GONE),)}, HALT, Cause.POSITION),
        ({"changes": (PositionChange(symbol=BTC, change=change("3", "1", orders=(order("-2"),))),)},
         {"changes": (PositionChange(symbol=BTC, change=GONE, hedged=True),)}, HALT, Cause.POSITION),
        ({"changes": (PositionChange(symbol=BTC, change=change("3", "1", kind=MarketKind.SPOT)),)},
         {"changes": (PositionChange(symbol=BTC, change=change("3", "4")),)}, HALT, Cause.POSITION),
        ({}, {"journal": "event 17 was altered"}, HALT, Cause.JOURNAL),
        ({}, {"fills": "3 filled at the venue, 2 booked"}, HALT, Cause.FILLS),
        ({}, {"identity": "contract size 10, on record 1"}, HALT, Cause.IDENTITY),
        ({"runs": 6}, {"runs": 7}, HALT, Cause.REPEATED),
    ],
)  # fmt: skip
def test_each_breaker_holds_at_its_threshold_and_trips_past_it(
    passing: dict[str, Any], failing: dict[str, Any], state: FundState, cause: Cause
) -> None:
    assert judge(Record(**passing), BREAKERS) is None
    trip = judge(Record(**failing), BREAKERS)
    assert trip is not None
    assert (trip.state, trip.cause) == (state, cause)
    assert trip.why


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"slippage_bps": D(31)}, "the last run lost 31.0 bps to spread and impact, breakers.slippage_bps is 25"),
        ({"peak": D(100), "nav": D(50)}, "NAV fell from 100.00 to 50.00 within a day, breakers.loss is 0.4 of it"),
        ({"errors": 21}, "21 orders were rejected or unknown within an hour, breakers.errors_per_hour is 20"),
        ({"unseen": timedelta(hours=1)}, "last seen 3600 s ago"),
        ({"trouble": timedelta(hours=1)}, "has not answered for 3600 s"),
        ({"runs": 9}, "9 runs sent orders within an hour, breakers.runs_per_hour is 6"),
        ({"changes": [PositionChange(symbol=BTC, change=GONE)]}, "3 -> 1 contracts (-2 unexplained)"),
        ({"changes": [PositionChange(symbol=BTC, change=GONE)]}, f"the position in {BTC} shrank"),
        ({"changes": [PositionChange(symbol=BTC, change=change("3", "4"))]}, f"the position in {BTC} changed"),
        ({"changes": [PositionChange(symbol=BTC, change=FORCED)]}, "3 -> 1 contracts (-2 forced by the venue)"),
    ],
)
def test_a_trip_says_why_with_figures(record: dict[str, Any], words: str) -> None:
    trip = judge(Record(**record), BREAKERS)
    assert trip is not None
    assert words in trip.why


EVERYTHING = Record(
    slippage_bps=D(99),
    peak=D(100),
    nav=D(1),
    errors=99,
    unseen=timedelta(days=1),
    trouble=timedelta(days=1),
    runs=99,
    changes=(
        PositionChange(symbol=BTC, change=GONE),
        PositionChange(symbol=BTC, change=FORCED),
        PositionChange(symbol=BTC, change=FORCED, hedged=True),
    ),
    journal="x",
    fills="x",
    identity="x",
    worth="x",
)


def test_a_halt_goes_before_all_else_and_every_breaker_is_told() -> None:
    found = trips(EVERYTHING, BREAKERS)
    assert {trip.cause for trip in found} == set(Cause)
    states = [trip.state for trip in found]
    assert states == sorted(states, key=[HALT, REDUCE].index)
    assert judge(EVERYTHING, BREAKERS) == found[0]
    # what lifts by itself must not hide what needs a human
    assert [passes(trip.cause) for trip in found] == sorted(passes(trip.cause) for trip in found)
    calmer = replace(EVERYTHING, journal="", fills="", identity="", worth="", runs=0, changes=())
    assert (trip := judge(calmer, BREAKERS)) is not None
    assert (trip.state, trip.cause) == (REDUCE, Cause.SLIPPAGE)


def test_nothing_that_happened_trips_nothing() -> None:
    assert trips(Record(), BREAKERS) == ()


def test_only_what_comes_from_outside_and_passes_lifts_by_itself() -> None:
    assert {cause for cause in Cause if passes(cause)} == {Cause.STALE_DATA, Cause.VENUE_TROUBLE}
    assert not passes("")
    assert passes("stale_data")
    assert not passes("of an older version")
    # a halt is never one of them
    halts = {trip.cause for trip in trips(EVERYTHING, BREAKERS) if trip.state is HALT}
    assert not any(passes(cause) for cause in halts)


@pytest.mark.parametrize(
    ("market", "before", "after", "own", "orders", "kind", "parts"),
    [
        ("linear", "3", "3", "0", (), ChangeKind.NOTHING, {}),
        ("linear", "3", "2", "-1", (), ChangeKind.NOTHING, {"own": "-1"}),
        ("linear", "3", "5", "1", ("1",), ChangeKind.FOREIGN, {"own": "1", "foreign": "1"}),
        ("linear", "3", "0", "0", ("!-3",), ChangeKind.FORCED, {"forced": "-3"}),
        ("linear", "3", "1", "1", ("-1", "!-2"), ChangeKind.FORCED, {"own": "1", "foreign": "-1", "forced": "-2"}),
        ("linear", "3", "2", "0", (), ChangeKind.UNEXPLAINED, {"unexplained": "-1"}),
        ("inverse", "-3", "-2", "0", (), ChangeKind.UNEXPLAINED, {"unexplained": "1"}),
        ("linear", "3", "0", "0", ("!-2",), ChangeKind.UNEXPLAINED, {"forced": "-2", "unexplained": "-1"}),
        ("linear", "3", "3", "0", ("1",), ChangeKind.UNEXPLAINED, {"foreign": "1", "unexplained": "-1"}),
        ("spot", "3", "2", "0", (), ChangeKind.TRANSFER, {"transfer": "-1"}),
        ("spot", "3", "2.5", "1", ("-1",), ChangeKind.FOREIGN, {"own": "1", "foreign": "-1", "transfer": "-0.5"}),
    ],
)
def test_a_change_is_told_apart(
    market: str, before: str, after: str, own: str, orders: tuple[str, ...], kind: ChangeKind, parts: dict[str, str]
) -> None:
    sent = tuple(order(text.lstrip("!"), forced=text.startswith("!")) for text in orders)
    found = change(before, after, own, sent, kind=MarketKind(market))
    assert found.kind is kind
    names = ("own", "foreign", "forced", "transfer", "unexplained")
    assert {name: getattr(found, name) for name in names} == {name: D(parts.get(name, "0")) for name in names}
    assert str(found).startswith(f"{before} -> {after} contracts")


@pytest.mark.parametrize(
    ("before", "after", "shrank"),
    [("3", "2", True), ("-3", "-2", True), ("3", "4", False), ("0", "1", False), ("3", "3", False), ("3", "-1", True)],
)
def test_a_position_shrinks_toward_zero(before: str, after: str, shrank: bool) -> None:  # noqa: FBT001 # a table's column
    assert change(before, after).shrank is shrank


contracts = st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=3)


@given(contracts, contracts, contracts, st.lists(st.tuples(contracts.filter(bool), st.booleans())), st.sampled_from(MarketKind))
def test_the_parts_of_a_change_add_up(
    before: Decimal, after: Decimal, own: Decimal, others: list[tuple[Decimal, bool]], kind: MarketKind
) -> None:
    orders = tuple(order(str(filled), forced=forced) for filled, forced in others)
    found = change(str(before), str(after), str(own), orders, kind=kind)
    parts = found.own + found.foreign + found.forced + found.transfer + found.unexplained
    assert found.before + parts == found.after
    assert not (found.transfer and found.unexplained)
    assert (found.kind is ChangeKind.NOTHING) == (parts == found.own and not found.foreign and not found.forced)


def worths(*points: tuple[str, str, str]) -> list[Worth]:
    return [Worth(cause=NavCause(cause), nav=D(nav), exposure=D(exposure)) for cause, nav, exposure in points]


@pytest.mark.parametrize(
    ("points", "peak"),
    [
        pytest.param([], None, id="nothing known"),
        pytest.param([("before", "100", "270"), ("after", "99", "297")], "100", id="a run that cost something"),
        pytest.param([("after", "100", "300"), ("before", "70", "270")], "100", id="the market fell"),
        pytest.param([("after", "100", "300"), ("before", "50", "300")], "50", id="half was withdrawn"),
        pytest.param([("after", "100", "300"), ("before", "150", "300")], "150", id="half as much was paid in"),
        pytest.param([("after", "100", "300"), ("before", "35", "270")], "50", id="it fell to 70, then half was withdrawn"),
        pytest.param([("after", "100", "-300"), ("before", "70", "-330")], "100", id="a short while the market rose"),
        pytest.param([("after", "100", "300"), ("before", "99.5", "300")], "100", id="funding is a loss"),
        pytest.param([("after", "100", "300"), ("moved", "50", "10")], "100", id="positions changed: nobody can tell"),
        pytest.param([("after", "100", "300"), ("anew", "7", "0")], "7", id="another account"),
        pytest.param([("after", "100", "300"), ("before", "-5", "195")], "100", id="nothing is left, nothing is scaled"),
        pytest.param(
            [("after", "100", "300"), ("before", "10", "150")], "100", id="more came in than there is, by funding gone mad"
        ),
        pytest.param([("before", "90", "0"), ("before", "100", "0")], "100", id="a run that was cut"),
        pytest.param(
            [("after", "100", "300"), ("before", "80", "280"), ("before", "40", "280")],
            "50",
            id="it fell to 80 by a run that found nothing to do, then half was withdrawn",
        ),
        pytest.param(
            [("after", "100", "300"), ("moved", "100", "340"), ("before", "52", "292")], "100", id="others bought, then it fell"
        ),
    ],
)
def test_the_peak_is_on_the_scale_of_what_was_paid_in_and_out(points: list[tuple[str, str, str]], peak: str | None) -> None:
    found = peak_of(worths(*points))
    assert found == (None if peak is None else D(peak))


@pytest.mark.parametrize(
    ("traded", "trips_it"), [("0.001", False), ("0.0099", False), ("0.01", True), ("2", True), ("NaN", True)]
)
def test_what_a_run_of_a_lot_or_two_paid_says_nothing(traded: str, trips_it: bool) -> None:  # noqa: FBT001
    tripped = judge(Record(slippage_bps=D(200), traded=D(traded)), Breakers())
    assert (tripped is not None) is trips_it


def test_coins_that_only_take_back_what_was_bought_are_no_withdrawal() -> None:
    def spot(after: str, own: str, smallest: str) -> ChangeKind:
        found = explain_change(
            MarketKind.SPOT, before=D(3), after=D(after), own_fills=D(own), foreign_orders=(), smallest_fill=D(smallest)
        )
        return found.kind

    assert spot("3", "2", "0.5") is ChangeKind.UNEXPLAINED, "the account shows none of four fills"
    assert spot("4.5", "2", "0.5") is ChangeKind.UNEXPLAINED, "it lacks the last one"
    assert spot("4.502", "2", "0.5") is ChangeKind.UNEXPLAINED, "and a fee of that was taken in coins"
    assert spot("4.9", "2", "0.5") is ChangeKind.TRANSFER, "less than any fill"
    assert spot("6", "2", "0.5") is ChangeKind.TRANSFER, "coins came in"
    assert spot("2.9", "2", "0.5") is ChangeKind.TRANSFER, "more is gone than was bought"
    assert spot("3", "-1", "0.5") is ChangeKind.UNEXPLAINED, "what was sold is there again"
    assert spot("1.5", "-1", "0.5") is ChangeKind.TRANSFER


@pytest.mark.parametrize(
    ("after", "forced", "hedged", "emptied"),
    [("0", True, True, True), ("1", True, True, False), ("0", True, False, False), ("0", False, True, False)],
)
def test_a_leg_is_emptied_where_the_venue_took_all_of_it(after: str, *, forced: bool, hedged: bool, emptied: bool) -> None:
    taken = change("3", after, orders=(order(str(D(after) - 3), forced=forced),))
    assert PositionChange(symbol=BTC, change=taken, hedged=hedged).emptied is emptied


@pytest.mark.parametrize(
    ("moved", "hedged", "alarms"),
    [
        (change("3", "1"), False, True),
        (change("3", "1"), True, True),
        (FORCED, False, True),
        (FORCED, True, False),
        (change("3", "4", orders=(order("1"),)), False, False),
        (change("3", "2", kind=MarketKind.SPOT), False, False),
    ],
)
def test_what_halts_a_fund_is_not_to_be_taken_for_settled(moved: Change, hedged: bool, alarms: bool) -> None:  # noqa: FBT001
    one = PositionChange(symbol=BTC, change=moved, hedged=hedged)
    assert one.alarms is alarms
    halted = [trip.state for trip in trips(Record(changes=(one,)), BREAKERS)]
    assert (FundState.HALTED in halted) is alarms
