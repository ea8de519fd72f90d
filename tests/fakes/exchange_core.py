"""An exchange's truth without any protocol: markets, a finite order book that refills, a margin account, matching, fees.

It keeps its own arithmetic, so that what it says of an account is a second opinion on Keeper's. Linear and inverse contracts;
a spot account is in ``spot_core``.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.exchange_orders import ALL, OrderDesk
from tests.fakes.exchange_values import (
    CENT,
    ZERO,
    Forced,
    Funding,
    Holding,
    Instrument,
    Ladder,
    MarginMode,
    Order,
    Payment,
    Reason,
    Refusal,
    Status,
    Trade,
    Unique,
)

__all__ = [
    "ALL",
    "CENT",
    "ZERO",
    "ExchangeCore",
    "Forced",
    "Funding",
    "Holding",
    "Instrument",
    "Ladder",
    "MarginMode",
    "Order",
    "Payment",
    "Reason",
    "Refusal",
    "Status",
    "Trade",
    "Unique",
]


@dataclass(slots=True, kw_only=True)
class ExchangeCore(OrderDesk):
    """One margin account on one exchange.

    wallet: by asset; isolated: markets whose positions have their own margin; liquidations: prices by symbol; usd: per unit
    of each asset where all of them together are the collateral, None where each is its own; fundings, payments: oldest
    first; funding_hours: of markets that are not paid every eight hours.
    """

    hedged: bool = False
    holdings: dict[str, Holding] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)
    liquidations: dict[str, Decimal] = field(default_factory=dict)
    usd: dict[str, Decimal] | None = None
    fundings: list[Funding] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    funding_hours: dict[str, int] = field(default_factory=dict)

    def hold(self, symbol: str, amount: Decimal, entry: Decimal) -> None:
        self.holdings[symbol] = Holding(amount, entry)

    def held(self, symbol: str) -> Decimal:
        """Signed contracts."""
        return self.holdings.get(symbol, Holding()).amount

    def unrealised(self, symbol: str) -> Decimal:
        """Open profit at the mark, in the settlement asset."""
        holding = self.holdings.get(symbol, Holding())
        return self.instruments[symbol].profit(holding.amount, holding.entry, self.mark(symbol)) if holding.amount else ZERO

    def equity(self, asset: str) -> Decimal:
        """Wallet and open profit of what settles in ``asset``."""
        return self.wallet.get(asset, ZERO) + sum((self.unrealised(symbol) for symbol in self._settled_in(asset)), ZERO)

    def equity_usd(self, prices: dict[str, Decimal]) -> Decimal:
        """All of the account at ``prices``, USD per unit of each of its assets."""
        return sum((self.equity(asset) * prices[asset] for asset in self._assets()), ZERO)

    def margin(self, symbol: str) -> Decimal:
        """What a position binds, in the settlement asset: by the mark, or by the entry where it is isolated."""
        holding, rules = self.holdings[symbol], self.instruments[symbol]
        price = holding.entry if symbol in self.isolated else self.mark(symbol)
        return rules.value(abs(holding.amount), price) / rules.leverage

    def available(self, asset: str = "USDT") -> Decimal:
        """Collateral less initial margin, in ``asset``."""
        if self.usd is None:
            return self._unbound(asset)
        return sum((self._unbound(one) * self.usd[one] for one in self._assets()), ZERO) / self.usd[asset]

    def _unbound(self, asset: str) -> Decimal:
        symbols = self._settled_in(asset)
        profits = sum((self.unrealised(symbol) for symbol in symbols if symbol not in self.isolated), ZERO)
        return self.wallet.get(asset, ZERO) + profits - sum((self.margin(symbol) for symbol in symbols), ZERO)

    def _settled_in(self, asset: str) -> list[str]:
        return [symbol for symbol, held in self.holdings.items() if held.amount and self.instruments[symbol].settle == asset]

    def _assets(self) -> set[str]:
        return {*self.wallet, *(self.instruments[symbol].settle for symbol, held in self.holdings.items() if held.amount)}

    def margin_mode(self, symbol: str) -> MarginMode:
        return MarginMode.ISOLATED if symbol in self.isolated else MarginMode.CROSS

    def set_margin_mode(self, symbol: str, mode: MarginMode) -> None:
        self.instrument(symbol)
        if mode is not self.margin_mode(symbol):
            self._refuse_unless_flat(symbol)
            self.isolated ^= {symbol}

    def set_leverage(self, symbol: str, leverage: int) -> None:
        rules = self.instrument(symbol)
        if not 1 <= leverage <= rules.max_leverage:
            raise Refusal(Reason.LEVERAGE)
        rules.leverage = leverage

    def set_hedged(self, *, hedged: bool) -> None:
        """Both sides of a market apart, or one net position."""
        if hedged is not self.hedged:
            self._refuse_unless_flat(ALL)
            self.hedged = hedged

    def _refuse_unless_flat(self, symbol: str) -> None:
        held = [one for one, holding in self.holdings.items() if holding.amount and symbol in (ALL, one)]
        if held or self.open_orders(symbol):
            raise Refusal(Reason.NOT_FLAT)

    def fund(self, symbol: str, rate: Decimal) -> Funding:
        """Whoever is long pays ``rate`` of the position's value at the mark; a record of it is kept."""
        rules = self.instrument(symbol)
        paid = (rules.value(self.held(symbol), self.mark(symbol)) * rate).quantize(CENT)
        self.wallet[rules.settle] = self.wallet.get(rules.settle, ZERO) - paid
        record = Funding(symbol=symbol, rate=rate, amount=-paid, asset=rules.settle, at=self.now())
        self.fundings.append(record)
        return record

    def pay(self, asset: str, amount: Decimal) -> None:
        """Money comes into the account, or leaves it; a record of it is kept."""
        self.wallet[asset] = self.wallet.get(asset, ZERO) + amount
        self.payments.append(Payment(asset=asset, amount=amount, at=self.now()))

    def force(self, symbol: str, kind: Forced) -> Order:
        """The exchange closes the position in a market, at the mark."""
        held = self.held(symbol)
        order = self.rest("", symbol, -1 if held > 0 else 1, abs(held), self.mark(symbol))
        order.forced = kind
        self.book(order, abs(held), self.mark(symbol))
        return order

    def check_account(self, order: Order) -> None:
        if self.hedged:
            raise Refusal(Reason.POSITION_SIDE)
        held, rules = self.held(order.symbol), self.instruments[order.symbol]
        if order.reduce_only and held * order.sign >= 0:
            raise Refusal(Reason.REDUCE_ONLY)
        growth = abs(held + order.sign * order.amount) - abs(held)
        if rules.value(growth, order.price) / rules.leverage > self.available(rules.settle):
            raise Refusal(Reason.MARGIN)

    def reducible(self, symbol: str) -> Decimal:
        return abs(self.held(symbol))

    def book(self, order: Order, amount: Decimal, price: Decimal) -> None:
        rules = self.instruments[order.symbol]
        holding = self.holdings.setdefault(order.symbol, Holding())
        profit = ZERO
        if holding.amount * order.sign < 0:
            closed = min(amount, abs(holding.amount))
            profit = rules.profit(closed * -order.sign, holding.entry, price).quantize(CENT)
            if amount > closed:
                holding.entry = price
        else:
            holding.entry = rules.average(abs(holding.amount), holding.entry, amount, price)
        holding.amount += order.sign * amount
        cost = rules.value(amount, price)
        fee = (cost * self.fee_rate).quantize(CENT)
        self.wallet[rules.settle] = self.wallet.get(rules.settle, ZERO) + profit - fee
        order.fill(amount, price, cost)
        self.note_trade(order, amount, price, fee=fee, fee_asset=rules.settle, profit=profit)
