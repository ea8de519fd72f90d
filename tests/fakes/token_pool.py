"""What some exchanges grant: tokens that may be spent at once and come back evenly. A count of the exchange's own."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True, kw_only=True)
class TokenPool:
    """``capacity`` tokens, which come back in ``span`` ms. spent, refused: how much was had, and how often too much was asked."""

    capacity: Decimal
    span: int
    spent: Decimal = Decimal(0)
    refused: int = 0
    _left: Decimal = field(init=False)
    _at: int | None = None

    def __post_init__(self) -> None:
        self._left = self.capacity

    def take(self, cost: Decimal, now: int) -> int:
        """Spend ``cost`` at ``now`` (ms); else after how many whole seconds there will be so much. 0: it was spent."""
        passed = 0 if self._at is None else max(now - self._at, 0)
        self._left = min(self.capacity, self._left + self.capacity * passed / self.span)
        self._at = now
        if cost > self._left:
            self.refused += 1
            return int((cost - self._left) * self.span / self.capacity / 1000) + 1
        self._left -= cost
        self.spent += cost
        return 0
