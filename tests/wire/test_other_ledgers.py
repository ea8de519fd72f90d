"""The ledgers of Bybit, OKX and Gate, through the real classes: each posting once, whatever pages it comes in."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.errors import VenueUnavailable
from keeper.domain.observation import FundingRate
from keeper.domain.statement import PostingKind
from keeper.venues.ccxt_venue import CcxtVenue
from tests.fakes.bybit_desk import connected
from tests.fakes.exchange_core import ExchangeCore
from tests.fakes.gate import GateFutures
from tests.fakes.gate import usual_core as gate_core
from tests.fakes.loopback_requests import Fault
from tests.fakes.loopback_venue import BTC, CLIENT_ID, order, venue_at
from tests.fakes.okx import OkxServer, okx_core

D = Decimal
Opened = tuple[Any, CcxtVenue, str, ExchangeCore]


@pytest.fixture(params=["bybit", "okx", "gate"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    """A server, a connection to it, its own name of the market, and what it knows."""
    if request.param == "bybit":
        async with connected() as (server, venue):
            yield server, venue, "BTCUSDT", server.core
    elif request.param == "gate":
        async with GateFutures(core=gate_core()) as gate, venue_at(gate) as venue:
            yield gate, venue, "BTC_USDT", gate.core
    else:
        async with OkxServer(core=okx_core()) as exchange, venue_at(exchange) as venue:
            yield exchange, venue, "BTC-USDT-SWAP", exchange.core


def since(server: Any, **back: float) -> datetime:
    return datetime.fromtimestamp(server.now() / 1000, UTC) - timedelta(**back)


async def test_funding_fees_and_transfers_are_told_and_realised_profit_is_not(opened: Opened) -> None:
    server, venue, market, core = opened
    rules = (await venue.markets([BTC]))[BTC]
    start, before = since(server, minutes=1), core.wallet["USDT"]
    core.pay("USDT", D(250))
    core.pay("USDT", D(-50))
    await venue.place(order(client_id=CLIENT_ID[:26], amount=rules.whole_lots(D("0.02") / rules.contract_size)))
    core.fund(market, D("0.0001"))
    told = await venue.ledger(start)
    assert told is not None
    assert sorted({one.kind for one in told}) == [PostingKind.FUNDING, PostingKind.TRADING_FEE, PostingKind.TRANSFER]
    assert sorted(one.amount for one in told if one.kind is PostingKind.TRANSFER) == [D(-50), D(250)]
    assert {one.symbol for one in told if not one.kind.is_flow} == {BTC}
    profit = sum((one.profit for one in core.trades), D(0))
    assert core.wallet["USDT"] == before + sum(one.amount for one in told) + profit
    assert len({one.id for one in told}) == len(told)


async def test_the_profit_that_bybit_settles_with_funding_is_no_funding() -> None:
    async with connected() as (server, venue):
        start = since(server, minutes=1)
        await venue.place(order(amount=D("0.02")))
        server.core.fund("BTCUSDT", D("0.0001"))
        paid = server.core.fundings[-1].amount
        object.__setattr__(server.core.fundings[-1], "session", D("12.5"))
        told = await venue.ledger(start)
        assert told is not None
        assert [one.amount for one in told if one.kind is PostingKind.FUNDING] == [paid]


async def test_two_alike_at_the_same_instant_are_two(opened: Opened) -> None:
    server, venue, _, core = opened
    for _ in range(2):
        core.pay("USDT", D(5))
        object.__setattr__(core.payments[-1], "at", server.now())
    object.__setattr__(core.payments[0], "at", core.payments[1].at)
    told = await venue.ledger(since(server, hours=1))
    assert told is not None
    assert [one.amount for one in told] == [D(5), D(5)]


async def test_a_history_of_many_pages_is_told_whole_and_each_posting_once(opened: Opened) -> None:
    server, venue, _, core = opened
    for number in range(230):
        core.pay("USDT", D(number + 1))
        object.__setattr__(core.payments[-1], "at", server.now() - 1_000_000 + number * 300)
    told = await venue.ledger(since(server, days=10))
    assert told is not None
    assert [one.amount for one in told] == [D(number + 1) for number in range(230)]


async def test_a_rate_and_how_often_it_is_paid_are_told(opened: Opened) -> None:
    _, venue, _, _ = opened
    await venue.markets([BTC])
    assert await venue.funding(BTC) == FundingRate(rate=D("0.0001"), every=timedelta(hours=8))


def _rows(changed: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    def spoil(answer: Any) -> Any:
        listed = isinstance(answer, list)
        rows = answer if listed else answer["data"] if "data" in answer else answer["result"]["list"]
        rows[:] = [changed(row) for row in rows]
        return answer

    return spoil


GARBAGE = [
    _rows(lambda row: row | {"change": "NaN", "balChg": "NaN"}),
    _rows(lambda row: row | {"change": None, "balChg": None}),
    _rows(lambda row: row | {"transactionTime": "then", "ts": "then", "time": "then"}),
    _rows(lambda row: row | {"id": "", "billId": "", "balance": ""}),
    _rows(lambda row: row | {"currency": "", "ccy": "", "change": ""}),
    _rows(lambda row: {key: value for key, value in row.items() if key != "type"}),
]


@pytest.mark.parametrize("spoil", GARBAGE)
async def test_an_answer_that_can_not_be_read_whole_is_refused(opened: Opened, spoil: Any) -> None:
    server, venue, _, core = opened
    core.pay("USDT", D(1))
    for path in ("transaction-log", "account/bills", "account_book"):
        server.faults.append(Fault(path, "alter", alter=spoil))
    with pytest.raises(VenueUnavailable):
        await venue.ledger(since(server, hours=1))


async def test_what_is_no_posting_is_left_out_and_what_is_in_no_list_is_kept(opened: Opened) -> None:
    server, venue, _, core = opened
    core.pay("USDT", D(1))
    for path in ("transaction-log", "account/bills", "account_book"):
        server.faults.append(Fault(path, "alter", alter=_rows(lambda row: row | {"type": "99"})))
    told = await venue.ledger(since(server, hours=1))
    assert told is not None
    assert [one.kind for one in told] == [PostingKind.OTHER]
    core.pay("USDT", D(1))
    for path, inside in (("transaction-log", "TRADE"), ("account/bills", "6"), ("account_book", "pnl")):
        server.faults.clear()
        server.faults.append(Fault(path, "alter", alter=_rows(lambda row, inside=inside: row | {"type": inside})))  # type: ignore[misc]
        if any(request.path.endswith(path) for request in server.requests):
            assert await venue.ledger(since(server, hours=1)) == ()
