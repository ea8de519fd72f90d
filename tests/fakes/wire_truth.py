"""What a journal says of its orders, held against what an exchange has of them: the exchange is right."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.order import CLIENT_ID_PREFIX, Child, ChildState, Fill
from keeper.domain.run import Run
from keeper.ports import Journal
from tests.fakes.binance_usdm import BinanceUsdm
from tests.fakes.exchange_core import ExchangeCore, Order, Status

AT_THE_EXCHANGE = {
    Status.NEW: ChildState.LIVE,
    Status.PARTIAL: ChildState.LIVE,
    Status.FILLED: ChildState.FILLED,
    Status.EXPIRED: ChildState.CANCELED,
    Status.CANCELED: ChildState.CANCELED,
}
MANY = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, nothing of it if all is well.

    duplicates: client ids that were sent, or stand at the exchange, more than once; strangers: orders that the journal lacks;
    wrong_states, wrong_fills, still_open, wrong_positions, broken_chain: as named, in words.
    """

    duplicates: tuple[str, ...]
    strangers: tuple[str, ...]
    wrong_states: tuple[str, ...]
    wrong_fills: tuple[str, ...]
    still_open: tuple[str, ...]
    wrong_positions: tuple[str, ...]
    broken_chain: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return tuple(f"{name.replace('_', ' ')}: {what}" for name, found in told.items() for what in found)


async def compared(journal: Journal, exchange: BinanceUsdm, start: dict[str, Decimal]) -> Verdict:
    """Hold all of ``journal`` against ``exchange``, on which nothing else traded. start: what was held of each market."""
    runs = await journal.runs(limit=MANY)
    children = [child for run in runs for child in await journal.children(run.id)]
    fills = [pair for run in runs for pair in await journal.fills(run.id)]
    by_id = {child.request.client_id: child for child in children}
    orders = {order.client_id: order for order in exchange.core.orders.values()}
    sent = Counter(one.parameters["newClientOrderId"] for one in exchange.seen("/order", "POST"))
    taken = Counter(order.client_id for order in exchange.core.orders.values())
    return Verdict(
        duplicates=tuple(sorted({name for counted in (sent, taken) for name, times in counted.items() if times > 1})),
        strangers=tuple(name for name in orders if name not in by_id or not name.startswith(CLIENT_ID_PREFIX)),
        wrong_states=tuple(_wrong_states(children, orders)),
        wrong_fills=tuple(_wrong_fills(fills, exchange)),
        still_open=_still_open(children, runs),
        wrong_positions=tuple(_wrong_positions(fills, exchange, start)),
        broken_chain=tuple(f"event {fault.seq} is {fault.what}" for fault in await journal.verify()),
    )


def _still_open(children: list[Child], runs: tuple[Run, ...]) -> tuple[str, ...]:
    unsettled = [f"{child.request.client_id} is {child.state}" for child in children if not child.state.terminal]
    return (*unsettled, *(f"run {run.id} is {run.status}" for run in runs if not run.status.ended))


def _wrong_states(children: list[Child], orders: dict[str, Order]) -> list[str]:
    wrong = []
    for child in children:
        name, order = child.request.client_id, orders.get(child.request.client_id)
        if order is None:
            if child.state not in (ChildState.NOT_PLACED, ChildState.REJECTED) or child.filled:
                wrong.append(f"{name} is {child.state} and the exchange has none")
            continue
        asked = (child.request.amount, child.request.price, child.request.side.sign, child.request.reduce_only)
        if asked != (order.amount, order.price, order.sign, order.reduce_only):
            wrong.append(f"{name} is another order at the exchange")
        told = (child.state, child.filled, child.order_id)
        if told != (AT_THE_EXCHANGE[order.status], order.filled, str(order.id)):
            wrong.append(f"{name} is {told}, the exchange says {order.status} {order.filled} {order.id}")
    return wrong


def _wrong_fills(fills: list[tuple[str, Fill]], exchange: BinanceUsdm) -> list[str]:
    core = exchange.core
    owners = {order.id: order.client_id for order in core.orders.values()}
    truth = Counter(
        (owners[trade.order_id], str(trade.id), trade.amount * trade.sign, trade.price, trade.fee) for trade in core.trades
    )
    booked = Counter((name, fill.trade_id, fill.amount * fill.side.sign, fill.price, fill.fee) for name, fill in fills)
    return [*(f"missing {one}" for one in truth - booked), *(f"too many {one}" for one in booked - truth)]


def _wrong_positions(fills: list[tuple[str, Fill]], exchange: BinanceUsdm, start: dict[str, Decimal]) -> list[str]:
    wrong = []
    for symbol, held in exchange.core.holdings.items():
        market = f"{symbol.removesuffix('USDT')}/USDT:USDT"
        expected = start.get(symbol, Decimal(0)) + sum(
            (fill.amount * fill.side.sign for _, fill in fills if fill.symbol == market), Decimal(0)
        )
        if held.amount != expected:
            wrong.append(f"{symbol}: {held.amount} held, {expected} by the journal")
    return wrong


def largest_gap(exchange: BinanceUsdm, targets: dict[str, Decimal]) -> Decimal:
    """The largest distance from a target, contracts, by the exchange's own figures; 0 for dust, which no order could add."""
    core = exchange.core
    nav = core.wallet["USDT"] + sum((core.unrealised(symbol) for symbol in core.holdings), Decimal(0))
    return max(_gap(core, symbol, multiple * nav / core.mark(symbol)) for symbol, multiple in targets.items())


def _gap(core: ExchangeCore, symbol: str, wanted: Decimal) -> Decimal:
    gap, held = wanted - core.holdings[symbol].amount, core.holdings[symbol].amount
    is_dust = gap * held > 0 and abs(gap) * core.mark(symbol) < core.instruments[symbol].min_notional
    return Decimal(0) if is_dust else abs(gap)
