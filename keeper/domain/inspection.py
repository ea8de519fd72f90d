"""What an exchange tells of an account beside what it holds: its keys, its modes, its fees, how far a position may grow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class MarginMode(StrEnum):
    """Whether a position is backed by the whole account or by what was set aside for it."""

    CROSS = "cross"
    ISOLATED = "isolated"


class Setting(StrEnum):
    """What an exchange lets an account set of how it trades."""

    POSITION_MODE = "position_mode"
    MARGIN_MODE = "margin_mode"
    LEVERAGE = "leverage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How settings are changed on an exchange. by_us: those that Keeper can send; by_hand: where a human finds each, in words."""

    by_us: frozenset[Setting] = frozenset()
    by_hand: Mapping[Setting, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How far away an exchange is.

    latency: of one request, there and back; offset: this machine's clock less the exchange's; vague: by how much that may be
    more or less, where the exchange's clock is told in coarse steps.
    """

    latency: timedelta
    offset: timedelta
    vague: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What an API key may do. None where the exchange does not say.

    ip_bound: whether it works from named addresses only; expires_at: aware UTC, None where it never does.
    """

    may_trade: bool | None = None
    may_withdraw: bool | None = None
    ip_bound: bool | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """How an account trades one market. None where the exchange does not say.

    hedged: whether long and short positions are kept apart; leverage: the setting, which bounds a position and is not the
    leverage that a fund has.
    """

    hedged: bool | None = None
    margin: MarginMode | None = None
    leverage: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """Fractions of the notional, of this account in one market; negative where the exchange pays."""

    taker: Decimal
    maker: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """One step of a market's leverage table. up_to: notional (quote), None without end; maintenance: fraction of notional."""

    up_to: Decimal | None
    max_leverage: Decimal
    maintenance: Decimal
