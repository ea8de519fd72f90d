"""What a plan is sized on while money is on its way."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from keeper.accounting.dealing import Cancellation, Redemption, Subscription, dealt
from keeper.accounting.nav import enter
from keeper.domain.account import Valuation
from keeper.domain.errors import StaleData
from keeper.domain.ledger import Ledger
from keeper.domain.order import NEVER_SENT, ChildState, Rejected, is_stop
from keeper.planning.belief import believed
from keeper.planning.brief import Brief
from keeper.planning.build import build, staying
from keeper.planning.limits import Limits, not_enabled
from keeper.planning.plan import marks_of
from keeper.policy.mandate import Mandate
from tests.fakes.book_values import open_books, opening, stamp
from tests.fakes.journal_values import a_child, a_run
from tests.fakes.markets import BTC, linear, observe, quote

D = Decimal


@pytest.mark.parametrize(
    ("flows", "stays"),
    [
        ({}, "1"),
        ({"USDT": "-25"}, "0.75"),
        ({"USDT": "25"}, "1"),
        ({"USDT": "-100"}, "0"),
        ({"USDT": "-101"}, "0"),
        ({"BTC": "-25"}, "1"),
    ],
)
def test_what_stays_of_nav(flows: dict[str, str], stays: str) -> None:
    worth = Valuation(currency="USDT", nav=D(100), exposures={}, foreign=D(0), prices={"USDT": D(1)})
    assert staying({currency: D(amount) for currency, amount in flows.items()}, worth) == D(stays)


@pytest.mark.parametrize("nav", ["0", "-5"])
def test_of_nothing_nothing_leaves(nav: str) -> None:
    worth = Valuation(currency="USDT", nav=D(nav), exposures={}, foreign=D(0), prices={"USDT": D(1)})
    assert staying({"USDT": D(-25)}, worth) == 1


def test_a_plan_is_sized_on_what_stays_and_says_so() -> None:
    observation = observe({"USDT": "1000"}, {linear(): quote("100")})
    limits = Limits(max_order_notional=D(10**6), max_turnover_per_day=D(3), max_slippage_bps=D(30), max_leverage=D(9))
    brief = Brief(
        fund="btc3l",
        venue="sim",
        environment="paper",
        mandate=Mandate(targets={BTC: D(3)}),
        limits=limits,
        slicer=lambda _contracts, _smallest: 10,
        horizon=timedelta(minutes=30),
        flows={"USDT": D(-250)},
    )
    made = build(brief, observation)
    assert made.legs[0].notional <= 2250
    assert made.notes == ("sized on NAV less 250.00 USDT, which is on its way out: `keeper nav moved` once it has left",)


def test_what_is_on_its_way_is_what_has_neither_moved_nor_been_canceled() -> None:
    books = open_books("1000")
    first = dealt(books, Subscription(holder="a", amount=D(70), moved=False), stamp("in", "1000"))
    books = enter(books, first)
    second = dealt(books, Redemption(holder="", amount=D(50)), stamp("out", "1000"))
    books = enter(books, second)
    third = dealt(books, Subscription(holder="b", amount=D(9), moved=False), stamp("off", "1000"))
    books = enter(books, third)
    off = dealt(books, Cancellation("off"), stamp("no", "1000"))
    assert Ledger((opening("1000"), first, second, third, off)).on_their_way == {"USDT": D(20)}


def test_a_stop_is_told_by_its_id_and_rests_while_it_is_live() -> None:
    child = a_child("kprs0123", reduce_only=True)
    stop = replace(child, request=replace(child.request, trigger=D(50_000), price=D(50_000)))
    assert (is_stop("kprs0123"), is_stop("kpr0123")) == (True, False)
    assert [replace(stop, state=state).rests for state in (ChildState.LIVE, ChildState.FILLED)] == [True, False]
    assert not replace(child, state=ChildState.LIVE).rests
    gone = replace(child, state=ChildState.REJECTED, reason=Rejected(NEVER_SENT, "no route").reason)
    assert (gone.never_left, replace(gone, reason="-2010: no balance").never_left) == (True, False)
    assert not_enabled().code == "not_enabled"


def test_the_marks_of_a_run_are_those_of_its_plan() -> None:
    assert marks_of(None) == {}
    assert marks_of(replace(a_run(), plan={"marks": {BTC: "100.5"}})) == {BTC: D("100.5")}


def test_an_emergency_is_decided_by_prices_that_agree() -> None:
    good = observe({"USDT": "1000"}, {linear(): quote("100")})
    assert believed(good, D(30)) is good
    spiked = replace(good, quotes={BTC: replace(good.quotes[BTC], mark=D(50))})
    with pytest.raises(StaleData, match="are further apart than 480 bps"):
        believed(spiked, D(30))
