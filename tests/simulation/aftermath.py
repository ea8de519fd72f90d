"""What must hold once everything is over: in the journal, at the exchange, and between the two."""

import json
from decimal import Decimal

from keeper.domain.fund import FundState
from keeper.domain.order import TRANSITIONS, ChildState
from tests.simulation.books import faults
from tests.simulation.invariants import LOOK_BACK, SLACK, Judge, is_ours
from tests.simulation.ledger_invariants import ledger_faults
from tests.simulation.wire import CANARY

ENOUGH = Decimal(7)
"""Turnover of a day, in multiples of NAV, with which any mandate here is reached from anywhere."""
_OPEN = (
    "SELECT client_id, state FROM children WHERE state IN ('intent', 'live', 'unknown') AND (trigger IS NULL OR state <> 'live')"
)
_RESTING = "SELECT client_id FROM children WHERE state = 'live' AND trigger IS NOT NULL"


async def judge_the_end(judge: Judge, *, quiet: bool) -> None:
    """What must hold once everything is over. quiet: faults stopped, and slots have passed since."""
    judge.look()
    _judge_books(judge)
    for words in (
        *ledger_faults(judge.exchange, judge.disk),
        *await faults(judge.exchange, judge.disk, judge.rules.fund, judge.trace.text()),
    ):
        judge.violated("I13", words)
    for fault in await judge.disk.journal().verify():
        judge.violated("I7", f"the chain is broken at {fault.seq}: {fault.what}")
    _judge_transitions(judge)
    twice = judge.disk.rows("SELECT substr(trigger, 1, 15), count(*) FROM runs WHERE trigger LIKE 'slot:%' GROUP BY 1, fund")
    for trigger, count in twice:
        if count > 1:
            judge.violated("I9", f"{count} runs of {trigger}")
    if CANARY.encode() in judge.disk.image() or any(CANARY in line for line in judge.trace.text()):
        judge.violated("I12", "a secret shows in the log or in the journal")
    if quiet:
        _judge_rest(judge)


def _judge_transitions(judge: Judge) -> None:
    """I7: a child goes where the table lets it go, and from a terminal state nowhere but to a fill that crossed a cancel."""
    states: dict[str, ChildState] = {}
    for kind, payload in judge.disk.rows("SELECT kind, payload FROM events WHERE kind LIKE 'child.%' ORDER BY seq"):
        for row in json.loads(payload).get("children", ()):
            name, before, after = row["client_id"], states.get(row["client_id"]), ChildState(row["state"])
            if before is not None and after not in TRANSITIONS[before]:
                judge.violated("I7", f"{name} went from {before} to {after} ({kind})")
            states[name] = after


def _judge_books(judge: Judge) -> None:
    """I2 and I7: the journal's fills are the exchange's, trade by trade."""
    booked = {
        (client, trade): (Decimal(amount), Decimal(price), Decimal(fee))
        for client, trade, amount, price, fee in judge.disk.rows("SELECT client_id, trade_id, amount, price, fee FROM fills")
    }
    adopted = [json.loads(payload) for (payload,) in judge.disk.rows("SELECT payload FROM events WHERE kind = 'order.adopted'")]
    for one in adopted:
        for trade in one["trades"]:
            amounts = Decimal(trade["amount"]), Decimal(trade["price"]), Decimal(trade["fee"])
            booked[one["client_id"], trade["trade_id"]] = amounts
    known = {name for (name,) in judge.disk.rows("SELECT client_id FROM children")} | {one["client_id"] for one in adopted}
    for order in judge.exchange.orders:
        if is_ours(order) and order.client_id not in known:
            judge.violated("I2", f"{order.client_id} is in no book of ours")
    real = {
        (order.client_id, trade.trade_id): (trade.amount, trade.price, trade.fee)
        for order in judge.exchange.orders
        if is_ours(order)
        for trade in order.trades
    }
    for key in sorted(real.keys() - booked.keys()):
        judge.violated("I7", f"trade {key[1]} of {key[0]}, {real[key][0]} contracts, is not in the journal")
    for key in sorted(booked.keys() - real.keys()):
        judge.violated("I7", f"trade {key[1]} of {key[0]} is in the journal and never happened")
    for key in sorted(key for key in real.keys() & booked.keys() if real[key] != booked[key]):
        judge.violated("I7", f"trade {key[1]} of {key[0]} is booked as {booked[key]}, it was {real[key]}")


def _judge_open(judge: Judge) -> None:
    """I5 and I17: nothing is open but stops, and those that rest are on record."""
    for client, state in judge.disk.rows(_OPEN):
        judge.violated("I5", f"{client} is still {state}")
    live = {order.client_id: order for order in judge.exchange.orders if is_ours(order) and order.state is ChildState.LIVE}
    for client, order in live.items():
        if order.trigger is None:
            judge.violated("I5", f"{client} is still open")
    booked = {client for (client,) in judge.disk.rows(_RESTING)}
    for client in sorted(booked ^ {client for client, order in live.items() if order.trigger is not None}):
        judge.violated("I17", f"{client} rests {'in the journal' if client in booked else 'at the exchange'} alone")


def _judge_rest(judge: Judge) -> None:
    """I5: nothing open, nothing unknown, no gap worth an order."""
    _judge_open(judge)
    if judge.state == FundState.HALTED and judge.exchange.nav() <= 0:
        return  # nothing is left that could be traded
    if judge.state != FundState.ACTIVE:
        reason = judge.disk.rows("SELECT reason, cause FROM fund_states")[0]
        judge.violated("I5", f"the fund is {judge.state}: {reason}")
    if judge.rules.limits.max_turnover_per_day < ENOUGH:
        return  # a cap that a whole rebuild would pass leaves a gap, and that is what it is there for
    lacks: dict[str, tuple[Decimal, Decimal]] = {}
    for symbol, target in judge.rules.mandate.targets.items():
        market, mark = judge.exchange.markets[symbol], judge.exchange.prices.mark(symbol)
        gap = target * judge.exchange.nav() / mark - judge.exchange.held(symbol)
        # a buy is sized at the worst price that its order allows, and what costs are expected for the gap is left out of it
        smallest = max(market.lot, market.min_cost / mark) + market.lot
        if abs(gap) > smallest and not _went_past(judge, symbol, gap, smallest):
            lacks[symbol] = gap, smallest
    for symbol, (gap, smallest) in lacks.items():
        # of coins whose cash lies in others that are not worth selling
        if len(lacks) > 1 or gap < 0 or judge.exchange.affords(symbol, smallest, judge.exchange.prices.mark(symbol)):
            judge.violated("I5", f"{symbol} lacks {gap:.5f} contracts, the smallest order is {smallest:.5f}")


def _went_past(judge: Judge, symbol: str, gap: Decimal, smallest: Decimal) -> bool:
    """Whether a gap is the other way than its last run traded, and no more than prices and costs made of it since.

    No run trades a market both ways, and what the rest of it was expected to cost may have come cheaper.
    """
    orders = [one for one in judge.exchange.orders if is_ours(one) and one.symbol == symbol and one.trigger is None]
    if not orders or gap * orders[-1].side.sign > 0:
        return False
    since = judge.planned_at(orders[-1]) - LOOK_BACK
    navs, marks = judge.navs(since), judge.exchange.prices.between(symbol, since)
    wanted = [judge.rules.mandate.targets[symbol] * nav / mark for nav in (min(navs), max(navs)) for mark in marks]
    slack = smallest + SLACK * max(map(abs, wanted))
    return min(wanted) - slack <= judge.exchange.held(symbol) <= max(wanted) + slack
