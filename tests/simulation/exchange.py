"""An exchange with its own truth: orders, trades, positions and cash as they really are, whatever anybody believes.

Its rules are written anew here, not taken from what is tested. It knows nothing of faults: what goes wrong on the way to it
is the wire's, what happens to the account from elsewhere is the world's.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random

from keeper.domain.market import Market, MarketKind, Side
from keeper.domain.order import ChildState
from keeper.domain.statement import Posting, PostingKind
from tests.simulation.orders import AT_ONCE, Asked, Holdings, Matching, Order, Refused, Told, Trade
from tests.simulation.prices import Ladder, Prices

ZERO = Decimal(0)
TAKER = Decimal("0.0004")
AHEAD = timedelta(seconds=1)
SATOSHI = Decimal("0.00000001")
DUST = Decimal("0.00000437")


class Exchange:
    """One account. ``on_change`` is called after each order that was taken, each trade and each change from elsewhere.

    It is called before money moves, too.

    clock: the exchange's; later: calls something so many seconds from now.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        prices: Prices,
        cash: Decimal,
        clock: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], object],
        rng: Random,
    ) -> None:
        self.markets = markets
        self.prices = prices
        self.now = clock
        self.orders: list[Order] = []
        self.cash = cash
        self.positions: dict[str, tuple[Decimal, Decimal]] = {}
        self.statement: list[Posting] = []
        self.history = [Holdings(clock(), cash, {})]
        self._mute: dict[str, datetime] = {}
        self._silences: dict[str, list[tuple[datetime, datetime]]] = {}
        self.on_change: Callable[[str, Order | None], None] = lambda _what, _order: None
        self._later = later
        self._rng = rng
        self._canceled: set[str] = set()
        self._stops: list[Order] = []

    def held(self, symbol: str) -> Decimal:
        return self.positions.get(symbol, (ZERO, ZERO))[0]

    def nav(self, of: Holdings | None = None) -> Decimal:
        """Equity at the true marks. of: what it would be with other holdings."""
        cash, positions = (self.cash, self.positions) if of is None else (of.cash, of.positions)
        worth = (
            size * (self.prices.mark(symbol) - (ZERO if self.is_spot(symbol) else entry))
            for symbol, (size, entry) in positions.items()
        )
        return cash + sum(worth, ZERO)

    def is_spot(self, symbol: str) -> bool:
        return self.markets[symbol].kind is MarketKind.SPOT

    def affords(self, symbol: str, signed: Decimal, price: Decimal, fee: Decimal = TAKER) -> bool:
        """Whether coins or cash are there for a trade on spot, beside what orders that rest hold back. Nothing else is asked.

        fee: fraction of the notional that is taken in cash.
        """
        if not self.is_spot(symbol):
            return True
        resting = [order for order in self.orders if order.state is ChildState.LIVE and order.side is Side.of(signed)]
        if signed < 0:
            return -signed <= self.held(symbol) - sum((one.left for one in resting if one.symbol == symbol), ZERO)
        return signed * price * (1 + fee) <= self.cash - sum((one.left * one.price for one in resting), ZERO)

    def endow(self, symbol: str, contracts: Decimal) -> None:
        """Have the account begin with a position, or with coins that it has paid for."""
        price = self.prices.mark(symbol)
        if self.is_spot(symbol):
            contracts = min(contracts + DUST, (self.cash / price).quantize(SATOSHI, ROUND_DOWN))
            self.cash -= contracts * price
        if contracts:
            self.positions[symbol] = contracts, price

    def transfer(self, symbol: str, coins: Decimal) -> None:
        """Coins of a spot market are paid in, or out."""
        if self.affords(symbol, min(coins, ZERO), ZERO):
            held, entry = self.positions.get(symbol, (ZERO, self.prices.mark(symbol)))
            self.positions[symbol] = held + coins, entry
            self._remember(f"transfer {coins} of {symbol}", None)

    def exposure(self) -> Decimal:
        """Gross, at the true marks."""
        return sum((abs(size) * self.prices.mark(symbol) for symbol, (size, _) in self.positions.items()), ZERO)

    def seen(self, at: datetime) -> Holdings:
        """The account as a read shows it that sees the exchange as it was at ``at``."""
        return next((one for one in reversed(self.history) if one.at <= at), self.history[0])

    def told(self, symbol: str, *, sane: bool) -> None:
        """Somebody asked for the quote of a market, and got one or not."""
        if not sane:
            self._mute.setdefault(symbol, self.now())
        elif (since := self._mute.pop(symbol, None)) is not None:
            self._silences.setdefault(symbol, []).append((since, self.now()))

    def silences(self, symbol: str) -> list[tuple[datetime, datetime]]:
        """From when to when nobody who asked got a quote of a market."""
        going_on = [(self._mute[symbol], self.now())] if symbol in self._mute else []
        return [*self._silences.get(symbol, ()), *going_on]

    def receive(self, asked: Asked, matching: Matching = AT_ONCE) -> Order:
        """Take an immediate-or-cancel order, or raise Refused."""
        self._judge(asked)
        order = Order(
            order_id=str(8_000_000 + len(self.orders)),
            client_id=asked.client_id,
            symbol=asked.symbol,
            side=asked.side,
            amount=asked.amount,
            price=asked.price,
            reduce_only=asked.reduce_only,
            at=self.now(),
            trigger=asked.trigger,
            placed_at=self.now(),
        )
        self.orders.append(order)
        order.told.append(Told(order.at, ChildState.LIVE, 0))
        self.on_change("order taken", order)
        if order.trigger is not None:
            self._stops.append(order)
            return order
        amount = min(asked.amount, abs(self.held(asked.symbol))) if asked.reduce_only else asked.amount
        takings = self.prices.take(asked.symbol, asked.side, amount, asked.price, matching.share)
        if matching.pause is not None and len(takings) == 1:
            (whole, price), lot = takings[0], self.markets[asked.symbol].lot
            half = whole / 2 // lot * lot
            takings = [(part, price) for part in (half, whole - half) if part]
        self._fill(order, takings, matching)
        return order

    def strike(self) -> None:
        """Set off the stops to whose trigger the mark has come: each takes what the book has, and no more than is held."""
        for order in list(self._stops):
            if order.trigger is None or (self.prices.mark(order.symbol) - order.trigger) * order.side.sign < 0:
                continue
            self._stops.remove(order)
            order.at = self.now()
            held = self.held(order.symbol)
            if not held or (held > 0) is (order.side is Side.BUY):
                order.told.append(Told(self.now(), ChildState.CANCELED, 0))
                continue
            worst = ZERO if order.side is Side.SELL else self.prices.mark(order.symbol) * 2
            amount = min(order.amount, abs(held))
            self._fill(order, self.prices.take(order.symbol, order.side, amount, worst, Decimal(1)), AT_ONCE)

    def _fill(self, order: Order, takings: Ladder, matching: Matching) -> None:
        part = len(takings) if matching.pause is None else 1
        for amount, price in takings[:part]:
            self._trade(order, amount, price)
        rest = takings[part:]
        over = ChildState.FILLED if order.filled == order.amount else ChildState.CANCELED
        state = ChildState.LIVE if rest and not matching.early else over
        order.told.append(Told(self.now(), state, len(order.trades)))
        if rest and matching.pause is not None:
            self._later(matching.pause.total_seconds(), lambda: self._go_on(order, rest, matching))

    def _go_on(self, order: Order, rest: Ladder, matching: Matching) -> None:
        """The next part, unless the order was canceled, or its fill would not reduce any more."""
        held = self.held(order.symbol)
        spent = order.reduce_only and (not held or (held > 0) is (order.side is Side.BUY) or abs(held) < rest[0][0])
        if order.client_id in self._canceled or spent:
            order.told.append(Told(self.now(), ChildState.CANCELED, len(order.trades)))
        else:
            self._fill(order, rest, matching)

    def cancel(self, client_id: str) -> bool:
        """Cancel what rests under a client id; False when nothing does. Half of the time a fill comes first."""
        live = any(order.state is ChildState.LIVE for order in self.under(client_id))
        for stop in [order for order in self._stops if order.client_id == client_id]:
            self._stops.remove(stop)
            stop.told.append(Told(self.now(), ChildState.CANCELED, 0))
            return True
        if live and self._rng.random() < 1 / 2:
            self._canceled.add(client_id)
        return live

    def elsewhere(self, symbol: str, signed: Decimal, *, client_id: str, forced: bool = False) -> None:
        """Somebody else's order, or the venue's own, filled whole at the mark."""
        order = self._outside(symbol, signed, client_id, forced=forced)
        order.told.append(Told(self.now(), ChildState.FILLED, 1))
        self._trade(order, order.amount, order.price)

    def rest(self, symbol: str, signed: Decimal, *, client_id: str) -> Order:
        """Somebody else's order, which rests at the mark until ``meet`` or ``withdraw``."""
        order = self._outside(symbol, signed, client_id)
        order.told.append(Told(self.now(), ChildState.LIVE, 0))
        self.on_change("order rests", order)
        return order

    def _outside(self, symbol: str, signed: Decimal, client_id: str, *, forced: bool = False) -> Order:
        order = Order(
            order_id=str(8_000_000 + len(self.orders)),
            client_id=client_id,
            symbol=symbol,
            side=Side.of(signed),
            amount=abs(signed),
            price=self.prices.mark(symbol),
            reduce_only=forced,
            at=self.now(),
            forced=forced,
        )
        self.orders.append(order)
        return order

    def meet(self, order: Order, amount: Decimal) -> None:
        """Fill so much of an order that rests, at its own price."""
        state = ChildState.FILLED if order.filled + amount == order.amount else ChildState.LIVE
        order.told.append(Told(self.now(), state, len(order.trades) + 1))
        self._trade(order, amount, order.price)

    def withdraw(self, order: Order) -> None:
        """Its owner takes back what still rests of an order."""
        if order.state is ChildState.LIVE:
            order.told.append(Told(self.now(), ChildState.CANCELED, len(order.trades)))
            self.on_change("order taken back", order)

    def deposit(self, amount: Decimal) -> None:
        self.on_change("money is about to move", None)  # who decided before that went by what the account was worth then
        self.cash += amount
        if amount:
            kind = PostingKind.DEPOSIT if amount > 0 else PostingKind.WITHDRAWAL
            name = f"flow-{len(self.statement)}"
            self.statement.append(Posting(id=name, kind=kind, at=self.now(), asset=self.currency, amount=amount))
        self._remember(f"deposit {amount:.2f}", None)

    def pay_funding(self, rate: Decimal) -> None:
        """Whoever is long pays whoever is short ``rate`` of what a position is worth at the mark."""
        for symbol, (size, _) in self.positions.items():
            paid = ZERO if self.is_spot(symbol) else (size * self.prices.mark(symbol) * rate).quantize(SATOSHI)
            if not paid:
                continue
            self.on_change("money is about to move", None)
            self.cash -= paid
            kind, name = PostingKind.FUNDING, f"funding-{len(self.statement)}"
            self.statement.append(Posting(id=name, kind=kind, at=self.now(), asset=self.currency, amount=-paid, symbol=symbol))
            self._remember(f"funding {-paid:.2f}", None)

    @property
    def currency(self) -> str:
        return next(iter(self.markets.values())).quote

    def ledger(self, since: datetime) -> tuple[Posting, ...]:
        """What moved the account beside prices and trades, from ``since`` on."""
        return tuple(posting for posting in self.statement if posting.at >= since)

    def under(self, client_id: str) -> list[Order]:
        return [order for order in self.orders if order.client_id == client_id]

    def _judge(self, asked: Asked) -> None:
        now = self.now()
        if not asked.sent - AHEAD <= now <= asked.sent + asked.window:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
        # a client id may be used again once its order is closed, so whatever is sent twice is done twice
        twice = any(order.state is ChildState.LIVE for order in self.under(asked.client_id))
        if self.is_spot(asked.symbol):
            self._judge_spot(asked, twice=twice)
        else:
            self._judge_derivative(asked, twice=twice)

    def _judge_spot(self, asked: Asked, *, twice: bool) -> None:
        market = self.markets[asked.symbol]
        if twice:
            raise Refused(-2010, "Duplicate order sent.")
        if asked.reduce_only:
            raise Refused(-1104, "Not all sent parameters were read.")
        if asked.amount % market.lot or asked.amount <= 0:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        if asked.price % market.tick or asked.price <= 0:
            raise Refused(-1013, "Filter failure: PRICE_FILTER")
        if asked.amount * asked.price < market.min_cost:
            raise Refused(-1013, "Filter failure: NOTIONAL")
        fee = TAKER if market.fee_asset(asked.side) == market.quote else ZERO
        if not self.affords(asked.symbol, asked.amount * asked.side.sign, asked.price, fee):
            raise Refused(-2010, "Account has insufficient balance for requested action.")

    def _judge_derivative(self, asked: Asked, *, twice: bool) -> None:
        market = self.markets[asked.symbol]
        if twice:
            raise Refused(-4116, "ClientOrderId is duplicated.")
        if asked.amount % market.lot or asked.amount <= 0:
            raise Refused(-1111, "Precision is over the maximum defined for this asset.")
        if asked.price % market.tick or asked.price <= 0:
            raise Refused(-4014, "Price not increased by tick size.")
        if not asked.reduce_only and asked.amount * asked.price < market.min_cost:
            raise Refused(-4164, "Order's notional must be no smaller than 5.0.")
        if asked.trigger is not None:
            self._judge_stop(asked, asked.trigger)
            return
        held = self.held(asked.symbol)
        if asked.reduce_only and (not held or (held > 0) is (asked.side is Side.BUY)):
            raise Refused(-2022, "ReduceOnly Order is rejected.")
        if not asked.reduce_only and self.nav() <= 0:
            raise Refused(-2019, "Margin is insufficient.")

    def _judge_stop(self, asked: Asked, trigger: Decimal) -> None:
        if not (self.prices.mark(asked.symbol) - trigger) * asked.side.sign < 0:
            raise Refused(-2021, "Order would immediately trigger.")

    def _trade(self, order: Order, amount: Decimal, price: Decimal) -> None:
        market, signed = self.markets[order.symbol], amount * order.side.sign
        in_coins = market.fee_asset(order.side) != market.settle
        fee = amount * TAKER * (1 if in_coins else price)
        number = sum(len(other.trades) for other in self.orders) + 1
        fee_asset = market.fee_asset(order.side)
        order.trades.append(Trade(str(100_000 + number), amount, price, fee, fee_asset, self.now()))
        size, entry = self.positions.get(order.symbol, (ZERO, price))
        if self.is_spot(order.symbol):
            self.cash -= signed * price
        elif size and (size > 0) is not (signed > 0):
            closed = min(abs(size), amount) * (1 if size > 0 else -1)
            self.cash += closed * (price - entry)
            entry = entry if abs(size) >= amount else price
        else:
            entry = (size * entry + signed * price) / (size + signed)
        if in_coins:
            signed -= fee
        else:
            self.cash -= fee
        self.positions[order.symbol] = size + signed, entry
        if not size + signed:
            del self.positions[order.symbol]
        self._remember("trade", order)

    def _remember(self, what: str, order: Order | None) -> None:
        self.history.append(Holdings(self.now(), self.cash, dict(self.positions)))
        self.on_change(what, order)
