"""What it costs to hold an exposure as it is, and what the same would cost on the venue's other markets of that asset. Pure.

A perpetual's longs pay its shorts, or get from them, each time that funding falls due: a year of it at the rate of now costs

    sum l_i f_i (year / every_i)      l: exposure of a market, multiples of NAV, signed; f: its funding rate

as a fraction of NAV. It is information: rates change with each payment, and no plan follows from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from keeper.domain.numbers import ZERO, exact, plain, rounded
from keeper.domain.observation import FundingRate

YEAR = timedelta(days=365)
_TICK = timedelta(microseconds=1)
_PLACES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One market that is held. leverage: multiples of NAV, signed; rate: None where nobody tells; others: by symbol, likewise.

    spot: nobody pays for holding coins.
    """

    symbol: str
    leverage: Decimal
    rate: FundingRate | None
    spot: bool = False
    others: Mapping[str, FundingRate] = field(default_factory=dict)

    @property
    @exact
    def yearly(self) -> Decimal | None:
        """What a year costs, fraction of NAV, below 0 where it earns; None where nobody tells."""
        if self.spot:
            return ZERO
        return None if self.rate is None else yearly(self.leverage, self.rate)


@exact
def yearly(leverage: Decimal, rate: FundingRate) -> Decimal:
    """What a year of ``leverage`` costs at ``rate``, fraction of NAV."""
    return leverage * rate.rate * Decimal(YEAR // _TICK) / Decimal(rate.every // _TICK)


@exact
def carry_document(held: Sequence[Carried]) -> dict[str, object]:
    """What holding ``held`` costs, in all (null where one of them is not told) and by market, as JSON values."""
    each = [one.yearly for one in held]
    known = [cost for cost in each if cost is not None]
    return {
        "yearly": _text(sum(known, ZERO)) if len(known) == len(each) else None,
        "markets": [
            {
                "market": one.symbol,
                "leverage": _text(one.leverage),
                **_rate(one.rate),
                "yearly": None if cost is None else _text(cost),
                "others": [
                    {"market": symbol, **_rate(rate), "yearly": _text(yearly(one.leverage, rate))}
                    for symbol, rate in sorted(one.others.items())
                ],
            }
            for one, cost in zip(held, each, strict=True)
        ],
    }


def _rate(rate: FundingRate | None) -> dict[str, object]:
    if rate is None:
        return {"rate": None, "every_hours": None}
    return {"rate": plain(rate.rate), "every_hours": rate.every // timedelta(hours=1)}


def _text(fraction: Decimal) -> str:
    return plain(rounded(fraction, _PLACES))
