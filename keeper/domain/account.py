"""An account as the venue reports it, and what it is worth: NAV, exposure, net and gross leverage.

NAV is full-value equity in the fund's currency: every balance at its mark plus open profit, one mark per market for all
of it. Exposure to an asset is derivatives notional plus the coins of it that are held as equity.
Source of the formulas: Cheng and Madhavan 2009; the leverage identities follow from exposure / NAV.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from keeper.domain.errors import StaleData
from keeper.domain.market import Market, MarketKind
from keeper.domain.numbers import ZERO, exact, sign
from keeper.domain.order import Fill, VenueOrder
from keeper.domain.stable import DOLLARS, strayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """contracts: signed (short is negative); entry, mark: quote per base; liquidation: likewise, None where there is none.

    worth: absolute, quote, at the mark, None where one contract is one unit of the base asset.
    """

    symbol: str
    contracts: Decimal
    entry: Decimal
    mark: Decimal
    liquidation: Decimal | None = None
    worth: Decimal | None = None

    @exact
    def distance(self, mark: Decimal) -> Decimal | None:
        """How far the price may go against it before the venue liquidates, fraction of ``mark``; negative once it went there.

        None where the venue does not say.
        """
        return None if self.liquidation is None else (mark - self.liquidation) / mark * sign(self.contracts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the venue says the account holds.

    balances: units per asset without open profit, negative when borrowed; positions: by symbol, none of them zero;
    open_orders: those that rest in any market of the account; free_margin: what new positions may still bind, in the
    venue's unit of account, None where nothing is bound or the venue does not say; equities: what the venue itself says that
    each asset comes to, open profit in it included, empty where it says nothing; at: since when it may have changed unseen,
    aware UTC.
    """

    balances: Mapping[str, Decimal]
    at: datetime
    positions: Mapping[str, Position] = field(default_factory=dict)
    open_orders: tuple[VenueOrder, ...] = ()
    free_margin: Decimal | None = None
    equities: Mapping[str, Decimal] = field(default_factory=dict)

    def held(self, market: Market) -> Decimal:
        """Signed contracts held in ``market``; on spot the balance of its base asset."""
        if market.kind is MarketKind.SPOT:
            return self.balances.get(market.base, ZERO)
        position = self.positions.get(market.symbol)
        return position.contracts if position else ZERO

    def only(self, assets: Collection[str]) -> "Account":
        """This account without the balances of other assets; positions and orders stay as they are."""
        return replace(self, balances={asset: amount for asset, amount in self.balances.items() if asset in assets})

    @exact
    def after(self, fill: Fill, market: Market) -> "Account":
        """This account once ``fill`` is booked: average entry grows with the position, profit is realised as it shrinks.

        The entry of an inverse position averages harmonically, since its profit is linear in 1 / price.
        """
        balances = dict(self.balances)
        balances[fill.fee_asset] = balances.get(fill.fee_asset, ZERO) - fill.fee
        signed = fill.amount * fill.side.sign
        if market.kind is MarketKind.SPOT:
            balances[market.base] = balances.get(market.base, ZERO) + signed * market.contract_size
            balances[market.quote] = balances.get(market.quote, ZERO) - market.notional(signed, fill.price)
            return replace(self, balances=balances, at=fill.at)
        positions = dict(self.positions)
        before = positions.pop(market.symbol, None) or Position(
            symbol=market.symbol, contracts=ZERO, entry=fill.price, mark=fill.price
        )
        total = before.contracts + signed
        entry = before.entry
        if sign(before.contracts) == -sign(signed):
            closed = min(abs(signed), abs(before.contracts)) * sign(before.contracts)
            profit = market.profit(closed, before.entry, fill.price)
            balances[market.settle] = balances.get(market.settle, ZERO) + profit
            entry = before.entry if sign(total) == sign(before.contracts) else fill.price
        elif fill.price == entry or not before.contracts:
            entry = fill.price
        elif market.kind is MarketKind.INVERSE:
            entry = total / (before.contracts / before.entry + signed / fill.price)
        else:
            entry = (before.contracts * before.entry + signed * fill.price) / total
        if total:
            positions[market.symbol] = Position(symbol=market.symbol, contracts=total, entry=entry, mark=before.mark)
        return replace(self, balances=balances, positions=positions, at=fill.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """What an account is worth at one set of marks.

    nav, exposures (by symbol of the market that carries them), foreign (gross worth of the positions and coins that no
    market of the fund carries) and beside (what coins that none carries come to, signed, by asset, dollars included): units of
    ``currency``; prices: ``currency`` per unit of each asset.
    """

    currency: str
    nav: Decimal
    exposures: Mapping[str, Decimal]
    foreign: Decimal
    prices: Mapping[str, Decimal]
    beside: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    @exact
    def net_exposure(self) -> Decimal:
        """Sum of signed exposures."""
        return sum(self.exposures.values(), ZERO)

    @property
    @exact
    def net_leverage(self) -> Decimal:
        """Signed exposure / NAV. StaleData when NAV is not positive."""
        return self.net_exposure / self._positive_nav()

    @property
    @exact
    def gross_leverage(self) -> Decimal:
        """Sum of absolute exposures / NAV. StaleData when NAV is not positive."""
        return (sum((abs(value) for value in self.exposures.values()), ZERO) + self.foreign) / self._positive_nav()

    @exact
    def leverage(self, symbol: str) -> Decimal:
        """Signed exposure of one market / NAV."""
        return self.exposures[symbol] / self._positive_nav()

    def _positive_nav(self) -> Decimal:
        if self.nav > 0:
            return self.nav
        message = f"NAV is {self.nav} {self.currency}: leverage has no meaning and nothing may be traded"
        raise StaleData(message)


@exact
def value(
    account: Account,
    markets: Iterable[Market],
    marks: Mapping[str, Decimal],
    currency: str,
    conversions: Mapping[str, Decimal] = MappingProxyType({}),
) -> Valuation:
    """Value ``account`` in ``currency`` at ``marks`` (quote per base, by symbol, one for each of ``markets``).

    conversions: ``currency`` per unit of assets that no market of the fund prices. Coins held as equity count as exposure of
    the spot market on that asset, else of the derivative on it, else as foreign; what is meant to be worth a dollar is none.
    Raises StaleData when an asset that is held has no price, or is worth less than it is meant to be.
    """
    traded = {market.symbol: market for market in markets}
    prices = dict(conversions) | asset_prices(traded.values(), marks, currency)
    nav = ZERO
    for asset, amount in account.balances.items():
        if amount:
            nav += amount * _price_of(asset, prices, currency)
    exposures = dict.fromkeys(traded, ZERO)
    foreign = ZERO
    for symbol, position in account.positions.items():
        market = traded.get(symbol)
        if market is None:
            foreign += abs(position.contracts * position.mark) if position.worth is None else position.worth
            continue
        profit = market.profit(position.contracts, position.entry, marks[symbol])
        nav += profit * _price_of(market.settle, prices, currency)
        exposures[symbol] += market.notional(position.contracts, marks[symbol]) * _price_of(market.quote, prices, currency)
        if market.kind is MarketKind.INVERSE:
            _carry(exposures, traded, market.base, profit * prices[market.base])
    beside = {}
    for asset, amount in account.balances.items():
        if amount and asset != currency and not _carry(exposures, traded, asset, amount * prices[asset]):
            beside[asset] = amount * prices[asset]
            foreign += ZERO if {asset, currency} <= DOLLARS else abs(beside[asset])
    return Valuation(currency=currency, nav=nav, exposures=exposures, foreign=foreign, prices=prices, beside=beside)


def asset_prices(markets: Iterable[Market], marks: Mapping[str, Decimal], currency: str) -> dict[str, Decimal]:
    """``currency`` per unit of every asset that ``markets`` can price; a spot market's word goes before a derivative's."""
    prices = {}
    for market in sorted(markets, key=lambda market: market.kind is MarketKind.SPOT):
        if market.quote == currency:
            prices[market.base] = marks[market.symbol]
    prices[currency] = Decimal(1)
    return prices


def _carry(exposures: dict[str, Decimal], markets: Mapping[str, Market], asset: str, amount: Decimal) -> bool:
    """Count coins of ``asset`` held as equity to the spot market on it, else to a derivative; False where there is neither."""
    carriers = [market for market in markets.values() if market.base == asset]
    if carriers:
        exposures[min(carriers, key=lambda market: market.kind is not MarketKind.SPOT).symbol] += amount
    return bool(carriers)


def _price_of(asset: str, prices: Mapping[str, Decimal], currency: str) -> Decimal:
    price = prices.get(asset)
    if price is None:
        message = f"no price for {asset} in {currency}: name a market of {asset} in the fund's target or move the balance away"
        raise StaleData(message)
    if not (price.is_finite() and price > 0):
        message = f"price of {asset} is {price} {currency}"
        raise StaleData(message)
    if words := strayed(asset, currency, price):
        raise StaleData(words)
    return price


@exact
def leverage_after_move(leverage: Decimal, move: Decimal) -> Decimal:
    """Leverage once the price moved by ``move`` (fraction) without a trade: L (1 + r) / (1 + L r)."""
    return leverage * (1 + move) / (1 + leverage * move)


@exact
def move_to_leverage(leverage: Decimal, to: Decimal) -> Decimal:
    """The price move (fraction) that takes a fund from ``leverage`` to ``to``: (T - L) / (L (1 - T)).

    ``leverage`` must not be 0 and ``to`` must not be 1: no move leads there.
    """
    return (to - leverage) / (leverage * (1 - to))


@exact
def move_to_gross(leverage: Decimal, others: Decimal, to: Decimal) -> Decimal | None:
    """The move (fraction) of one market, the others standing still, that takes gross leverage to ``to``; None where none does.

    leverage: of that market, signed, not 0; others: absolute, of the rest; all multiples of NAV. Gross leverage T is reached
    where others + |l| (1 + r) = T (1 + l r).
    """
    slope = abs(leverage) - to * leverage
    move = (to - others - abs(leverage)) / slope if slope else None
    return move if move is not None and move > -1 else None
