"""Targets that somebody else names, slot by slot: within which bounds, how old at the most, and how far from those before. Pure.

What was told is a document with a table ``target``, and ``at``, when it was made up:

    at = 2026-12-01T00:10:00Z
    target = { "BTC/USDT:USDT" = 2.5 }
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from keeper.domain.numbers import ONE, ZERO, exact, parse_plain, plain

APPROVAL = timedelta(hours=24)
AHEAD = timedelta(minutes=1)
"""How far the clock of whoever names targets may be ahead of ours."""
_KEYS = ("at", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What targets from elsewhere may be.

    bounds: lowest and highest multiple of NAV by symbol; max_jump: how far from the targets before they may be, multiples of NAV
    over all symbols, until somebody approves of them; max_age: how long ago they may have been made up, None however long;
    approval: how long such an approval holds; ends_at: gross leverage where an emergency ends, None for that of the targets.
    """

    bounds: Mapping[str, tuple[Decimal, Decimal]]
    max_jump: Decimal = ONE
    max_age: timedelta | None = None
    approval: timedelta = APPROVAL
    ends_at: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why targets can't be used. key: of the document, dotted; value: what stands there; remedy: what to write instead."""

    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.remedy}"


def told(document: object, steering: Steering, *, written_at: datetime, now: datetime) -> dict[str, Decimal] | Wrong:
    """The targets (multiples of NAV by symbol) that ``document`` names, if they may be used at ``now``.

    written_at: when it was made up where it does not say so itself; both aware.
    """
    if not isinstance(document, Mapping):
        return Wrong("target", "(missing)", "the document must be a table that holds one: target = { SYMBOL = MULTIPLE }")
    for key in document:
        if key not in _KEYS:
            return Wrong(str(key), _shown(document[key]), "unknown key; known keys: at, target")
    made_at = _made_at(document.get("at", written_at))
    if isinstance(made_at, Wrong):
        return made_at
    if wrong := _old(made_at, steering, now):
        return wrong
    return _targets(document.get("target"), steering)


@exact
def jump(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> Decimal:
    """How far ``after`` is from ``before``, multiples of NAV over all symbols."""
    return sum((abs(after.get(symbol, ZERO) - before.get(symbol, ZERO)) for symbol in {**before, **after}), ZERO)


def _made_at(value: object) -> datetime | Wrong:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return Wrong("at", _shown(value), "must be a time with its zone, such as 2026-12-01T00:10:00Z")


def _old(made_at: datetime, steering: Steering, now: datetime) -> Wrong | None:
    if made_at > now + AHEAD:
        return Wrong("at", _shown(made_at), f"lies ahead of {now:%Y-%m-%d %H:%M:%S} UTC: set the clock of whoever names targets")
    if steering.max_age is not None and not now - made_at <= steering.max_age:
        age = (now - made_at).total_seconds()
        most = steering.max_age.total_seconds()
        return Wrong("at", _shown(made_at), f"is {age:.0f} s old, max_age is {most:.0f} s: have targets made up anew")
    return None


def _targets(table: object, steering: Steering) -> dict[str, Decimal] | Wrong:
    if not isinstance(table, Mapping):
        return Wrong("target", _shown(table), "must be a table of multiples of NAV by symbol")
    for symbol in table:
        if symbol not in steering.bounds:
            return Wrong(_key(symbol), _shown(table[symbol]), f"is no market of the fund, which has {', '.join(steering.bounds)}")
    found: dict[str, Decimal] = {}
    for symbol, (low, high) in steering.bounds.items():
        multiple = _figure(table.get(symbol))
        if multiple is None:
            remedy = "must be a plain decimal number, the multiple of NAV that is wanted; 0 for none"
            return Wrong(_key(symbol), _shown(table.get(symbol)), remedy)
        if not low <= multiple <= high:
            return Wrong(_key(symbol), plain(multiple), f"must be within bounds, from {plain(low)} to {plain(high)}")
        found[symbol] = multiple
    return found


def _figure(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal | int):
        figure = Decimal(value)
        return figure if figure.is_finite() else None
    if isinstance(value, str):
        try:
            return parse_plain(value)
        except ValueError:
            return None
    return None


def _key(symbol: object) -> str:
    return f'target."{symbol}"'


def _shown(value: object) -> str:
    match value:
        case None:
            return "(missing)"
        case datetime():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            return repr(value)
