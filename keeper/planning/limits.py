"""What no order of a fund may exceed, and the words in which something is refused. Pure values."""

from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.fund import Standing
from keeper.policy.breakers import passes

ORDERS_PER_RUN = 500
ORDERS_PER_HOUR = 1000
ORDERS_PER_DAY = 5000
LIQUIDATION_DISTANCE = Decimal("0.05")
TARGET_JUMP = Decimal(2)
VOLUME_SHARE = Decimal("0.1")
BOUND = "reduce_only_state"
"""Code of the refusal of what would add risk while a fund may only reduce it."""


BETWEEN_SLOTS = "between_slots"
"""Code of the refusal of what would add risk between the slots of a fund that only reduces there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What no order may exceed.

    max_order_notional: quote currency; max_turnover_per_*: multiples of NAV traded by orders that add risk in 24 h, in an
    hour and in one run over all its attempts, the last two no less than in 24 h where None; max_orders_per_*: orders sent;
    max_slippage_bps: limit price from the mid at send, and the prices of a market from each other; max_leverage: gross
    multiple of NAV after the order; min_liquidation_distance: fraction of the price; max_target_jump: multiples of NAV that
    a plan may add to the targets of the run before; max_volume_share: fraction of a market's volume of 24 h that a plan may
    trade to add risk.
    """

    max_order_notional: Decimal
    max_turnover_per_day: Decimal
    max_slippage_bps: Decimal
    max_leverage: Decimal
    max_turnover_per_run: Decimal | None = None
    max_turnover_per_hour: Decimal | None = None
    max_orders_per_run: int = ORDERS_PER_RUN
    max_orders_per_hour: int = ORDERS_PER_HOUR
    max_orders_per_day: int = ORDERS_PER_DAY
    min_liquidation_distance: Decimal = LIQUIDATION_DISTANCE
    max_target_jump: Decimal = TARGET_JUMP
    max_volume_share: Decimal = VOLUME_SHARE

    @property
    def turnovers(self) -> tuple[tuple[str, str, Decimal | None], ...]:
        """The caps on turnover: name of the setting, over what, multiple of NAV (None: no cap of its own); run, hour, day."""
        return (
            ("max_turnover_per_run", "this run", self.max_turnover_per_run),
            ("max_turnover_per_hour", "the last hour", self.max_turnover_per_hour),
            ("max_turnover_per_day", "24 h", self.max_turnover_per_day),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something may not be done. code: stable, lower case; message: figures and the limit they break."""

    code: str
    message: str


def not_enabled() -> Refusal:
    """Nothing is sent to where real money is."""
    return Refusal("not_enabled", "a live fund only plans: trade on paper or on a testnet")


def halt_refusal(reason: str) -> Refusal:
    """What is said of everything that a halted fund would do."""
    return Refusal("halted", f"the fund is halted ({reason or 'no reason given'}): `keeper resume` lets it trade again")


def reduce_only_refusal(standing: Standing) -> Refusal:
    """What is said of everything that would add risk while the fund may only reduce it."""
    way_out = "`keeper resume` lets it add risk again"
    if passes(standing.cause):
        way_out = f"this lifts by itself once it is over, and {way_out} at once"
    return Refusal(BOUND, f"the fund may only reduce ({standing.reason or 'no reason given'}): {way_out}")
