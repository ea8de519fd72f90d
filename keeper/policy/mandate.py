"""A mandate: the exposures a fund wants, and how far it may stray before anything is done. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from keeper.domain.numbers import ZERO, exact

_THIRD_OF_THE_WAY = Decimal("1.5")


class BandGoal(StrEnum):
    """Where a trade ends once the band is left: on the target, or on the band's nearer edge."""

    TARGET = "target"
    EDGE = "edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What a fund holds.

    targets: signed multiples of NAV by symbol; deadband: fraction of the target multiple (of 1 where that is 0);
    emergency_leverage: gross multiple of NAV that must never be passed, None for ``default_emergency``.
    """

    targets: Mapping[str, Decimal]
    deadband: Decimal = ZERO
    goal: BandGoal = BandGoal.TARGET
    emergency_leverage: Decimal | None = None

    @property
    def gross_target(self) -> Decimal:
        """Sum of the absolute targets, multiple of NAV."""
        return sum((abs(target) for target in self.targets.values()), ZERO)

    @property
    def emergency(self) -> Decimal | None:
        """The gross leverage that counts as an emergency; None where no price move can lead to one."""
        return self.emergency_leverage if self.emergency_leverage is not None else default_emergency(self)

    @property
    def flat(self) -> "Mandate":
        """To hold nothing of the same markets, without a band; what counts as an emergency stays."""
        nothing = dict.fromkeys(self.targets, ZERO)
        return replace(self, targets=nothing, deadband=ZERO, goal=BandGoal.TARGET, emergency_leverage=self.emergency)

    @exact
    def scaled(self, share: Decimal) -> "Mandate":
        """To hold ``share`` (fraction) of every target; what counts as an emergency stays."""
        targets = {symbol: share * target for symbol, target in self.targets.items()}
        return replace(self, targets=targets, emergency_leverage=self.emergency)

    @exact
    def band(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Lowest and highest leverage of ``symbol`` at which nothing is done, multiples of NAV."""
        target = self.targets[symbol]
        width = self.deadband * (abs(target) or Decimal(1))
        return target - width, target + width


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
