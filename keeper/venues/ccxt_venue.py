"""A venue behind a real ccxt class: reads that may be repeated, and orders and cancels that never are.

ccxt signs, routes and names errors; rounding, outcomes, retries and hosts are decided here and beside. Nothing here may
send an order twice, take an exception for a rejection, or show a key. ccxt is imported on connecting, not before.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast

from keeper.domain.account import Account, Position
from keeper.domain.errors import ConfigError, Problem, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.numbers import plain
from keeper.domain.order import Accepted, ChildState, Fill, OrderReport, OrderRequest, Outcome, Unknown, VenueOrder
from keeper.ports import Clock, VenueInfo
from keeper.venues import listing, parsing, verdicts
from keeper.venues.public_data import PublicData, together
from keeper.venues.transport import watched

T = TypeVar("T")
OK = range(200, 300)


class CcxtVenue(PublicData):
    """One exchange account in one environment; see ``ports.Venue`` for what each method promises.

    api_key, secret: of the account in its environment; the rest as ``PublicData`` says. Connecting also checks the position
    mode, which proves the keys. ConfigError for missing keys, too.
    """

    def __init__(
        self,
        info: VenueInfo,
        *,
        api_key: str,
        secret: str,
        hosts: Mapping[str, str],
        clock: Clock,
        timeout: float = 10.0,
        attempts: int = 3,
        max_age: float = 10.0,
    ) -> None:
        super().__init__(
            info.name,
            info.exchange,
            info.environment,
            hosts=hosts,
            clock=clock,
            timeout=timeout,
            attempts=attempts,
            max_age=max_age,
        )
        missing = [name for name, value in (("api_key", api_key), ("secret", secret)) if not value]
        if missing:
            remedy = "write the file that holds it, or set it in the environment"
            source = f"venue {info.name}"
            raise ConfigError(*(Problem(source, f"venues.{info.name}.credentials.{name}", "empty", remedy) for name in missing))
        self._info = info
        self._api_key = api_key
        self._secret = secret

    @property
    def info(self) -> VenueInfo:
        """Name, environment, account and timing of this venue."""
        return self._info

    def _on_connecting(self) -> list[Awaitable[Any]]:
        return [*super()._on_connecting(), self._read("account's mode", self._check_mode)]

    def _keys(self) -> dict[str, str]:
        return {"apiKey": self._api_key, "secret": self._secret}

    async def _check_mode(self) -> None:
        self._dialect.wording.mode(await self._call("mode"))

    async def account(self) -> Account:
        """Balances, positions and open orders, read together; as old as they may be, which is when they were asked for."""
        at = self._clock.now()
        (balances, free_margin), positions, orders = await together(
            self._read("account", self._wallet),
            self._read("positions", self._positions),
            self._read("open orders", self._open_orders),
        )
        return Account(balances=balances, positions=positions, open_orders=orders, free_margin=free_margin, at=at)

    async def _wallet(self) -> tuple[dict[str, Decimal], Decimal | None]:
        wording, answer = self._dialect.wording, await self._call("account")
        return wording.balances(answer, self._exchange.safe_currency_code), wording.free_margin(answer)

    async def _positions(self) -> Mapping[str, Position]:
        if "positions" not in self._dialect.calls:
            return {}
        return self._dialect.wording.positions(await self._call("positions"), self._symbol)

    async def _open_orders(self) -> tuple[VenueOrder, ...]:
        orders = self._listed(await self._call("orders"))
        if any(order.state is not ChildState.LIVE for order in orders):
            raise StaleData("the venue's answer lists an order as open that has ended")
        return orders

    def _listed(self, rows: object) -> tuple[VenueOrder, ...]:
        return listing.orders(rows, self._symbol, self._dialect.wording.average, self._dialect.forced)

    def _symbol(self, market: str) -> str:
        """What ccxt calls a market; the venue's own word where that has none."""
        kind = "contract" if "positions" in self._dialect.calls else "spot"
        return str(self._exchange.safe_symbol(market, None, None, kind))

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one limit order, immediate or cancel, once."""
        with watched() as flight:
            try:
                amount, price = wire_numbers(self._exchange, request)
                order = await self._exchange.create_order(
                    request.symbol, "limit", request.side.value, amount, price, self._order_parameters(request)
                )
                report = self._report(parsing.part(order, "info"), request.client_id)
            except verdicts.wire_faults() as error:
                return verdicts.of_order(self._dialect, flight, error)
        if flight.status not in OK:
            return Unknown(f"HTTP {flight.status} with an order in it")
        if report.filled > request.amount:
            return Unknown(f"{plain(report.filled)} was filled of {plain(request.amount)}, says the venue")
        return Accepted(report)

    def _order_parameters(self, request: OrderRequest) -> dict[str, object]:
        stamp = parsing.milliseconds(self._clock.now() - self._offset)
        left = parsing.milliseconds(request.deadline - self._offset) - stamp
        if not left > 0:
            raise VenueRefused("deadline", "its deadline has passed")
        if not re.fullmatch(self._dialect.client_id_shape, request.client_id):
            raise VenueRefused("client_id", f"its client id is none that the venue takes ({self._dialect.client_id_shape})")
        # timestamp + recvWindow is the deadline, as this machine's clock tells it: later the venue refuses the order
        return {
            self._dialect.client_id: request.client_id,
            "timeInForce": "IOC",
            "timestamp": stamp,
            "recvWindow": min(left, self._dialect.order_window),
            **({"reduceOnly": True} if request.reduce_only else {}),
        }

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id; None only when the venue's code says that there is none."""
        what, market = f"order {client_id}", self._market_id(symbol)
        named = {self._dialect.lookup_id: client_id}

        async def ask() -> OrderReport:
            return self._report(parsing.about(await self._call("order", symbol=market, **named), market), client_id)

        return await self._whole(what, self._read(what, ask, absent=self._dialect.not_found))

    def _report(self, row: object, client_id: str) -> OrderReport:
        return listing.report(row, client_id, self._dialect.wording.average)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first."""
        what, market, side = f"trades of order {order_id}", self._market_id(symbol), self._dialect.wording.side

        async def page(first: int | None) -> list[Any]:
            start = {} if first is None else {"fromId": first}
            trades = await self._call("trades", symbol=market, orderId=order_id, limit=listing.MOST_ROWS, **start)
            for row in parsing.rows(trades, "trades"):
                parsing.about(row, market)
            return cast("list[Any]", trades)

        async def read() -> tuple[Fill, ...]:
            trades = await listing.every_trade(lambda first: self._read(what, lambda: page(first)))
            return parsing.fills(trades, symbol, order_id, self._exchange.safe_currency_code, side)

        return await self._whole(what, read())

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Every order of one market placed at ``since`` or later, whoever placed it, oldest first.

        Binance itself forgets an order that ended without a trade: after 3 days on USD-M, after 90 on spot.
        """
        what, market = f"orders of {symbol}", self._market_id(symbol)
        # whoever asks may have read the time off this machine's clock or off the venue's
        start = min(since, since - self._offset)

        async def ask(first: int, last: int) -> object:
            window = {"startTime": first, "endTime": last, "limit": listing.MOST_ROWS}
            return await self._read(what, lambda: self._call("history", symbol=market, **window))

        async def read() -> tuple[VenueOrder, ...]:
            rows = await listing.every_row(ask, start, self._venue_time(), span=self._dialect.history_span)
            for row in rows:
                parsing.about(row, market)
            return tuple(order for order in self._listed(rows) if order.at >= start)

        return await self._whole(what, read())

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask once for the order under a client id to be canceled; nothing happens when it does not rest."""
        what, market = f"cancel of order {client_id}", self._market_id(symbol)
        named = {self._dialect.lookup_id: client_id}

        async def ask() -> None:
            answer = await self._call("cancel", symbol=market, **named)
            if parsing.part(answer, self._dialect.cancel_echo) != client_id:
                raise StaleData("the venue's answer is about another order")

        await self._whole(what, self._read_once(what, ask, self._dialect.nothing_rests))

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:
        """Have the venue cancel what rests in these markets unless asked again ``within``; None takes that off.

        False where the venue has no such switch. VenueRefused for a time below a millisecond, which would take it off.
        """
        if "dead_man" not in self._dialect.calls:
            return False
        countdown = 0 if within is None else within // timedelta(milliseconds=1)
        if within is not None and not countdown > 0:
            raise VenueRefused("countdown", f"a dead-man switch of {within.total_seconds()} s would cancel nothing")
        await together(*(self._count_down(symbol, self._market_id(symbol), countdown) for symbol in symbols))
        return True

    async def _count_down(self, symbol: str, market: str, countdown: int) -> None:
        what = f"dead-man switch of {symbol}"

        async def ask() -> None:
            answer = parsing.about(await self._call("dead_man", symbol=market, countdownTime=countdown), market)
            if parsing.number(answer, "countdownTime") != countdown:
                raise StaleData("the venue's answer names another time")

        await self._whole(what, self._read(what, ask))

    async def _whole(self, what: str, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except StaleData as error:
            raise VenueUnavailable(f"{what}: {error}") from None


def wire_numbers(exchange: Any, request: OrderRequest) -> tuple[float, float]:
    """Amount and price as ccxt takes them. VenueRefused when what it would write is not exactly what was asked for."""
    if request.symbol not in exchange.markets:
        raise VenueRefused("symbol", f"there is no market {request.symbol}")
    amount, price = float(request.amount), float(request.price)
    for name, asked, wire in (
        ("amount", request.amount, exchange.amount_to_precision(request.symbol, amount)),
        ("price", request.price, exchange.price_to_precision(request.symbol, price)),
    ):
        if parsing.above_zero(wire, name) != asked:
            raise VenueRefused(
                "not_exact", f"its {name} {plain(asked)} would be sent as {wire}: not a whole number of the market's steps"
            )
    return amount, price
