import ast
import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import keeper
from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.market import Side
from keeper.domain.observation import Observation
from keeper.domain.order import ChildState, client_id
from keeper.domain.run import Run
from keeper.execution.engine import Slice
from keeper.planning import gate
from keeper.planning.gate import Refused
from keeper.planning.limits import Limits
from keeper.service.observer import Observer
from keeper.service.sender import CONFIRMATIONS, Sender, Sent
from tests.fakes.desks import LIMITS, Desk, desk_of, drifted
from tests.fakes.journal_values import a_run
from tests.fakes.moving_feed import moving_feed
from tests.fakes.paper import PERP, opening, paper_venue
from tests.fakes.scripted_venue import Fault, ScriptedVenue

ETH = "ETH/USDT:USDT"
RUN = a_run("r1", account="acc1")


def proposal(**changes: Any) -> Slice:
    """Buy 30 BTC at 105.20, which is 19 bps above the mid."""
    parts: dict[str, Any] = {
        "leg": 0,
        "sequence": 1,
        "symbol": PERP,
        "side": Side.BUY,
        "amount": Decimal(30),
        "price": Decimal("105.2"),
        "reduce_only": False,
        "mid": Decimal(105),
        "half_spread": Decimal(0),
        "left": Decimal(400),
    }
    return Slice(**(parts | changes))


class Bench:
    """A sender with an open run, and an observation to judge by."""

    def __init__(self, desk: Desk, observation: Observation, limits: Limits = LIMITS) -> None:
        self.desk, self.venue, self.journal, self.observation = desk, desk.venue, desk.journal, observation
        self.sender = Sender(desk.venue, desk.journal, desk.venue.clock, limits)
        self.venue.log.clear()

    @classmethod
    async def at(cls, desk: Desk, limits: Limits = LIMITS, run: Run = RUN) -> "Bench":
        await desk.journal.open_run(run)
        observer = await Observer.on(desk.venue, desk.fund.symbols, None, desk.venue.clock)
        return cls(desk, await observer.observe(), limits)

    async def send(self, **changes: Any) -> Sent | Refused:
        return await self.send_for(RUN, **changes)

    async def send_for(self, run: Run, **changes: Any) -> Sent | Refused:
        [outcome] = await self.sender.send(run, [proposal(**changes)], self.observation)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with desk_of(drifted(), tmp_path) as desk:
        yield await Bench.at(desk)


def states(path: Path) -> list[tuple[str, str]]:
    """What another process finds in the journal."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT client_id, state FROM children").fetchall()


async def test_gate_then_durable_intent_then_wire_then_outcome(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, str]] = []
    bench.venue.on_place = lambda _request: found.extend(states(tmp_path / "keeper.db"))

    def recording(request: Any, situation: Any) -> Any:
        bench.venue.log.append(("gate", request.client_id))
        return gate.check(request, situation)

    monkeypatch.setattr("keeper.service.sender.check", recording)
    sent = await bench.send()
    assert isinstance(sent, Sent)
    name = sent.child.request.client_id
    assert [what for what, _ in bench.venue.log] == ["gate", "intent", "place", "fills", "outcome filled"]
    assert {whose for _, whose in bench.venue.log} == {name, ""}
    assert found == [(name, "intent")]
    assert states(tmp_path / "keeper.db") == [(name, "filled")]


async def test_what_is_sent_is_what_was_proposed_under_an_id_that_a_crash_would_make_again(bench: Bench) -> None:
    sent = await bench.send(sequence=7)
    assert isinstance(sent, Sent)
    (request,) = bench.venue.sent
    assert request.client_id == client_id(account="acc1", fund="btc3l", run="r1", leg=0, sequence=7)
    assert (request.symbol, request.side, request.amount, request.price) == (PERP, Side.BUY, Decimal(30), Decimal("105.2"))
    assert request.deadline == bench.venue.clock.now() + timedelta(seconds=5)
    (child,) = await bench.journal.children("r1")
    assert child == sent.child
    assert child.notional == Decimal("3156.0")
    assert (child.state, child.filled, child.average) == (ChildState.FILLED, Decimal(30), Decimal(105))
    assert [fill for _, fill in await bench.journal.fills("r1")] == list(sent.fills)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"left": Decimal(29)}, "leg_cap", id="past the leg's cap"),
        pytest.param({"price": Decimal("105.4")}, "collar", id="outside the collar"),
        pytest.param({"amount": Decimal("0.0000001")}, "lot", id="not a whole lot"),
        pytest.param({"amount": Decimal("NaN")}, "not_finite", id="not a number"),
        pytest.param({"reduce_only": True}, "reduce_only", id="reduce-only that adds"),
    ],
)
async def test_a_refused_child_is_never_an_intent_and_never_on_the_wire(bench: Bench, changes: Any, code: str) -> None:
    refused = await bench.send(**changes)
    assert isinstance(refused, Refused)
    assert code in [reason.code for reason in refused.reasons]
    assert bench.venue.sent == []
    assert await bench.journal.children("r1") == ()
    (event, *_) = await bench.journal.events(run="r1")
    assert event.kind == "child.refused"
    assert code in str(event.payload)


async def test_without_a_durable_intent_nothing_is_sent(bench: Bench) -> None:
    bench.journal.broken = {"intent"}
    with pytest.raises(JournalError):
        await bench.send()
    assert bench.venue.sent == []
    assert await bench.journal.children("r1") == ()


async def test_an_outcome_that_cannot_be_written_leaves_the_intent(bench: Bench) -> None:
    bench.journal.broken = {"outcome"}
    with pytest.raises(JournalError):
        await bench.send()
    (child,) = await bench.journal.open_children("btc3l")
    assert child.state is ChildState.INTENT
    assert list(bench.venue.booked) == [child.request.client_id]


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST])
async def test_an_answer_that_proves_nothing_leaves_the_child_unknown(bench: Bench, fault: Fault) -> None:
    bench.venue.faults = {1: fault}
    sent = await bench.send()
    assert isinstance(sent, Sent)
    (child,) = await bench.journal.open_children("btc3l")
    assert child == sent.child
    assert child.state is ChildState.UNKNOWN
    assert child.reason
    assert sent.fills == ()


async def test_a_proven_rejection_ends_the_child_with_the_venues_words(bench: Bench) -> None:
    bench.venue.faults = {1: Fault.REJECTED}
    sent = await bench.send()
    assert isinstance(sent, Sent)
    assert (sent.child.state, sent.child.reason) == (ChildState.REJECTED, "-2019: margin is insufficient")
    assert await bench.journal.open_children("btc3l") == ()


@pytest.mark.parametrize(("fault", "landed"), [(Fault.HANG_BEFORE, 0), (Fault.HANG_AFTER, 1)])
async def test_cancelled_on_the_wire_an_intent_is_left_in_the_journal(bench: Bench, fault: Fault, landed: int) -> None:
    bench.venue.faults = {1: fault}
    task = asyncio.create_task(bench.send())
    await bench.venue.hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (child,) = await bench.journal.open_children("btc3l")
    assert child.state is ChildState.INTENT
    assert len(bench.venue.booked) == landed


async def test_what_was_filled_is_what_the_trades_say_however_late_they_come(tmp_path: Path) -> None:
    async with desk_of(drifted(trade_lag=0.25), tmp_path) as desk:
        bench = await Bench.at(desk)
        before = desk.venue.clock.now()
        sent = await bench.send()
        assert isinstance(sent, Sent)
        assert desk.venue.clock.now() - before >= timedelta(seconds=0.25)
        assert sum(fill.amount for fill in sent.fills) == sent.child.filled == 30


async def test_an_answer_that_overtook_the_fills_is_not_believed(bench: Bench) -> None:
    bench.venue.faults, bench.venue.late_by = {1: Fault.MUTE}, timedelta(seconds=0.2)
    sent = await bench.send()
    assert isinstance(sent, Sent)
    assert (sent.child.state, sent.child.filled) == (ChildState.FILLED, Decimal(30))
    assert sum(fill.amount for fill in sent.fills) == 30


async def test_an_order_that_found_nothing_is_canceled_once_the_venue_said_so_twice(bench: Bench) -> None:
    bench.venue.on_place = lambda _request: bench.desk.feed.move(PERP, "106")
    sent = await bench.send()
    assert isinstance(sent, Sent)
    assert (sent.child.state, sent.child.filled, sent.child.average) == (ChildState.CANCELED, Decimal(0), None)
    assert ("lookup", "") in bench.venue.log


@pytest.mark.parametrize("trouble", ["trades that never come", "no answer about them", "an order that stays live"])
async def test_what_cannot_be_confirmed_in_time_stays_open(bench: Bench, trouble: str) -> None:
    venue = bench.venue
    match trouble:
        case "trades that never come":
            venue.trade_lag = timedelta(days=1)
        case "no answer about them":
            venue.failing = {"fills": 1}
        case _:
            venue.faults = {1: Fault.RESTING}
    sent = await bench.send()
    assert isinstance(sent, Sent)
    (child,) = await bench.journal.open_children("btc3l")
    assert child == sent.child
    assert child.state is ChildState.LIVE
    assert child.reason
    assert child.order_id == venue.booked[child.request.client_id].report.order_id
    assert sent.fills == ()
    assert len([what for what, _ in venue.log if what in ("fills", "lookup")]) <= 2 * CONFIRMATIONS


async def test_a_child_of_another_run_that_is_open_blocks_this_one(bench: Bench) -> None:
    bench.venue.faults = {1: Fault.LOST_REPLY}
    await bench.send()
    other = replace(RUN, id="r2", key=replace(RUN.key, trigger="manual:r2"))
    await bench.journal.open_run(other)
    refused = await bench.send_for(other, leg=1)
    assert isinstance(refused, Refused)
    assert [reason.code for reason in refused.reasons] == ["open_child"]
    assert len(bench.venue.sent) == 1


@pytest.mark.parametrize("changes", [{"sequence": 2}, {"leg": 1}])
async def test_while_an_outcome_is_unknown_nothing_else_is_sent(bench: Bench, changes: Any) -> None:
    bench.venue.faults = {1: Fault.LOST_REPLY}
    await bench.send()
    assert isinstance(await bench.send(**changes), Refused)
    assert len(bench.venue.sent) == 1


def two_markets() -> ScriptedVenue:
    return ScriptedVenue(paper_venue(moving_feed({PERP: "100", ETH: "10"}), opening({"USDT": "1000"})))


def both_legs() -> list[Slice]:
    """15 BTC and -150 ETH: 1.5 times NAV each."""
    btc = proposal(amount=Decimal(15), price=Decimal(100), mid=Decimal(100))
    eth = proposal(leg=1, symbol=ETH, side=Side.SELL, amount=Decimal(150), price=Decimal(10), mid=Decimal(10))
    return [btc, eth]


async def test_an_intent_that_fails_stops_its_own_leg_only(tmp_path: Path) -> None:
    async with desk_of(two_markets(), tmp_path, {PERP: "3", ETH: "-3"}) as desk:
        bench = await Bench.at(desk)
        await bench.send(amount=Decimal(1), price=Decimal(100))
        first, second = both_legs()
        outcomes = await bench.sender.send(RUN, [first, second], bench.observation)
        assert [type(one) for one in outcomes] == [InvariantViolation, Sent]  # sequence 1 of leg 0 was used
        assert [request.symbol for request in desk.venue.sent] == [PERP, ETH]


@pytest.mark.parametrize(
    ("limits", "passing", "code"),
    [
        pytest.param({"max_turnover_per_day": Decimal(3)}, 2, None, id="turnover for both"),
        pytest.param({"max_turnover_per_day": Decimal("2.9")}, 1, "turnover", id="turnover for one"),
        pytest.param({"max_leverage": Decimal(3)}, 2, None, id="leverage for both"),
        pytest.param({"max_leverage": Decimal("2.9")}, 0, "leverage", id="leverage for one: neither"),
    ],
)
async def test_two_legs_at_once_do_not_jump_a_cap(tmp_path: Path, limits: dict[str, Any], passing: int, code: str) -> None:
    async with desk_of(two_markets(), tmp_path, {PERP: "3", ETH: "-3"}) as desk:
        bench = await Bench.at(desk, replace(LIMITS, **limits))
        outcomes = await bench.sender.send(RUN, both_legs(), bench.observation)
        assert len([one for one in outcomes if isinstance(one, Sent)]) == passing == len(desk.venue.sent)
        refusals = [reason.code for one in outcomes if isinstance(one, Refused) for reason in one.reasons]
        assert set(refusals) == ({code} if code else set())


def names_place(node: ast.AST) -> bool:
    """Whether ``node`` is ``something.place``, or the name as text, which is what getattr takes."""
    return (isinstance(node, ast.Attribute) and node.attr == "place") or (
        isinstance(node, ast.Constant) and node.value == "place"
    )


def test_orders_leave_from_one_call_site_only() -> None:
    package = Path(keeper.__file__).parent
    modules = {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    # settings call places in a file so, and the layers keep every venue out of their reach
    trees = {name: ast.parse(text) for name, text in modules.items() if not name.startswith("settings/")}
    assert "venues/ccxt_venue.py" in trees
    nodes = [(name, node) for name, tree in trees.items() for node in ast.walk(tree)]
    assert [name for name, node in nodes if isinstance(node, ast.Call) and names_place(node.func)] == ["service/sender.py"]
    assert [name for name, node in nodes if names_place(node)] == ["service/sender.py"], "nobody passes it on either"
