"""The documents of `--json`: their keys, their figures, and what is null when."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from keeper.accounting.attribution import Shortfall
from keeper.domain.fund import FundState, Standing
from keeper.domain.order import ChildState
from keeper.domain.run import Event, NavCause, NavPoint, Run, RunStatus
from keeper.policy.emergency import Emergency
from keeper.service.documents import (
    Slots,
    emergency_document,
    fund_status,
    json_ready,
    run_document,
    runs_document,
    shortfall_document,
    status_document,
    utc_text,
    with_books,
)
from keeper.service.emergencies import LOOKED
from tests.fakes.run_history import DECIDED, History, Leg, history, unsent

D = Decimal
RUN_KEYS = {
    *("run", "fund", "status", "reason", "nav_before", "nav_after", "leverage_before", "leverage_after"),
    *("gross_leverage_before", "gross_leverage_after", "children", "filled_notional", "fees", "shortfall", "legs"),
    *("started_at", "ended_at"),
}
NULL_UNTIL_ENDED = {
    *("nav_before", "nav_after", "leverage_before", "leverage_after", "gross_leverage_before", "gross_leverage_after"),
    *("filled_notional", "fees", "shortfall", "legs", "ended_at"),
}
NAV = NavPoint(
    fund="btc3l",
    run="btc3l-1",
    cause=NavCause.AFTER,
    at=DECIDED,
    nav=D("114987.41"),
    currency="USDT",
    net_leverage=D("2.967"),
    gross_leverage=D("2.967"),
)


def document_of(past: History, *, is_trading: bool = True) -> dict[str, Any]:
    return run_document(past.run, past.children, past.fills, is_trading=is_trading)


def numbers_in(value: object) -> list[object]:
    match value:
        case dict():
            return [found for item in value.values() for found in numbers_in(item)]
        case list():
            return [found for item in value for found in numbers_in(item)]
        case bool() | None | str():
            return []
        case _:
            return [value]


def test_a_run_that_ended_says_everything() -> None:
    past = history(Leg(), reason="done")
    document = document_of(past)
    assert document.keys() >= RUN_KEYS
    assert not {key for key in RUN_KEYS if document[key] is None}
    assert (document["run"], document["fund"], document["status"]) == ("btc3l-4f1c2a9e", "btc3l", "completed")
    assert document["leverage_after"] == "3"
    assert document["children"][0] == {
        "client_id": past.children[0].request.client_id,
        "market": "BTC/USDT:USDT",
        "side": "buy",
        "amount": "0.0478",
        "filled": "0.0478",
        "filled_base": "0.0478",
        "average": document["children"][0]["average"],
        "state": "filled",
        "reason": "",
    }
    assert set(document["legs"][0]) >= {"market", "side", "planned", "traded", "leverage_before", "leverage_after"}
    assert document["legs"][0]["traded"] == "0.478"
    assert len(document["fills"]) == len(past.fills) == 20


def test_every_figure_is_a_string_and_the_document_survives_json() -> None:
    document = document_of(history(Leg(), Leg(market="ETH/USDT:USDT")))
    assert numbers_in(document) == []
    assert json.loads(json.dumps(document)) == document
    assert "E" not in "".join(child["average"] + child["filled"] for child in document["children"])


def test_the_parts_of_the_shortfall_sum_to_its_total() -> None:
    shortfall = document_of(history(Leg()))["shortfall"]
    parts = [Fraction(shortfall[part]) for part in ("delay", "timing", "spread", "impact", "fees")]
    assert all(parts)
    assert sum(parts) == Fraction(shortfall["total"])
    assert D(shortfall["total_bps"]) == pytest.approx(
        D(sum(D(shortfall[f"{part}_bps"]) for part in ("delay", "timing", "spread", "impact", "fee"))), abs=D("0.0003")
    )


@pytest.mark.parametrize(("is_trading", "status"), [(True, "running"), (False, "interrupted")])
def test_a_run_that_has_not_ended_keeps_to_what_is_known(*, is_trading: bool, status: str) -> None:
    document = document_of(history(Leg(slices=3), status=RunStatus.RUNNING), is_trading=is_trading)
    assert document["status"] == status
    assert {key for key in RUN_KEYS if document[key] is None} == NULL_UNTIL_ENDED
    assert len(document["children"]) == 3


def test_an_ended_run_is_what_it_is_whoever_trades_now() -> None:
    assert document_of(history(Leg()), is_trading=False)["status"] == "completed"


def test_a_result_that_was_written_for_an_abandoned_run_leaves_the_rest_null() -> None:
    past = history(Leg(slices=2), status=RunStatus.INCOMPLETE)
    run = replace(past.run, result={"nav_before": "115000", "leverage_before": "2.739"})
    document = run_document(run, past.children, past.fills)
    assert document["nav_before"] == "115000"
    assert document["shortfall"] is None
    assert document["legs"] is None
    assert document["unpriced_fees"] == {}


def test_contracts_become_base_units_by_the_plan() -> None:
    inverse = Leg(market="BTC/USD:BTC", size=D(100), scale=D("0.002"), slices=1)
    child = document_of(history(inverse))["children"][0]
    assert (child["filled"], child["filled_base"]) == ("100", "0.2")
    past = history(inverse)
    unplanned = replace(past.run, plan={"legs": []})
    assert run_document(unplanned, past.children, past.fills)["children"][0]["filled_base"] is None


def test_a_shortfall_of_nothing_is_zero_throughout() -> None:
    assert set(shortfall_document(Shortfall()).values()) == {"0"}


def test_a_shortfall_rounds_bps_and_never_money() -> None:
    third = D(1) / D(3)
    made = shortfall_document(Shortfall(delay=third, traded=D(10_000)))
    assert made["delay"] == str(third)
    assert made["delay_bps"] == "0.3333"


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    lisbon = timezone(timedelta(hours=1))
    assert utc_text(datetime(2024, 8, 9, 1, 15, tzinfo=lisbon)) == "2024-08-09T00:15:00+00:00"


def test_json_ready_writes_nested_values() -> None:
    made = json_ready({"a": (D("1E+3"), {"b": D("0.10")}), "at": DECIDED, "c": None, "d": True})
    assert made == {"a": ["1000", {"b": "0.1"}], "at": "2024-08-09T00:15:00+00:00", "c": None, "d": True}


RUNNING = history(Leg(slices=2), status=RunStatus.RUNNING).run
DONE = history(Leg(slices=2)).run
UNKNOWN = history(Leg(slices=1, states={1: ChildState.UNKNOWN})).children
INTENT = history(Leg(slices=1, states={1: ChildState.INTENT})).children


RULES = Emergency(max_leverage=Decimal("3.99"), to=Decimal(3))
UNSEEN = emergency_document(RULES, None)


@pytest.mark.parametrize(
    ("last_run", "open_children", "is_trading", "state"),
    [
        pytest.param(None, (), False, "idle", id="a-new-fund"),
        pytest.param(DONE, (), False, "idle", id="all-done"),
        pytest.param(RUNNING, INTENT, True, "trading", id="at-work"),
        pytest.param(RUNNING, (), False, "interrupted", id="its-process-is-gone"),
        pytest.param(DONE, INTENT, False, "interrupted", id="an-intent-was-left"),
        pytest.param(RUNNING, UNKNOWN, False, "blocked", id="gone-with-an-unknown-child"),
        pytest.param(DONE, UNKNOWN, False, "blocked", id="an-unknown-child"),
    ],
)
def test_the_state_of_a_fund(last_run: Run | None, open_children: Any, *, is_trading: bool, state: str) -> None:
    status = fund_status(
        Standing(fund="btc3l"),
        venue="sim",
        environment="paper",
        last_run=last_run,
        open_children=open_children,
        nav=NAV,
        slots=Slots(),
        is_trading=is_trading,
    )
    assert status["state"] == state
    assert status["blocked_by"] == ([child.request.client_id for child in UNKNOWN] if open_children is UNKNOWN else [])


HALTED = Standing(fund="btc3l", state=FundState.HALTED, reason="the book looks wrong", at=NAV.at)
BOUND = Standing(fund="btc3l", state=FundState.REDUCE_ONLY, reason="flattened", at=NAV.at)
TROUBLE = Standing(fund="btc3l", trouble="the exchange does not answer")


@pytest.mark.parametrize(
    ("standing", "last_run", "is_trading", "state"),
    [
        pytest.param(Standing(fund="btc3l"), DONE, True, "waiting", id="kept-by-a-daemon"),
        pytest.param(HALTED, DONE, True, "halted", id="halted-beside-a-daemon"),
        pytest.param(HALTED, DONE, False, "halted", id="halted"),
        pytest.param(HALTED, RUNNING, True, "trading", id="halted-with-an-order-in-flight"),
        pytest.param(BOUND, DONE, True, "reduce_only", id="bound-beside-a-daemon"),
        pytest.param(BOUND, DONE, False, "reduce_only", id="bound"),
        pytest.param(BOUND, RUNNING, False, "interrupted", id="bound-and-left-behind"),
        pytest.param(TROUBLE, DONE, True, "trouble", id="its-exchange-is-down"),
        pytest.param(TROUBLE, DONE, False, "idle", id="in-trouble-once"),
    ],
)
def test_the_state_of_a_fund_that_is_kept_or_halted(
    standing: Standing, last_run: Run | None, *, is_trading: bool, state: str
) -> None:
    status = fund_status(
        standing,
        venue="sim",
        environment="paper",
        last_run=last_run,
        open_children=(),
        nav=None,
        slots=Slots(),
        is_trading=is_trading,
    )
    assert status["state"] == state
    since = "2024-08-09T00:15:00+00:00"
    assert status["halted"] == ({"reason": "the book looks wrong", "at": since} if standing.halted else None)
    assert status["trouble"] == (TROUBLE.trouble if state == "trouble" else None)
    assert status["standing"]["state"] == standing.state.value
    assert status["standing"]["at"] == (since if standing.at else None)
    left = ["`keeper rebalance btc3l`, or `keeper run`, settles what was left and goes on from there"]
    assert status["next"] == (left if state == "interrupted" else []) + (["`keeper resume btc3l`"] if standing.at else [])


def test_a_status_tells_nav_last_run_and_next_slot() -> None:
    slot = datetime(2024, 8, 10, 2, 15, tzinfo=timezone(timedelta(hours=2)))
    status = fund_status(
        Standing(fund="btc3l"),
        venue="sim",
        environment="paper",
        last_run=DONE,
        open_children=(),
        nav=NAV,
        slots=Slots(coming=(slot, slot + timedelta(hours=12))),
        is_trading=False,
    )
    assert (status["nav"], status["currency"], status["leverage"], status["gross_leverage"]) == (
        "114987.41",
        "USDT",
        "2.967",
        "2.967",
    )
    assert status["as_of"] == "2024-08-09T00:15:00+00:00"
    assert status["next_slot"] == {"utc": "2024-08-10T00:15:00+00:00", "local": "2024-08-10T02:15:00+02:00"}
    later = {"utc": "2024-08-10T12:15:00+00:00", "local": "2024-08-10T14:15:00+02:00"}
    assert status["next_slots"] == [status["next_slot"], later]
    assert set(status["last_run"]) == {"run", "status", "reason", "started_at", "ended_at", "leverage_after"}
    assert status_document([status]) == {"funds": [status]}


def test_a_fund_without_history_has_nulls_and_no_lies() -> None:
    status = fund_status(
        Standing(fund="btc3l"),
        venue="sim",
        environment="paper",
        last_run=None,
        open_children=(),
        nav=None,
        slots=Slots(),
        is_trading=False,
    )
    assert {key for key, value in status.items() if value is None} == {
        *("last_run", "nav", "currency", "leverage", "gross_leverage", "as_of", "next_slot", "open_until", "halted", "trouble"),
        "nav_per_unit",
    }
    told = with_books(status, D(10) / 3, ["wire-7"])
    assert (told["nav_per_unit"], told["in_transit"]) == ("3.333333333333", ["wire-7"])


def test_runs_keep_their_order_and_tell_interrupted_from_running() -> None:
    other = replace(RUNNING, id="btc3l-2", started_at=datetime(2024, 8, 8, tzinfo=UTC))
    document = runs_document([RUNNING, other, DONE, unsent(history(Leg())).run], trading={"btc3l-2"})
    lines = document["runs"]
    assert [line["status"] for line in lines] == ["interrupted", "running", "completed", "completed"]
    assert lines[0]["leverage_after"] is None
    assert D(lines[2]["total_bps"]) > 0
    assert lines[3]["filled_notional"] == "0"


def test_a_fund_tells_where_an_emergency_begins_and_how_far_it_was_when_last_looked_at() -> None:
    assert UNSEEN == {
        "max_leverage": "3.99",
        "to": "3",
        "as_of": None,
        "leverage": None,
        "gross_leverage": None,
        "liquidation_distance": None,
        "moves": None,
        "danger": None,
    }
    moves = [{"market": "BTC/USDT:USDT", "move": "-0.1103679", "price": "46705.93"}]
    told = {"leverage": "3.01", "gross_leverage": "3.01", "liquidation_distance": "0.31", "moves": moves, "danger": ""}
    looked = Event(seq=1, at=NAV.at, kind=LOOKED, fund="btc3l", run="", payload={**told, "nav": "1"}, previous="", hash="")
    assert emergency_document(RULES, looked) == {
        "max_leverage": "3.99",
        "to": "3",
        "as_of": "2024-08-09T00:15:00+00:00",
        **told,
    }
    assert emergency_document(Emergency(max_leverage=None, to=Decimal("0.9")), None)["max_leverage"] is None
