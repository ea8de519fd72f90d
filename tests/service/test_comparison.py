"""The venue's book against the journal's: a table of everything in which they can differ, and what explains a position."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.fund import Settled
from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.order import Child, ChildState, Fill, OrderRequest, VenueOrder
from keeper.service.comparison import SKEW, Books, Recorded, Told, Verdict, compare
from tests.fakes.paper import PERP, START

D = Decimal
ID = "kpr0000000000000000000000000000a"
SECOND = timedelta(seconds=1)
AT = START + timedelta(minutes=1)
PERPETUAL = Market(
    symbol=PERP,
    kind=MarketKind.LINEAR,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract_size=D(1),
    tick=D("0.1"),
    lot=D("0.001"),
)
COINS = replace(PERPETUAL, symbol="BNB/USDT", kind=MarketKind.SPOT, base="BNB")


def fill(**changes: Any) -> Fill:
    parts: dict[str, Any] = {
        "trade_id": "t1",
        "symbol": PERP,
        "side": Side.BUY,
        "amount": D(2),
        "price": D(105),
        "fee": D("0.1"),
        "fee_asset": "USDT",
        "at": AT,
    }
    return Fill(**(parts | changes))


def child(**changes: Any) -> Child:
    request = OrderRequest(
        client_id=changes.pop("client_id", ID),
        symbol=PERP,
        side=Side.BUY,
        amount=D(2),
        price=D(106),
        reduce_only=False,
        deadline=AT + 5 * SECOND,
    )
    parts: dict[str, Any] = {
        "request": request,
        "run": "btc3l-1",
        "leg": 0,
        "sequence": 1,
        "mid": D(105),
        "half_spread": D(0),
        "state": ChildState.FILLED,
        "at": AT,
        "notional": D(212),
        "order_id": "7",
        "filled": D(2),
        "average": D(105),
    }
    return Child(**(parts | changes))


def order(**changes: Any) -> VenueOrder:
    parts: dict[str, Any] = {
        "order_id": "7",
        "client_id": ID,
        "symbol": PERP,
        "side": Side.BUY,
        "amount": D(2),
        "filled": D(2),
        "average": D(105),
        "state": ChildState.FILLED,
        "forced": False,
        "at": AT,
        "changed_at": AT,
    }
    return VenueOrder(**(parts | changes))


OURS = Recorded(child=child(), fills=(fill(),))
THEIRS = Told(order=order(), fills=(fill(),))


def books(**changes: Any) -> Books:
    parts: dict[str, Any] = {
        "since": START,
        "lacking_since": START,
        "at": START + timedelta(hours=1),
        "markets": {PERP: PERPETUAL},
        "ours": [OURS],
        "theirs": [THEIRS],
        "settled": {},
        "held": {PERP: D(8)},
    }
    return Books(**(parts | changes))


NEW = {"state": ChildState.NOT_PLACED, "filled": D(0), "average": None, "order_id": None}
CASES: dict[str, tuple[dict[str, Any], Verdict]] = {
    "the same in both": ({}, Verdict.AGREES),
    "refused, and nowhere at the venue": (
        {"ours": [Recorded(child=child(**NEW | {"state": ChildState.REJECTED}))], "theirs": []},
        Verdict.AGREES,
    ),
    "never placed, and nowhere at the venue": ({"ours": [Recorded(child=child(**NEW))], "theirs": []}, Verdict.AGREES),
    "never placed, yet there": ({"ours": [Recorded(child=child(**NEW))]}, Verdict.STATE),
    "not in the journal": ({"ours": []}, Verdict.MISSING_IN_JOURNAL),
    "not in the journal, and a human knows": ({"ours": [], "adopted": frozenset({ID})}, Verdict.ADOPTED),
    "not at the venue": ({"theirs": []}, Verdict.MISSING_AT_VENUE),
    "twice at the venue": (
        {"theirs": [THEIRS, Told(order=order(order_id="8"), fills=(fill(trade_id="t2"),))]},
        Verdict.TWICE_AT_VENUE,
    ),
    "ended otherwise": ({"theirs": [Told(order=order(state=ChildState.CANCELED), fills=(fill(),))]}, Verdict.STATE),
    "another amount": (
        {
            "ours": [Recorded(child=child(state=ChildState.CANCELED, filled=D(1)), fills=(fill(amount=D(1)),))],
            "theirs": [Told(order=order(state=ChildState.CANCELED), fills=(fill(),))],
        },
        Verdict.FILLED,
    ),
    "another price": ({"theirs": [Told(order=order(), fills=(fill(price=D(104)),))]}, Verdict.TRADES),
    "another fee": ({"theirs": [Told(order=order(), fills=(fill(fee=D("0.2")),))]}, Verdict.TRADES),
    "a trade that is not booked": (
        {"ours": [Recorded(child=child(), fills=())]},
        Verdict.TRADES,
    ),
    "a trade that the venue lacks": ({"theirs": [Told(order=order(), fills=())]}, Verdict.TRADES),
    "still open, long after its deadline": (
        {"ours": [Recorded(child=child(**NEW | {"state": ChildState.UNKNOWN}))]},
        Verdict.OPEN,
    ),
    "on its way": (
        {"ours": [Recorded(child=child(**NEW | {"state": ChildState.INTENT}))], "theirs": [], "at": AT + 5 * SECOND},
        Verdict.IN_FLIGHT,
    ),
}


@pytest.mark.parametrize(("changes", "verdict"), CASES.values(), ids=CASES)
def test_an_order_in_both_books(changes: dict[str, Any], verdict: Verdict) -> None:
    found = compare(books(**changes))
    assert {pair.verdict for pair in found.pairs} == {verdict}
    assert found.agrees is not verdict.differs
    assert {bool(pair.what) for pair in found.pairs} == {verdict.differs}
    [line, *_] = found.document(fund="btc3l", venue="sim", environment="paper", accepted=False)["orders"]
    assert (line["client_id"], line["verdict"], line["market"], line["side"]) == (ID, verdict.value, PERP, "buy")


def test_what_was_placed_before_is_beside_the_point() -> None:
    late = books(since=AT + SECOND, lacking_since=AT + SECOND)
    assert compare(late).pairs == ()
    assert compare(replace(late, ours=[])).pairs == ()


def test_an_order_that_the_journal_lacks_counts_from_further_back_than_one_that_a_venue_may_have_forgotten() -> None:
    late = books(since=AT + SECOND, ours=[])
    [pair] = compare(late).pairs
    assert pair.verdict is Verdict.MISSING_IN_JOURNAL
    assert compare(replace(late, lacking_since=AT + SECOND)).pairs == ()
    assert compare(replace(late, ours=[OURS], theirs=[])).agrees


def test_orders_of_others_are_listed_and_no_difference() -> None:
    theirs = Told(order=order(order_id="9", client_id="web_1", forced=True), fills=(fill(trade_id="t9"),))
    early = Told(order=order(order_id="3", client_id="web_0", at=START - SECOND))
    found = compare(books(theirs=[THEIRS, theirs, early]))
    assert [one.order_id for one in found.foreign] == ["9"]
    assert found.agrees
    [line] = found.document(fund="btc3l", venue="sim", environment="paper", accepted=False)["foreign"]
    assert (line["client_id"], line["forced"], line["filled"]) == ("web_1", True, "2")


def settled(contracts: str, at: Any = START) -> dict[str, Settled]:
    return {PERP: Settled(symbol=PERP, contracts=D(contracts), at=at)}


FOREIGN = Told(
    order=order(order_id="9", client_id="", side=Side.SELL, filled=D(1)),
    fills=(fill(trade_id="t9", side=Side.SELL, amount=D(1)),),
)
# what was settled, what the venue has since, what is held, and what nothing explains
POSITIONS: dict[str, tuple[dict[str, Settled], list[Told], str, str]] = {
    "ours": (settled("6"), [THEIRS], "8", "0"),
    "ours and others": (settled("6"), [THEIRS, FOREIGN], "7", "0"),
    "somebody took from it": (settled("6"), [THEIRS], "7.5", "-0.5"),
    "settled since": (settled("8", AT + SECOND), [THEIRS], "8", "0"),
    "settled before, by a clock that is ahead": (settled("7", AT + SECOND), [FOREIGN], "6", "0"),
    "settled after, by a clock that is behind": (settled("6", AT - SECOND), [FOREIGN], "6", "0"),
    "long before": (settled("7", AT + timedelta(minutes=1)), [FOREIGN], "6", "-1"),
}


@pytest.mark.parametrize(("before", "theirs", "held", "difference"), POSITIONS.values(), ids=POSITIONS)
def test_a_position_is_what_was_settled_and_what_was_traded_since(
    before: dict[str, Settled], theirs: list[Told], held: str, difference: str
) -> None:
    since = before[PERP].at < AT
    ours = [replace(OURS, since_settled=since)] if THEIRS in theirs else []
    found = compare(books(settled=before, ours=ours, theirs=theirs, held={PERP: D(held)}))
    [holding] = found.holdings
    assert holding.difference == D(difference)
    assert found.agrees is (difference == "0")


def test_a_late_fill_of_an_order_from_before_counts() -> None:
    at = AT + timedelta(minutes=5)
    late = Told(order=order(), fills=(fill(at=at + SKEW + SECOND),))
    ours = [replace(OURS, since_settled=False)]
    [holding] = compare(books(settled=settled("6", at), ours=ours, theirs=[late])).holdings
    assert (holding.own, holding.difference) == (D(2), D(0))


def test_coins_go_with_fees_and_come_and_go_without_orders() -> None:
    paid = Told(order=order(), fills=(fill(fee=D("0.25"), fee_asset="BNB"),))
    before = {COINS.symbol: Settled(symbol=COINS.symbol, contracts=D(10), at=START)}
    found = compare(
        books(
            markets={PERP: PERPETUAL, COINS.symbol: COINS},
            ours=[Recorded(child=child(), fills=paid.fills)],
            theirs=[paid],
            settled=before,
            held={COINS.symbol: D("12.75")},
        )
    )
    [holding] = found.holdings
    assert (holding.own, holding.expected) == (D("-0.25"), D("9.75"))
    assert (holding.transferred, holding.difference) == (D(3), D(0))
    assert found.agrees
