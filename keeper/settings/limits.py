"""The sections that bound a fund: what no order may exceed, and when it may only reduce or not trade at all.

Defaults are those of the pure values that are made of them, so that nobody has to keep two lists.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from keeper.domain.numbers import plain
from keeper.planning.limits import (
    LIQUIDATION_DISTANCE,
    ORDERS_PER_DAY,
    ORDERS_PER_HOUR,
    ORDERS_PER_RUN,
    TARGET_JUMP,
    VOLUME_SHARE,
)
from keeper.policy.breakers import Breakers
from keeper.settings.feeds import Section
from keeper.settings.values import Amount, Duration, Ratio, Whole, Within, fault

LEVERAGE_CEILING = Decimal(20)
DEFAULTS = Breakers()


class LimitSettings(Section):
    """What no order of a fund may exceed."""

    max_order_notional: Annotated[Amount, Within(above=0, at_most=100_000_000)] = Field(
        default=Decimal(250_000), description="one order, quote currency"
    )
    max_turnover_per_day: Annotated[Ratio, Within(above=0, at_most=100)] = Field(
        default=Decimal(6), description="traded in 24 h by orders that add risk, multiples of NAV"
    )
    max_turnover_per_hour: Annotated[Ratio, Within(above=0, at_most=100)] | None = Field(
        default=None, description="the same in an hour; unset: as in 24 h"
    )
    max_turnover_per_run: Annotated[Ratio, Within(above=0, at_most=100)] | None = Field(
        default=None, description="the same in one run; unset: as in 24 h"
    )
    max_orders_per_day: Annotated[Whole, Within(at_least=1, at_most=1_000_000)] = Field(
        default=ORDERS_PER_DAY, description="orders sent in 24 h"
    )
    max_orders_per_hour: Annotated[Whole, Within(at_least=1, at_most=1_000_000)] = Field(
        default=ORDERS_PER_HOUR, description="orders sent in an hour"
    )
    max_orders_per_run: Annotated[Whole, Within(at_least=1, at_most=1_000_000)] = Field(
        default=ORDERS_PER_RUN, description="orders sent in one run"
    )
    max_slippage_bps: Annotated[Ratio, Within(above=0, at_most=1000)] = Field(
        default=Decimal(30), description="limit price from the mid at send, and mid, index and last price from the mark, bps"
    )
    max_leverage: Annotated[Ratio, Within(above=0, at_most=LEVERAGE_CEILING)] = Field(
        default=Decimal(5), description="gross leverage, multiples of NAV"
    )
    min_liquidation_distance: Annotated[Ratio, Within(at_least=0, below=1)] = Field(
        default=LIQUIDATION_DISTANCE, description="from the mark to where the venue liquidates, fraction of the mark"
    )
    max_target_jump: Annotated[Ratio, Within(above=0, at_most=40)] = Field(
        default=TARGET_JUMP, description="what a new target may add to the last one without approval, multiples of NAV"
    )
    max_volume_share: Annotated[Ratio, Within(above=0, at_most=1)] = Field(
        default=VOLUME_SHARE, description="of a market's 24 h volume, that a plan may add risk with, fraction"
    )

    @field_validator("max_turnover_per_hour", "max_turnover_per_run")
    @classmethod
    def _within_a_day(cls, value: Decimal | None, info: ValidationInfo) -> Decimal | None:
        day = info.data.get("max_turnover_per_day")
        if value is not None and day is not None and not value <= day:
            raise fault(f"must be at most max_turnover_per_day = {plain(day)}")
        return value

    @field_validator("max_orders_per_hour", "max_orders_per_run")
    @classmethod
    def _orders_within_a_day(cls, value: int, info: ValidationInfo) -> int:
        day = info.data.get("max_orders_per_day")
        if day is not None and not value <= day:
            raise fault(f"must be at most max_orders_per_day = {day}")
        return value


class BreakerSettings(Section):
    """When a fund may only reduce, or not trade at all, until a human or the end of the trouble says otherwise."""

    slippage_bps: Annotated[Ratio, Within(above=0, at_most=1000)] = Field(
        default=DEFAULTS.slippage_bps, description="spread and impact of one run, bps of what it traded; above: reduce only"
    )
    loss: Annotated[Ratio, Within(above=0, at_most=1)] = Field(
        default=DEFAULTS.loss, description="of the highest NAV of the last 24 h, flows aside, as a fraction; above: reduce only"
    )
    errors_per_hour: Annotated[Whole, Within(at_least=0, at_most=1_000_000)] = Field(
        default=DEFAULTS.errors_per_hour, description="orders that were rejected or unknown; above: reduce only"
    )
    stale_after: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(hours=24))] = Field(
        default=DEFAULTS.stale_after,
        description="without a good reading of account and market: reduce only until there is one",
        json_schema_extra={"default": "5m"},
    )
    trouble_after: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(hours=24))] = Field(
        default=DEFAULTS.trouble_after,
        description="without an answer of the venue: reduce only until it answers",
        json_schema_extra={"default": "10m"},
    )
    runs_per_hour: Annotated[Whole, Within(at_least=1, at_most=1000)] = Field(
        default=DEFAULTS.runs_per_hour, description="runs that sent orders; above: halted"
    )
