"""How a figure of a document reads to a person: thousands separators, units, and no more digits than help.

Takes the documents' strings (None where a figure is unknown) and returns text, the same for terminal and page. Nothing
shown here may be read back as a number.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from keeper.domain.numbers import BPS, ZERO, exact, plain, rounded

Figure = str | Decimal | None

NONE = "-"
_HUNDRED = 100
_MOST_NAMED = 3
_MINUTE, _HOUR = 60, 3600


def number(figure: Figure) -> Decimal | None:
    """The figure as a Decimal, None when unknown."""
    return Decimal(figure) if figure is not None else None


def fixed(figure: Figure, places: int) -> str:
    """With thousands separators and so many decimal places; never ``-0.00``."""
    value = number(figure)
    if value is None:
        return NONE
    cut = rounded(value, places)
    return f"{cut or abs(cut):,f}"


def money(figure: Figure, currency: str = "") -> str:
    """Two decimals, more for amounts that two would hide, and the currency behind."""
    value = number(figure)
    if value is None:
        return NONE
    places = 2 if value == 0 or abs(value) >= Decimal("0.01") else min(2 - value.adjusted(), 12)
    return f"{fixed(value, places)} {currency}".strip()


def price(figure: Figure) -> str:
    """Enough decimals for seven significant digits, at least two."""
    value = number(figure)
    if value is None:
        return NONE
    return fixed(value, max(2, min(6 - value.adjusted(), 14)) if value else 2)


def amount(figure: Figure) -> str:
    """Exactly as many decimals as the amount has, up to eight, with thousands separators."""
    value = number(figure)
    if value is None:
        return NONE
    whole, point, fraction = plain(rounded(value, 8)).partition(".")
    return f"{int(whole):,}{point}{fraction}" if whole != "-0" else f"-0{point}{fraction}"


def leverage(figure: Figure) -> str:
    """A multiple of NAV, such as ``2.739x``."""
    value = number(figure)
    return NONE if value is None else f"{fixed(value, 3)}x"


def bps(figure: Figure, *, signed: bool = False) -> str:
    """Basis points to two decimals, one from a hundred up; with a plus where ``signed``."""
    value = number(figure)
    if value is None:
        return NONE
    text = fixed(value, 2 if abs(value) < _HUNDRED else 1)
    return f"+{text}" if signed and value > 0 else text


def percent(figure: Figure) -> str:
    """A fraction as a signed percentage to two decimals."""
    value = number(figure)
    if value is None:
        return NONE
    text = fixed(value * 100, 2)
    return f"+{text}%" if value > 0 else f"{text}%"


@exact
def against(average: Decimal, reference: Decimal, sign: int) -> Decimal:
    """How much worse than ``reference`` an average price is, in bps: positive is a cost. sign: +1 buying, -1 selling."""
    return (average / reference - 1) * sign * BPS


def duration(span: timedelta) -> str:
    """Such as ``45s``, ``12m 30s`` or ``2h 05m``; never negative."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m {seconds % _MINUTE:02d}s"
    return f"{seconds // _HOUR}h {seconds % _HOUR // _MINUTE:02d}m"


def moment(text: str | None, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """A document's time for reading, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime(form) if text else NONE


def base_asset(market: str) -> str:
    """What a symbol trades: ``BTC`` of ``BTC/USDT:USDT``."""
    return market.partition("/")[0]


def orders(count: int) -> str:
    """``1 order``, ``10 orders``."""
    return f"{count} order" if count == 1 else f"{count:,} orders"


def headline(document: Mapping[str, Any]) -> str:
    """What a run did, in one sentence without a full stop."""
    fund, status, children = document["fund"], document["status"], document["children"]
    before, after = document["leverage_before"], document["leverage_after"]
    filled = [child for child in children if Decimal(child["filled"]) > 0]
    if filled:
        deed = f"{_traded(filled)} in {orders(len(filled))}"
    elif children:
        deed = f"sent {orders(len(children))}, none of which filled,"
    else:
        deeds = {"refused": "was refused", "running": "has sent nothing yet", "missed": "missed its slot"}
        deed = deeds.get(status, "sent nothing")
    if before is None or after is None:
        return f"{fund} {deed.rstrip(',')}" + (" before it was interrupted" if status == "interrupted" else "")
    if leverage(before) == leverage(after):
        return f"{fund} {deed} and stayed at {leverage(after)}"
    return f"{fund} {deed} and went from {leverage(before)} to {leverage(after)}"


def why(document: Mapping[str, Any]) -> str:
    """Why a run stands as it does; empty when there is nothing to say. The reason in the journal is one for an end only."""
    match document["status"]:
        case "running":
            return "it is at work"
        case "interrupted":
            return "the process that worked on it is gone; the fund's next run settles its orders first"
        case _:
            return str(document["reason"])


def _traded(filled: list[Mapping[str, Any]]) -> str:
    totals: dict[tuple[str, str, str], Decimal] = {}
    for child in filled:
        in_base = child["filled_base"] is not None
        unit = base_asset(child["market"]) if in_base else f"contracts of {child['market']}"
        key = ("bought" if child["side"] == "buy" else "sold", unit, child["market"])
        totals[key] = totals.get(key, ZERO) + Decimal(child["filled_base"] if in_base else child["filled"])
    if len(totals) > _MOST_NAMED:
        return f"traded {len({market for _, _, market in totals})} markets"
    deeds = [f"{verb} {_short(total)} {unit}" for (verb, unit, _), total in totals.items()]
    return deeds[0] if len(deeds) == 1 else f"{', '.join(deeds[:-1])} and {deeds[-1]}"


def _short(total: Decimal) -> str:
    """An amount in a sentence: four significant digits, all digits of the whole part."""
    return amount(rounded(total, max(0, min(3 - total.adjusted(), 8))))
