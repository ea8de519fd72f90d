"""How a paper market is specified, and what its unified symbol says by itself. Reads no configuration."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from keeper.domain.market import FeeAsset, Market, MarketKind
from keeper.domain.numbers import BPS, ONE, ZERO, exact
from keeper.domain.observation import FundingRate

FUNDING_EVERY = timedelta(hours=8)
_UNIFIED = re.compile(r"(?P<base>[A-Z0-9]{1,20})/(?P<quote>[A-Z0-9]{1,20})(:(?P<settle>[A-Z0-9]{1,20})(-[0-9]{6})?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSpec:
    """One paper market; what is not given follows from the symbol or costs nothing.

    kind: must agree with the symbol; contract_size: base per contract (inverse: quote per contract); tick: quote per
    base; lot, min_amount: contracts; min_cost: quote; taker_bps, maker_bps: of notional, a negative one is a rebate; fee_in:
    what they are taken in; funding_bps: of notional, what longs pay shorts every eight hours, a negative one is paid to longs.
    """

    kind: MarketKind | None = None
    contract_size: Decimal = ONE
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.000001")
    min_amount: Decimal = ZERO
    min_cost: Decimal = ZERO
    taker_bps: Decimal = ZERO
    maker_bps: Decimal = ZERO
    fee_in: FeeAsset = FeeAsset.SETTLE
    funding_bps: Decimal = ZERO

    @property
    @exact
    def funding(self) -> FundingRate | None:
        """What longs pay; None where nobody pays."""
        return FundingRate(rate=self.funding_bps / BPS, every=FUNDING_EVERY) if self.funding_bps else None

    @exact
    def market(self, symbol: str) -> Market:
        """The market under ``symbol``. ValueError says what is wrong with the symbol or a number."""
        base, quote, settle, kind = _read(symbol)
        if self.kind not in (None, kind):
            message = f"{symbol} is {kind} by its symbol, not {self.kind}"
            raise ValueError(message)
        for name, positive in (("contract_size", self.contract_size), ("tick", self.tick), ("lot", self.lot)):
            if not (positive.is_finite() and positive > 0):
                message = f"{name} of {symbol} is {positive}: write a number above 0"
                raise ValueError(message)
        if kind is MarketKind.SPOT and self.contract_size != 1:
            message = f"contract_size of {symbol} is {self.contract_size}: a spot contract is 1 unit of {base}, leave it out"
            raise ValueError(message)
        for name, number in (("min_amount", self.min_amount), ("min_cost", self.min_cost)):
            if not (number.is_finite() and number >= 0):
                message = f"{name} of {symbol} is {number}: write 0 or more"
                raise ValueError(message)
        if self.funding_bps and kind is MarketKind.SPOT:
            message = f"funding_bps of {symbol} is {self.funding_bps}: a spot market has no funding, leave it out"
            raise ValueError(message)
        for name, fee in (("taker_bps", self.taker_bps), ("maker_bps", self.maker_bps), ("funding_bps", self.funding_bps)):
            if not (fee.is_finite() and abs(fee) < BPS):
                message = f"{name} of {symbol} is {fee}: write basis points of notional, such as 5"
                raise ValueError(message)
        return Market(
            symbol=symbol,
            kind=kind,
            base=base,
            quote=quote,
            settle=settle,
            contract_size=self.contract_size,
            tick=self.tick,
            lot=self.lot,
            min_amount=self.min_amount,
            min_cost=self.min_cost,
            taker=self.taker_bps / BPS,
            maker=self.maker_bps / BPS,
            fee_in=self.fee_in,
        )


def _read(symbol: str) -> tuple[str, str, str, MarketKind]:
    """Base, quote, settle and kind of a unified symbol."""
    parts = _UNIFIED.fullmatch(symbol)
    if parts is None:
        message = f"{symbol!r} is no unified symbol such as BTC/USDT, BTC/USDT:USDT or BTC/USD:BTC"
        raise ValueError(message)
    base, quote, settle = parts["base"], parts["quote"], parts["settle"]
    if base == quote:
        message = f"{symbol!r} trades {base} against itself"
        raise ValueError(message)
    if settle is None:
        return base, quote, quote, MarketKind.SPOT
    if settle == quote:
        return base, quote, settle, MarketKind.LINEAR
    if settle == base:
        return base, quote, settle, MarketKind.INVERSE
    message = f"{symbol!r} settles in {settle}, neither in {quote} (linear) nor in {base} (inverse)"
    raise ValueError(message)


def markets_of(prices: dict[str, Decimal], specs: dict[str, MarketSpec]) -> dict[str, Market]:
    """One market for every price; defaults where ``specs`` says nothing. ValueError with words for whatever can't be."""
    if not prices:
        message = "the feed has no prices: name at least one market"
        raise ValueError(message)
    stray = sorted(set(specs) - set(prices))
    if stray:
        message = f"no price for {', '.join(stray)}"
        raise ValueError(message)
    for symbol, price in prices.items():
        if not (price.is_finite() and price > 0):
            message = f"price of {symbol} is {price}: write a number above 0"
            raise ValueError(message)
    return {symbol: specs.get(symbol, MarketSpec()).market(symbol) for symbol in prices}
