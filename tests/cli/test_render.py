"""Tables and progress on a terminal: everything that matters is there at any width, whole and within it."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from keeper.cli.progress import LiveProgress, legs_table, plain_line
from keeper.cli.render import config_table, plan_table, run_summary, runs_table, status_table
from keeper.domain.fund import FundState, Standing
from keeper.domain.market import Side
from keeper.domain.order import ChildState
from keeper.domain.run import NavCause, NavPoint, RunStatus
from keeper.policy.emergency import Emergency
from keeper.service.documents import (
    Slots,
    emergency_document,
    fund_status,
    run_document,
    runs_document,
    status_document,
)
from keeper.service.progress import LegProgress
from tests.fakes.run_history import DECIDED, History, Leg, history, plan_of, unsent

D = Decimal
WIDTHS = pytest.mark.parametrize("width", [80, 120])

LONG = Leg(market="1000PEPE/USDT:USDT", side=Side.SELL, arrival=D("0.0116"), size=D(1_498_501), before="-0.9", after="-1.25")
LOST = history(
    Leg(slices=8, states={8: ChildState.UNKNOWN}), status=RunStatus.INCOMPLETE, reason="the outcome of one order is not known"
)


def shown(width: int, show: Callable[[Console], None]) -> str:
    """What ``show`` prints at ``width``, one space between words so that a folded cell reads on."""
    console = Console(file=io.StringIO(), width=width, record=True)
    show(console)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    return re.sub(r"\s+", " ", text)


def document_of(past: History) -> dict[str, Any]:
    return run_document(past.run, past.children, past.fills, is_trading=False)


@WIDTHS
def test_a_plan_shows_legs_cost_triggers_and_refusals(width: int) -> None:
    plan = plan_of([Leg(), LONG], refusals=[("turnover", "over the day's [limit]")])
    text = shown(width, lambda console: plan_table(plan, console))
    for essential in (
        *("btc3l on sim (paper)", "NAV 115,000.00 USDT", "2.739x net", "Due: BTC/USDT:USDT at 2.739x, wanted 3.000x"),
        *("BTC/USDT:USDT", "buy 0.478 BTC", "52,500.00", "25,095.00", "to 3.000x"),
        *("1000PEPE/USDT:USDT", "sell 14,985,010", "173,826.12", "-0.900x", "to -1.250x", "reduce-only"),
        "Estimated cost 5.72 bps, give or take 3.10 (fee 5.00, spread 0.30, impact 0.42)",
        "it is left alone from 2.9x to 3.1x",
        "Emergency at 3.990x: BTC/USDT:USDT at 46,705.93 (-11.04%)",
        "Refused, turnover: over the day's [limit]",
        "9d377b10ce77",
    ):
        assert essential in text


def test_a_plan_without_legs_says_that_nothing_is_due() -> None:
    plan = {**plan_of([]), "due": False, "reason": "every market is inside its band"}
    text = shown(80, lambda console: plan_table(plan, console))
    assert "Nothing due: every market is inside its band" in text
    assert "Estimated cost" not in text


@WIDTHS
def test_a_run_shows_deed_legs_and_cost(width: int) -> None:
    past = history(Leg(), LONG, reason="every gap is below one lot")
    document = document_of(past)
    text = shown(width, lambda console: run_summary(document, console, plan=past.run.plan))
    shortfall = document["shortfall"]
    for essential in (
        "btc3l bought 0.478 BTC and sold 14,985,010 1000PEPE in 20 orders and went from 2.739x to 2.650x.",
        *("Completed: every gap is below one lot", "gross leverage 2.739x to 2.650x", "NAV 115,000.00 to"),
        *("buy 0.478 0 2.739x of 0.478 to 3.000x", "sell 14,985,010 0 -0.900x of 14,985,010 to -1.250x"),
        f"total {D(shortfall['total']):,.2f} {D(shortfall['total_bps']):.2f} 5.72",
        f"fees {D(shortfall['fees']):,.2f} {D(shortfall['fee_bps']):.2f} 5.00",
        *("delay", "spread", "impact", "timing", "Run btc3l-4f1c2a9e"),
    ):
        assert essential in text


@WIDTHS
def test_every_order_of_a_run_can_be_shown_with_its_whole_id(width: int) -> None:
    document = document_of(LOST)
    text = shown(width, lambda console: run_summary(document, console, orders=True))
    assert all(child.request.client_id in text for child in LOST.children)
    assert "Unknown" in text
    assert "the reply was cut short" in text
    assert LOST.children[0].request.client_id not in shown(width, lambda console: run_summary(document, console))


def test_a_run_that_was_interrupted_shows_no_figure_that_nobody_knows() -> None:
    document = document_of(history(Leg(slices=3), status=RunStatus.RUNNING))
    text = shown(80, lambda console: run_summary(document, console))
    assert "bought 0.1434 BTC in 3 orders before it was interrupted." in text
    assert "process that worked on it is gone" in text
    assert "NAV" not in text
    assert "not ended" in text


def test_a_run_says_what_it_was_asked_for() -> None:
    document = {**document_of(history(Leg())), "trigger": "emergency:20240809T001500-000000", "asked": "gross leverage is 4.1x"}
    assert "Asked for (emergency): gross leverage is 4.1x" in shown(80, lambda console: run_summary(document, console))
    assert "Asked for" not in shown(80, lambda console: run_summary(document_of(history(Leg())), console))


def test_a_fee_that_nothing_prices_is_told() -> None:
    document = {**document_of(history(Leg())), "unpriced_fees": {"BNB": "0.0123"}}
    assert "fees of 0.0123 BNB" in shown(80, lambda console: run_summary(document, console))


STEADY: dict[str, object] = {"in_force": {}, "waiting": None}
UNSEEN = emergency_document(Emergency(max_leverage=D(4), to=D(3)), None)


@WIDTHS
@pytest.mark.parametrize("halted", [True, False])
def test_a_status_shows_how_far_a_fund_is_from_an_emergency(width: int, *, halted: bool) -> None:
    standing = Standing(fund="btc3l", state=FundState.HALTED) if halted else Standing(fund="btc3l")
    seen = {"as_of": "2024-08-09T00:15:00+00:00", "gross_leverage": "3.412"}
    away = [{"market": "BTC/USDT:USDT", "move": "-0.05", "price": "47123.4"}]

    def of(danger: str) -> str:
        told = {**UNSEEN, **seen, "moves": away, "danger": danger}
        fund = fund_status(
            standing,
            venue="sim",
            environment="paper",
            last_run=None,
            open_children=(),
            nav=None,
            slots=Slots(),
            is_trading=True,
        )
        return shown(
            width, lambda console: status_table(status_document([fund | {"emergency": told, "target": STEADY}]), console)
        )

    text = of("")
    assert "emergency at 4.000x gross, down to 3.000x: BTC/USDT:USDT at 47,123.40 (-5.00%)" in text
    assert "3.412x gross as of 2024-08-09 00:15:00 UTC" in text
    assert "btc3l: emergency:" not in text
    text = of("gross leverage is 4.1x")
    assert "btc3l: emergency: gross leverage is 4.1x" in text
    assert ("nothing is done about it" in text) is halted


@WIDTHS
def test_a_status_shows_every_fund_and_what_blocks_it(width: int) -> None:
    point = NavPoint(
        fund="btc3l",
        run="btc3l-1",
        cause=NavCause.AFTER,
        at=DECIDED,
        nav=D("114987.41"),
        currency="USDT",
        net_leverage=D("2.967"),
        gross_leverage=D("3.1"),
    )
    place = {"venue": "sim", "environment": "paper"}
    funds = [
        fund_status(
            Standing(fund="btc3l"),
            **place,
            last_run=LOST.run,
            open_children=LOST.children[-1:],
            nav=point,
            slots=Slots(coming=tuple(DECIDED + timedelta(days=days) for days in (1, 2, 3))),
            is_trading=False,
        ),
        fund_status(
            Standing(fund="eth2s"),
            **place,
            last_run=history(Leg(), status=RunStatus.RUNNING).run,
            open_children=(),
            nav=None,
            slots=Slots(),
            is_trading=False,
        ),
        fund_status(
            Standing(fund="new"),
            **place,
            last_run=None,
            open_children=(),
            nav=None,
            slots=Slots(),
            is_trading=False,
        ),
    ]
    funds = [fund | {"emergency": UNSEEN, "target": STEADY} for fund in funds]
    text = shown(width, lambda console: status_table(status_document(funds), console))
    for essential in (
        *("btc3l blocked 114,987.41 2.967x Incomplete", "USDT 3.100x gross", "2024-08-09 00:22:32"),
        f"btc3l: adds no risk until the outcome is known of {LOST.children[-1].request.client_id}",
        "btc3l-4f1c2a9e: the outcome of one order is not known",
        "btc3l: next at 2024-08-10 00:15:00 UTC (2024-08-10T00:15:00+00:00)",
        "btc3l: then at 2024-08-11 00:15:00 UTC",
        "btc3l: and at 2024-08-12 00:15:00 UTC",
        "eth2s: a run was left behind",
        "new idle - - never",
    ):
        assert essential in text


@WIDTHS
def test_runs_are_listed_with_whole_ids(width: int) -> None:
    runs = [replace(past.run, id=f"btc3l-{n}") for n, past in enumerate((history(Leg()), LOST, unsent(history(Leg()))))]
    traded = D(str((runs[0].result or {})["filled_notional"]))
    left = replace(history(Leg(), status=RunStatus.RUNNING).run, id="btc3l-4f1c2a9e")
    text = shown(width, lambda console: runs_table(runs_document([*runs, left]), console))
    for essential in (
        *("btc3l-0 2024-08-09 2.739x", f"{traded:,.2f}", "completed 00:15 UTC to 3.000x USDT"),
        *("btc3l-1 ", "incomplete", "btc3l-4f1c2a9e 2024-08-09 - - - interrupted"),
    ):
        assert essential in text


def test_nothing_to_list_is_said() -> None:
    assert shown(80, lambda console: runs_table(runs_document([]), console)).strip() == "No run yet."
    assert shown(80, lambda console: status_table(status_document([]), console)).strip() == "No fund is configured."


@WIDTHS
def test_settings_keep_brackets_and_sources(width: int) -> None:
    rows = [("funds.btc3l.target.BTC/USDT:USDT", "3.0", "keeper.toml"), ("venues.sim.feed.kind", "[bold]fixed", "default")]
    text = shown(width, lambda console: config_table(rows, console))
    assert "funds.btc3l.target.BTC/USDT:USDT 3.0 keeper.toml" in text
    assert "[bold]fixed" in text


def progress_of(**changes: Any) -> LegProgress:
    leg = LegProgress(
        market="BTC/USDT:USDT",
        side=Side.BUY,
        planned=D("0.570573"),
        filled=D("0.1434"),
        average=D("52516.54"),
        arrival=D(52500),
        slice=3,
        slices=10,
        ends_at=DECIDED + timedelta(minutes=20),
        state="working",
    )
    return replace(leg, **changes)


AT = DECIDED + timedelta(seconds=90)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "BTC/USDT:USDT buy 0.1434/0.570573 (25%), average 52,516.54, +3.15 bps against arrival, slice 3/10, 18m 30s left",
        ),
        (
            {"side": Side.SELL},
            "BTC/USDT:USDT sell 0.1434/0.570573 (25%), average 52,516.54, -3.15 bps against arrival, slice 3/10, 18m 30s left",
        ),
        (
            {"filled": D(0), "average": None, "slice": 0, "ends_at": DECIDED},
            "BTC/USDT:USDT buy 0/0.570573 (0%), no fill yet, slice 0/10, 0s left",
        ),
        (
            {"filled": D("0.570573"), "state": "done"},
            "BTC/USDT:USDT buy 0.570573/0.570573 (100%), average 52,516.54, +3.15 bps against arrival, slice 3/10, done",
        ),
        (
            {"slice": 11, "state": "done"},
            "BTC/USDT:USDT buy 0.1434/0.570573 (25%), average 52,516.54, +3.15 bps against arrival, slice 11/11, done",
        ),
        ({"planned": D(0), "filled": D(0), "average": None}, "BTC/USDT:USDT buy 0/0 (0%), no fill yet, slice 3/10, 18m 30s left"),
    ],
)
def test_progress_of_a_leg_as_a_line(changes: dict[str, Any], line: str) -> None:
    assert plain_line(progress_of(**changes), AT) == line


def test_where_there_is_no_terminal_each_slice_is_said_once() -> None:
    out = io.StringIO()
    progress = LiveProgress(Console(file=out, width=80, force_terminal=False))
    first, second = progress_of(), progress_of(filled=D("0.2"), slice=4)
    for leg in (first, first, second, second):
        progress.update([leg, progress_of(market="ETH/USDT:USDT")], AT)
    progress.close()
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USDT:USDT"]
    assert "slice 4/10" in lines[-1]
    assert "\x1b" not in out.getvalue()


@WIDTHS
def test_a_terminal_shows_one_line_per_leg_and_keeps_the_last(width: int) -> None:
    out = io.StringIO()
    progress = LiveProgress(Console(file=out, width=width, force_terminal=True, color_system=None, legacy_windows=False))
    large = progress_of(market="1000PEPE/USDT:USDT", side=Side.SELL, planned=D(14_985_010), filled=D(9_337_035))
    for number in (1, 2, 3):
        progress.update([progress_of(slice=number), large], AT)
    progress.close()
    progress.close()
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n")
    lines = [line for line in words.splitlines() if line.strip()]
    assert max(len(line) for line in lines) <= width
    last = lines[-2:]
    for essential in ("BTC/USDT:USDT", "buy", "0.1434/0.570573", "+3.15 bps", "3/10", "18m 30s left"):
        assert essential in last[0]
    for essential in ("1000PEPE/USDT:USDT", "sell", "9,337,035/14,985,010", "-3.15 bps", "3/10", "18m 30s left"):
        assert essential in last[1]


@pytest.mark.parametrize(("width", "bar"), [(120, 24), (86, 11), (70, 0)])
def test_the_bar_takes_the_room_that_the_figures_leave(width: int, bar: int) -> None:
    large = progress_of(market="1000PEPE/USDT:USDT", side=Side.SELL, planned=D(14_985_010), filled=D(14_985_010))
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(legs_table([large], AT, width))
    assert console.export_text().count("━") == bar
