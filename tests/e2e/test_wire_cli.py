"""The same commands through the real ccxt class, against an exchange that checks every signature and keeps its own truth."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.binance_desk import LOT, SYMBOL, assert_signed, drifted_exchange, gap, written_fund
from tests.fakes.binance_usdm import API_KEY, SECRET, BinanceUsdm, Fault, Seen, in_thread
from tests.fakes.command_line import CommandLine, keeper
from tests.fakes.documents import assert_plan, assert_run

SIGNED = {f"/fapi/{path}" for path in ("v3/account", "v3/positionRisk", "v1/openOrders")}
OBSERVED = SIGNED | {f"/fapi/{path}" for path in ("v1/premiumIndex", "v2/ticker/price", "v1/depth")}
STATS = "/fapi/v1/ticker/24hr"


@pytest.fixture
def exchange() -> Iterator[BinanceUsdm]:
    with in_thread(drifted_exchange()) as running:
        yield running


REBALANCE = ("rebalance", "--yes", "--json")


def test_a_drifted_fund_is_brought_back_to_three_in_several_children(tmp_path: Path, exchange: BinanceUsdm) -> None:
    exchange.delay = 0.05
    written_fund(tmp_path, exchange)
    planned = keeper(tmp_path, "plan", "--json")
    assert planned.code == 2, planned.err
    assert_plan(planned.document)
    assert not exchange.core.orders
    done = keeper(tmp_path, *REBALANCE)
    assert done.code == 0, done.err
    run = done.document
    assert_run(run)
    assert run["leverage_before"].startswith("2.7391")
    assert abs(Decimal(run["leverage_after"]) - 3) < Decimal("0.001")
    assert abs(gap(exchange)) < LOT
    assert len(run["children"]) >= 4
    assert len(exchange.core.orders) == len(run["children"])
    assert {order.client_id for order in exchange.core.orders.values()} == {child["client_id"] for child in run["children"]}
    assert_signed(exchange)
    assert_observed_together(exchange.requests)
    assert_account_agrees(run, exchange)
    shown = keeper(tmp_path, "runs", "show", run["run"], "--json")
    assert shown.code == 0
    assert shown.document == run
    assert_fills_agree(shown.document, exchange)
    for ended in (planned, done, shown):
        assert SECRET not in ended.out + ended.err
        assert API_KEY not in ended.out + ended.err
    for file in (tmp_path / "var").iterdir():
        assert not [word for word in (SECRET, API_KEY) if word.encode() in file.read_bytes()]


def test_an_order_with_a_garbage_reply_is_settled_before_anything_else_is_sent(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm
) -> None:
    written_fund(tmp_path, exchange, horizon="3s", slices=2)
    exchange.faults.append(Fault(path="/order", kind="html", method="POST", times=1))
    broken = keeper(tmp_path, *REBALANCE)
    assert broken.code == 4, broken.err
    assert broken.document["status"] == "incomplete"
    [child] = broken.document["children"]
    assert child["state"] == "unknown"
    assert child["client_id"] in broken.document["reason"]
    [fund] = keeper_here("status", "--json").document["funds"]
    assert (fund["state"], fund["blocked_by"]) == ("blocked", [child["client_id"]])

    lookup = Fault(path="/order", kind="503", method="GET")
    exchange.faults.append(lookup)
    held = exchange.core.holdings["BTCUSDT"].amount
    planned = keeper_here("plan", "--json")
    assert planned.code == 3
    assert_plan(planned.document)
    [refusal] = planned.document["refusals"]
    assert refusal["code"] == "unknown_child"
    assert child["client_id"] in refusal["message"]
    refused = keeper(tmp_path, *REBALANCE)
    assert refused.code == 3, refused.err
    assert child["client_id"] in refused.document["reason"]
    assert len(exchange.seen("/order", "POST")) == 1
    assert exchange.core.holdings["BTCUSDT"].amount == held

    exchange.faults.remove(lookup)
    done = keeper(tmp_path, *REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    sent = Counter(one.parameters["newClientOrderId"] for one in exchange.seen("/order", "POST"))
    assert set(sent.values()) == {1}
    assert sent[child["client_id"]] == 1
    # the exchange took the order whose reply was lost, and the journal has come to know what it filled
    settled = keeper_here("runs", "show", broken.document["run"], "--json").document
    [child] = settled["children"]
    assert child["state"] == "filled"
    assert_fills_agree(settled, exchange, *done.document["fills"])
    [fund] = keeper_here("status", "--json").document["funds"]
    assert (fund["state"], fund["blocked_by"]) == ("idle", [])


@pytest.mark.parametrize(("kind", "state"), [("drop_before", "not_placed"), ("drop_after", "filled")])
def test_an_order_on_a_lost_connection_is_looked_up_and_never_sent_again(
    tmp_path: Path, keeper_here: CommandLine, exchange: BinanceUsdm, kind: str, state: str
) -> None:
    written_fund(tmp_path, exchange, horizon="3s", slices=2)
    exchange.faults.append(Fault(path="/order", kind=kind, method="POST", times=1))
    broken = keeper_here(*REBALANCE)
    assert broken.code == 4, broken.err
    [child] = broken.document["children"]
    assert child["state"] == "unknown"
    assert len(exchange.core.orders) == (state == "filled")
    done = keeper_here(*REBALANCE)
    assert done.code == 0, done.err
    assert abs(gap(exchange)) < LOT
    taken = [order.client_id for order in exchange.core.orders.values()]
    assert taken.count(child["client_id"]) == (state == "filled")
    assert len(taken) == len(set(taken))
    settled = keeper_here("runs", "show", broken.document["run"], "--json").document
    assert settled["children"][0]["state"] == state
    assert_fills_agree(settled, exchange, *done.document["fills"])


# what is wrong, the command's exit code, and the words that it must find
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "secret": ({"secret": "quite-another-secret"}, {}, 69, "Signature for this request is not valid"),
    "clock": ({}, {"skew": 7_000}, 69, "clock"),
    "symbol": ({"replaced": {SYMBOL: "BTCX/USDT:USDT"}}, {}, 78, "BTCX/USDT:USDT"),
    "settling market": ({"replaced": {SYMBOL: "DEAD/USDT:USDT"}}, {}, 69, "DEAD/USDT:USDT"),
}


@pytest.mark.parametrize(("fund", "venue", "code", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_nothing_is_sent(
    tmp_path: Path, keeper_here: CommandLine, fund: dict[str, Any], venue: dict[str, Any], code: int, words: str
) -> None:
    with in_thread(drifted_exchange(**venue)) as exchange:
        file = written_fund(tmp_path, exchange, **fund)
        ended = keeper_here(*REBALANCE)
        assert ended.code == code, ended.err
        assert ended.out == ""
        [said] = ended.said
        assert words in said
        if code == 78:
            assert said.startswith(f"{file}:")
            assert "funds.btc3l.target" in said
        assert not exchange.seen("/order")
        assert not exchange.core.orders


def assert_observed_together(requests: list[Seen]) -> None:
    """The reads of the first observation were all open at once: the last of them to arrive found every other one waiting.

    Later ones share what was just read of the market, and are paced where the exchange grants no more at once.
    """
    reads = [one for one in requests if one.path in OBSERVED | {STATS}]
    first = reads[: len(OBSERVED | {STATS}) + len(SIGNED)]  # whoever asks whether the account is safe reads it beside the plan
    assert {one.path for one in first} == OBSERVED | {STATS}
    beside = requests[requests.index(first[0]) : requests.index(first[-1]) + 1]  # what is asked of the settings is among them
    assert [one.in_flight for one in beside] == list(range(1, len(beside) + 1))
    assert sum(one.path == "/fapi/v3/account" for one in reads) > 4
    assert any(one.path == STATS for one in requests)


def assert_fills_agree(run: dict[str, Any], exchange: BinanceUsdm, *others: dict[str, Any]) -> None:
    """The fills that the journal tells are the exchange's own trades, each once, to the last digit."""
    orders = {order.id: order.client_id for order in exchange.core.orders.values()}
    theirs = [(str(t.id), orders[t.order_id], t.sign, t.amount, t.price, t.fee) for t in exchange.core.trades]
    signs = {"buy": 1, "sell": -1}
    ours = [
        (f["trade_id"], f["client_id"], signs[f["side"]], Decimal(f["amount"]), Decimal(f["price"]), Decimal(f["fee"]))
        for f in (*run["fills"], *others)
    ]
    assert sorted(ours) == sorted(theirs)


def assert_account_agrees(run: dict[str, Any], exchange: BinanceUsdm) -> None:
    """NAV, fees and leverage of the run are those that the exchange's books give."""
    core = exchange.core
    nav = core.wallet["USDT"] + core.unrealised("BTCUSDT")
    assert Decimal(run["nav_after"]) == pytest.approx(nav, abs=Decimal("1e-7"))
    assert Decimal(run["fees"]) == sum(trade.fee for trade in core.trades)
    exposure = core.holdings["BTCUSDT"].amount * core.mark("BTCUSDT")
    assert Decimal(run["leverage_after"]) == pytest.approx(exposure / nav, abs=Decimal("1e-8"))
