"""What kill, resolve and reconcile show: everything that matters is there at any width, whole and within it."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from keeper.cli.render import stands
from keeper.cli.tables import evidence_table, kill_table, reconciliation_table

WIDTHS = pytest.mark.parametrize("width", [80, 120])
ID = "kpr66397e0c2cfaf2cd7a9fda4acf08d"
AT = "2024-08-09T00:15:00+00:00"
MARKET = "1000PEPE/USDT:USDT"


def shown(width: int, show: Callable[[Console], None]) -> str:
    """What ``show`` prints at ``width``, one space between words so that a folded cell reads on."""
    console = Console(file=io.StringIO(), width=width, record=True)
    show(console)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    return re.sub(r"\s+", " ", text)


def killed(*orders: dict[str, Any], **changes: Any) -> dict[str, Any]:
    fund = {
        "fund": "btc3l",
        "venue": "sim",
        "environment": "paper",
        "halted": True,
        "unrecorded": None,
        "trouble": None,
        "at": AT,
    }
    return {"funds": [{**fund, "orders": list(orders), **changes}]}


def order(state: str, filled: str = "0", *, recorded: bool = True) -> dict[str, Any]:
    made = {"client_id": ID, "market": MARKET, "side": "sell", "amount": "14985010", "filled": filled}
    return made | {"state": state, "recorded": recorded}


@WIDTHS
def test_a_kill_shows_every_order_and_its_end(width: int) -> None:
    document = killed(order("canceled", "12.5", recorded=False))
    text = shown(width, lambda console: kill_table(document, console))
    for essential in (
        f"{ID} 12.5 canceled",
        f"sell {MARKET} of 14,985,010",
        "not open in the journal",
        "Nothing of ours rests any more.",
    ):
        assert essential in text


@pytest.mark.parametrize(("state", "words"), [("live", "still rests"), ("unknown", "not known")])
def test_a_kill_says_what_may_still_rest(state: str, words: str) -> None:
    text = shown(80, lambda console: kill_table(killed(order(state)), console))
    assert words in text
    assert "1 order may still rest" in text
    assert "Nothing of ours" not in text


def test_a_kill_says_what_it_could_not_do() -> None:
    document = killed(trouble="no [answer]", unrecorded="the disk is full")
    text = shown(80, lambda console: kill_table(document, console))
    assert "The venue could not be asked: no [answer]." in text
    assert "NOT recorded, a daemon may go on: the disk is full" in text
    assert "Nothing of ours" not in text


EVIDENCE: dict[str, Any] = {
    "client_id": ID,
    "run": "btc3l-1",
    "market": MARKET,
    "side": "sell",
    "amount": "2",
    "price": "0.0116",
    "state": "unknown",
    "reason": "no answer in time",
    "intended_at": AT,
    "deadline": AT,
    "lookup": {"order_id": "77", "state": "filled", "filled": "2"},
    "orders": [
        {"order_id": "77", "client_id": ID, "side": "sell", "amount": "2", "filled": "2", "state": "filled", "at": AT},
    ],
    "position": {"expected": "5", "held": "3", "difference": "-2"},
    "unread": None,
}


@WIDTHS
def test_the_evidence_of_a_child_is_shown_whole(width: int) -> None:
    text = shown(width, lambda console: evidence_table(EVIDENCE, console))
    for essential in (
        f"{ID}: sell 2 {MARKET} at",
        "Unknown since 2024-08-09 00:15:00 UTC (no answer in time); a run of btc3l-1",
        "By this id the venue has order 77: filled, 2 filled",
        "08-09 00:15:00",
        "3 contracts are held, 5 are explained: -2 are not",
    ):
        assert essential in text


def test_evidence_that_is_not_there_is_said() -> None:
    document = EVIDENCE | {"lookup": None, "orders": [], "position": None, "unread": "orders: no answer"}
    text = shown(80, lambda console: evidence_table(document, console))
    for essential in ("By this id the venue has no order", f"No order was placed in {MARKET}", "Not told: orders: no answer"):
        assert essential in text


RECONCILED: dict[str, Any] = {
    "fund": "btc3l",
    "venue": "sim",
    "environment": "paper",
    "since": AT,
    "at": AT,
    "agrees": False,
    "accepted": False,
    "orders": [
        {"client_id": "kprfine", "verdict": "agrees", "what": None, "side": "buy", "market": MARKET},
        {
            "client_id": ID,
            "verdict": "missing_in_journal",
            "what": "the journal does not know it",
            "side": "buy",
            "market": MARKET,
        },
    ],
    "foreign": [
        {
            "order_id": "9",
            "client_id": None,
            "market": MARKET,
            "side": "sell",
            "filled": "4",
            "state": "filled",
            "forced": True,
            "at": AT,
        },
    ],
    "positions": [
        {"market": MARKET, "settled": "6", "own": "2", "foreign": "-4", "held": "3.5", "difference": "-0.5"},
    ],
    "contracts": [
        {
            "market": MARKET,
            "pinned": {"kind": "linear", "contract_size": "1"},
            "found": {"kind": "linear", "contract_size": "10"},
            "differs": True,
        },
    ],
}


@WIDTHS
def test_a_comparison_shows_what_differs_what_others_did_and_the_positions(width: int) -> None:
    text = shown(width, lambda console: reconciliation_table(RECONCILED, console))
    for essential in (
        "2 orders of ours, 1 of which differ",
        f"{ID} the journal does not know it buy {MARKET}",
        "9 forced by the venue",
        "6 2 -4 3.5 -0.5",
        f"{MARKET} Contract size 1 Contract size 10",
        "Venue and journal differ.",
    ):
        assert essential in text
    assert "kprfine" not in text


def test_books_that_agree_are_said_to() -> None:
    document = RECONCILED | {"agrees": True, "orders": RECONCILED["orders"][:1], "foreign": [], "positions": [], "contracts": []}
    text = shown(80, lambda console: reconciliation_table(document, console))
    assert "1 order of ours, 0 of which differ Venue and journal agree." in text


def test_how_a_fund_stands_is_one_sentence() -> None:
    halted = {"state": "halted", "cause": "repeated_execution", "reason": "7 runs", "at": AT}
    assert stands(halted) == "halted since 2024-08-09 00:15:00 UTC (repeated execution: 7 runs)"
    assert stands({"state": "reduce_only", "cause": None, "reason": "", "at": None}) == "bound to reductions (no reason given)"
