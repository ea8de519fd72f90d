"""A venue behind a real ccxt class: reads that may be repeated, and orders and cancels that never are.

ccxt signs, routes and names errors; rounding, outcomes, retries and hosts are decided here and beside. Nothing here may
send an order twice, take an exception for a rejection, or show a key. ccxt is imported on connecting, not before.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from keeper.domain.account import Account, Position
from keeper.domain.errors import InvariantViolation, StaleData, UnfitAccount, VenueError, VenueRefused
from keeper.domain.market import Market
from keeper.domain.numbers import plain
from keeper.domain.order import Accepted, Fill, OrderReport, OrderRequest, Outcome, Unknown, VenueOrder, is_stop
from keeper.domain.statement import Posting
from keeper.ports import Clock, VenueInfo
from keeper.venues import parsing, verdicts
from keeper.venues.access import Exchanges
from keeper.venues.admissible import admissible, must_be_whole
from keeper.venues.budgets import Priority
from keeper.venues.concurrency import together
from keeper.venues.connection import Question
from keeper.venues.inspected import Inspected
from keeper.venues.speech.base import Wire
from keeper.venues.transport import Flight, watched
from keeper.venues.weights import CREATE_ORDER, cost_of

OK = range(200, 300)
READS_OF_AN_ACCOUNT = 3
log = structlog.get_logger()
EVERYWHERE = timedelta(minutes=1)
"""How long orders that rest in other markets than those traded here may go unseen, where looking everywhere costs more."""


class CcxtVenue(Inspected):
    """One exchange account in one environment; see ``ports.Venue`` for what each method promises.

    credentials: of the account in its environment, by the names that the exchange's row asks for; the rest as ``PublicData``
    says; streamed: whether what the exchange sends by itself is followed as well. Connecting also checks that Keeper can work
    with the account, which proves the keys; one that is merely unfit to be sized on is connected to, and ``unfit`` says why.
    ConfigError for missing keys, or an exchange whose streams nobody follows.
    """

    def __init__(
        self,
        info: VenueInfo,
        *,
        credentials: Mapping[str, str],
        hosts: Mapping[str, str],
        clock: Clock,
        exchanges: Exchanges | None = None,
        timeout: float = 10.0,
        attempts: int = 3,
        streamed: bool = False,
    ) -> None:
        super().__init__(
            info.name,
            info.exchange,
            info.environment,
            hosts=hosts,
            clock=clock,
            exchanges=exchanges,
            timeout=timeout,
            attempts=attempts,
        )
        must_be_whole(info.name, admissible(info.name, info.exchange, info.environment, streamed=streamed), credentials)
        self._streamed = streamed
        self._looked_everywhere_at: datetime | None = None
        self._info = info
        self._credentials = dict(credentials)

    @property
    def info(self) -> VenueInfo:
        """Name, environment, account and timing of this venue."""
        return self._info

    def _on_connecting(self) -> list[Awaitable[Any]]:
        return [*super()._on_connecting(), *self._admission()]

    def _admission(self) -> list[Awaitable[Any]]:
        return [self._let_in()]

    async def _let_in(self) -> None:
        """What nothing can be sized on can still be reduced: whoever plans is told why that is refused."""
        try:
            await self.admit()
        except UnfitAccount as error:
            log.warning("account.unfit", venue=self._info.name, code=error.code, error=error.message)

    @property
    def _needed_at_once(self) -> int:
        return READS_OF_AN_ACCOUNT + super()._needed_at_once

    def _keys(self) -> dict[str, str]:
        return {theirs: self._credentials[ours] for ours, theirs in self._dialect.credentials.items()}

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """As ``PublicData`` has them. VenueRefused, too, for one that this kind of account can't trade."""
        found = await super().markets(symbols)
        for symbol in symbols:
            await self._must_suit(symbol)
        return found

    async def _must_suit(self, symbol: str) -> None:
        await self.account_mode(symbol)

    async def account(self) -> Account:
        """Balances, positions and open orders but for stops of ours, read together; as old as they may be.

        That is when they were asked for.
        """
        self._refuse_altered()
        if self._streams is not None:
            self._streams.listen()
        questions = [self._own(what) for what in ("account", "open orders")]
        (wallet, positions), orders, _ = await together(
            self._asked(questions[0], self._speech.holdings),
            self._asked(questions[1], self._open_orders),
            self._check_clock_in_time(),
        )
        return Account(
            balances=wallet.balances,
            positions={symbol: self._weighed(position) for symbol, position in positions.items()},
            open_orders=tuple(order for order in orders if not is_stop(order.client_id)),
            free_margin=wallet.free_margin,
            equities=wallet.equities,
            at=min(question.first for question in questions if question.first is not None),
        )

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Every order that rests, in whichever market, as it is now, our stops too; what else the account is does not matter."""
        self._refuse_altered()
        self._speech.check_keys(self._credentials)  # who only takes orders back was not let in before
        resting, stops = await together(
            self._asked(self._own("open orders", Priority.LOOKUP), self._speech.open_orders),
            self._asked(self._own("stops", Priority.LOOKUP), self._speech.stops),
        )
        return (*resting, *stops)

    async def _open_orders(self, wire: Wire) -> tuple[VenueOrder, ...]:
        """Of the whole account now and then, and of the markets that are traded here in between."""
        now, since = self._clock.now(), self._looked_everywhere_at
        if since is not None and timedelta(0) <= now - since < EVERYWHERE and self._given:
            return await self._speech.open_orders_of(wire, sorted(self._given))
        found = await self._speech.open_orders(wire)
        self._looked_everywhere_at = now
        return found

    def _weighed(self, position: Position) -> Position:
        """A position with what it is worth, for whoever has no market of it."""
        entry = self._exchange.markets.get(position.symbol)
        if entry is None:
            return position
        try:
            market = self._speech.market(position.symbol, entry)
        except (VenueRefused, StaleData):  # dated, or not open: nobody trades it here
            each = parsing.finite(entry.get("contractSize") or 1, "contract size")
            return replace(position, worth=parsing.worth(position, each, inverse=bool(entry.get("inverse"))))
        return replace(position, worth=abs(market.notional(position.contracts, position.mark)))

    async def place(self, request: OrderRequest) -> Outcome:
        """Send one limit order, immediate or cancel, or one stop, once; refused where its turn would come after its deadline."""
        question = self._own(f"order {request.client_id}", Priority.ORDER)
        with watched() as flight:
            try:
                wire_numbers(self._exchange, request)  # what can't be sent need not wait
                self._time_left(request)
                if self._streams is not None:
                    self._streams.expect(request.client_id)
                wire = self._wire(question)
                cost = cost_of(self._exchange, CREATE_ORDER, {})
                async with self._turn(question, cost, request.deadline) as turn:
                    flight.heard = turn.answered
                    # after the wait, which uses up the time that the order has to arrive, and in which markets may change
                    self._refuse_altered()
                    amount, price = wire_numbers(self._exchange, request)
                    stamp, left = self._time_left(request)
                    asked = self._speech.stop_parameters if request.is_stop else self._speech.parameters
                    told = asked(request, stamp, left) | self._speech.posture(wire, request.symbol)
                    flight.carries = self._speech.written(request.client_id)
                    flight.headers = self._speech.headers(request, stamp, left)
                    flight.signed_at = self._speech.signed_at(stamp, left) + self._offset // timedelta(milliseconds=1)
                    kind, limit = ("market", None) if request.is_stop else ("limit", price)
                    order = await self._exchange.create_order(request.symbol, kind, request.side.value, amount, limit, told)
                report = self._speech.placed(wire, parsing.part(order, "info"), request)
                if isinstance(report, str):
                    parsing.word(order, "id")
            except verdicts.wire_faults() as error:
                missed = self._missed(flight, question, request)
                if missed is None:
                    return verdicts.of_order(self._dialect, flight, error)
                report = missed
        if flight.status not in OK:
            return Unknown(f"HTTP {flight.status} with an order in it")
        if isinstance(report, str):
            return await self._identified(request, report)
        if report.filled > request.amount:
            return Unknown(f"{plain(report.filled)} was filled of {plain(request.amount)}, says the venue")
        return Accepted(report)

    def _missed(self, flight: Flight, question: Question, request: OrderRequest) -> OrderReport | str | None:
        """What ccxt takes for an error, although the venue only says that the order found nobody to trade with."""
        if flight.status not in OK:
            return None
        try:
            return self._speech.missed(self._wire(question), verdicts.message_of(flight), request)
        except (StaleData, *verdicts.GARBAGE):
            return None

    async def _identified(self, request: OrderRequest, order_id: str) -> Outcome:
        """What became of an order that a venue answered to with ``order_id`` (or with none) and without its client id."""
        try:
            report = await self.lookup(request.symbol, request.client_id)
        except VenueError as error:
            return Unknown(f"the venue answered with order {order_id!r}, whose client id could not be asked for: {error}")
        if report is None or (order_id and report.order_id != order_id):
            return Unknown(f"the venue answered with order {order_id!r} and does not show it under its client id yet")
        return Accepted(report)

    def _time_left(self, request: OrderRequest) -> tuple[int, int]:
        """The venue's time, and until the deadline, milliseconds. VenueRefused for an order that can't be sent."""
        stamp = parsing.milliseconds(self._venue_time())
        left = parsing.milliseconds(request.deadline - self._offset) - stamp
        if not left > 0:
            raise VenueRefused("deadline", "its deadline has passed")
        if not re.fullmatch(self._dialect.client_id_shape, request.client_id):
            raise VenueRefused("client_id", f"its client id is none that the venue takes ({self._dialect.client_id_shape})")
        return stamp, left

    async def lookup(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order under a client id; None only when the venue says that there is none."""
        self._known(symbol)
        return await self._whole(
            self._own(f"order {client_id}", Priority.LOOKUP), lambda wire: self._speech.lookup(wire, symbol, client_id)
        )

    async def heard(self, client_id: str, by: datetime) -> None:
        """Wait for word of an order where the exchange's streams are followed, else for ``by``."""
        if self._streams is None:
            await self._clock.sleep_until(by)
        else:
            await self._streams.news(client_id, by)

    async def fills(self, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """Every trade of one order, oldest first."""
        self._known(symbol)
        return await self._whole(
            self._own(f"trades of order {order_id}", Priority.LOOKUP), lambda wire: self._speech.fills(wire, symbol, order_id)
        )

    async def orders(self, symbol: str, since: datetime) -> tuple[VenueOrder, ...]:
        """Every order of one market placed at ``since`` or later, whoever placed it, oldest first; venues forget some."""
        self._known(symbol)
        # whoever asks may have read the time off this machine's clock or off the venue's
        start = min(since, since - self._offset)
        return await self._whole(
            self._own(f"orders of {symbol}", Priority.LOOKUP), lambda wire: self._speech.orders(wire, symbol, start)
        )

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask once for the order under a client id to be canceled; nothing happens when it does not rest."""
        self._known(symbol)
        question = self._own(f"cancel of order {client_id}", Priority.CANCEL, attempts=1)
        await self._whole(question, lambda wire: self._speech.cancel(wire, symbol, client_id))

    async def ledger(self, since: datetime) -> tuple[Posting, ...] | None:
        """What the exchange's own ledger tells from ``since`` on, oldest first; None where this exchange does not tell."""
        start = min(since, since - self._offset)
        told = await self._whole(self._own("ledger", Priority.READ), lambda wire: self._speech.ledger(wire, start))
        return None if told is None else tuple(sorted(told, key=lambda posting: (posting.at, posting.id)))

    async def dead_man(self, symbols: Sequence[str], within: timedelta | None) -> bool:
        """Have the venue cancel what rests in these markets unless asked again ``within``; None takes that off.

        False where the venue has no such switch. VenueRefused for a time below a millisecond, which would take it off.
        """
        if within is not None and not within >= timedelta(milliseconds=1):
            raise VenueRefused("countdown", f"a dead-man switch of {within.total_seconds()} s would cancel nothing")
        for symbol in symbols:
            self._known(symbol)
        question = self._own("dead-man switch", Priority.CANCEL)
        return await self._whole(question, lambda wire: self._speech.dead_man(wire, symbols, within))


class ExaminedVenue(CcxtVenue):
    """An account that may be unfit to be traded: connecting asks for no more than an answer, and no order is sent."""

    largest_offset = timedelta.max

    def _admission(self) -> list[Awaitable[Any]]:
        return []

    async def _must_suit(self, symbol: str) -> None:
        """Whether it does is one of the things that are looked at."""

    async def place(self, request: OrderRequest) -> Outcome:
        """Refuse: who examines an account does not trade it."""
        raise InvariantViolation(f"order {request.client_id} is sent while its account is examined")


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
