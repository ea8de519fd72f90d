"""A venue behind a real ccxt class: reads that may be repeated, and one write that never is.

ccxt signs, routes and names errors; rounding, outcomes, retries and hosts are decided here and beside. Nothing here may
send an order twice, take an exception for a rejection, or show a key. ccxt is imported on connecting, not before.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from keeper.domain.account import Account, Position
from keeper.domain.errors import ConfigError, Problem, StaleData, VenueRefused, VenueUnavailable
from keeper.domain.numbers import plain
from keeper.domain.order import Accepted, Fill, OrderReport, OrderRequest, Outcome, Unknown
from keeper.ports import Clock, VenueInfo
from keeper.venues import parsing, verdicts
from keeper.venues.public_data import PublicData, together
from keeper.venues.transport import watched

T = TypeVar("T")
MOST_TRADES = 1000
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
        """Balances, positions and open orders, read together."""
        balances, positions, orders = await together(
            self._read("account", self._balances),
            self._read("positions", self._positions),
            self._read("open orders", self._open_orders),
        )
        return Account(balances=balances, positions=positions, open_orders=orders, at=self._clock.now())

    async def _balances(self) -> dict[str, Decimal]:
        return self._dialect.wording.balances(await self._call("account"), self._exchange.safe_currency_code)

    async def _positions(self) -> Mapping[str, Position]:
        exchange = self._exchange
        if "positions" not in self._dialect.calls:
            return {}
        return self._dialect.wording.positions(
            await self._call("positions"), lambda market_id: str(exchange.safe_symbol(market_id, None, None, "contract"))
        )

    async def _open_orders(self) -> tuple[str, ...]:
        return parsing.open_orders(await self._call("orders"))

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one limit order, immediate or cancel, once."""
        with watched() as flight:
            try:
                amount, price = wire_numbers(self._exchange, request)
                order = await self._exchange.create_order(
                    request.symbol, "limit", request.side.value, amount, price, self._order_parameters(request)
                )
                report = parsing.report(order, request.client_id)
            except verdicts.wire_faults() as error:
                return verdicts.of_order(self._dialect, flight, error)
        if flight.status not in OK:
            return Unknown(f"HTTP {flight.status} with an order in it")
        return Accepted(report)

    def _order_parameters(self, request: OrderRequest) -> dict[str, object]:
        stamp = parsing.milliseconds(self._clock.now() - self._offset)
        left = parsing.milliseconds(request.deadline - self._offset) - stamp
        if not left > 0:
            raise VenueRefused("deadline", "its deadline has passed")
        if not len(request.client_id) <= self._dialect.client_id_limit:
            raise VenueRefused("client_id", f"its client id is longer than {self._dialect.client_id_limit} characters")
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
        order = await self._read(
            f"order {client_id}",
            lambda: self._exchange.fetch_order(None, symbol, {self._dialect.lookup_id: client_id}),
            absent=self._dialect.not_found,
        )
        return None if order is None else self._whole(f"order {client_id}", lambda: parsing.report(order, client_id))

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first."""
        what, market, side = f"trades of order {order_id}", self._market_id(symbol), self._dialect.wording.side
        trades = await self._read(what, lambda: self._call("trades", symbol=market, orderId=order_id, limit=MOST_TRADES))
        read = self._whole(what, lambda: parsing.fills(trades, symbol, order_id, self._exchange.safe_currency_code, side))
        if not len(trades) < MOST_TRADES:
            raise VenueUnavailable(f"{what}: {len(trades)} in one answer, so some may be missing")
        return read

    def _whole(self, what: str, parse: Callable[[], T]) -> T:
        try:
            return parse()
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
