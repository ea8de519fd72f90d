"""A mandate: the exposures a fund wants, and how far it may stray before anything is done. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import ONE, ZERO, exact

_THIRD_OF_THE_WAY = Decimal("1.5")


class BandGoal(StrEnum):
    """Where a trade ends: once the band is left on the target or on the band's nearer edge; or, wherever it begins, a step on."""

    TARGET = "target"
    EDGE = "edge"
    RECENTER = "recenter"


@dataclass(frozen=True, slots=True)
class Band:
    """The leverages of one market between which it may stand, signed multiples of NAV; no room where both are one figure."""

    low: Decimal
    high: Decimal

    @property
    def has_room(self) -> bool:
        """Whether a market may stand anywhere but on one figure."""
        return self.low < self.high

    @property
    def outermost(self) -> Decimal:
        """The largest leverage in it, without sign."""
        return max(abs(self.low), abs(self.high))

    def holds(self, leverage: Decimal) -> bool:
        """Whether ``leverage`` lies in it; the edges do."""
        return self.low <= leverage <= self.high

    def nearest(self, leverage: Decimal) -> Decimal:
        """``leverage`` where the band holds it, else the nearer edge."""
        return max(self.low, min(self.high, leverage))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What a fund holds.

    targets: signed multiples of NAV by symbol; bands: those that were named, by symbol; deadband: what of the target multiple
    (of 1 where that is 0) the band of any other market leaves room for on either side, a fraction; speed: the fraction of the
    way to the target that one rebalance goes where the goal is to recenter; aversion: how half the variance of tracking weighs
    against cost where bands are to be worked out from what is observed, None where they are as they stand;
    emergency_leverage: gross multiple of NAV that must never be passed, None for ``default_emergency``.
    """

    targets: Mapping[str, Decimal]
    deadband: Decimal = ZERO
    bands: Mapping[str, Band] = field(default_factory=dict)
    goal: BandGoal = BandGoal.TARGET
    speed: Decimal = ONE
    aversion: Decimal | None = None
    emergency_leverage: Decimal | None = None

    @property
    def gross_target(self) -> Decimal:
        """Sum of the absolute targets, multiple of NAV."""
        return sum((abs(target) for target in self.targets.values()), ZERO)

    @property
    @exact
    def gross_of_bands(self) -> Decimal:
        """The gross leverage, multiple of NAV, with every market on the outer edge of its band: nothing is out of bounds yet."""
        return sum((self.band(symbol).outermost for symbol in self.targets), ZERO)

    @property
    def emergency(self) -> Decimal | None:
        """The gross leverage that counts as an emergency; None where no price move can lead to one."""
        return self.emergency_leverage if self.emergency_leverage is not None else default_emergency(self)

    @property
    def flat(self) -> "Mandate":
        """To hold nothing of the same markets, without a band; what counts as an emergency stays."""
        return Mandate(targets=dict.fromkeys(self.targets, ZERO), emergency_leverage=self.emergency)

    @exact
    def scaled(self, share: Decimal) -> "Mandate":
        """To hold ``share`` (fraction) of every target, within that of every band; what counts as an emergency stays."""
        targets = {symbol: share * target for symbol, target in self.targets.items()}
        bands = {symbol: Band(share * band.low, share * band.high) for symbol, band in self.bands.items()}
        return replace(self, targets=targets, bands=bands, emergency_leverage=self.emergency)

    @exact
    def band(self, symbol: str) -> Band:
        """Between which leverages ``symbol`` may stand."""
        if (named := self.bands.get(symbol)) is not None:
            return named
        target = self.targets[symbol]
        width = self.deadband * (abs(target) or ONE)
        return Band(target - width, target + width)


@exact
def default_emergency(mandate: Mandate) -> Decimal | None:
    """Gross leverage once a third of the way to ruin is gone.

    A long at L is ruined by -1/L; after a third of that it stands at 1.5 L - 0.5, a short at 1.5 |L| + 0.5. A fund with
    any short takes the short's. None for a long without borrowing, which can't be ruined.
    """
    gross = mandate.gross_target
    half = Decimal("0.5")
    if any(target < 0 for target in mandate.targets.values()):
        return _THIRD_OF_THE_WAY * gross + half
    return _THIRD_OF_THE_WAY * gross - half if gross > 1 else None
