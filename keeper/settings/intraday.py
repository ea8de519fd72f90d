"""What else than an emergency makes a fund act between its slots, as it is configured."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from keeper.policy.intraday import COOLDOWN, Direction, Intraday
from keeper.policy.mandate import Mandate
from keeper.settings.bands import AUTO, BandSettings, mandate_of
from keeper.settings.feeds import Section
from keeper.settings.schedules import HOUR
from keeper.settings.values import Duration, Flag, Ratio, Within, chosen, duration_text, fault


class IntradaySettings(Section):
    """When a fund acts between its slots."""

    band: Flag = Field(default=False, description="as soon as a market is outside of its band")
    move: Annotated[Ratio, Within(above=0, below=1)] | None = Field(
        default=None,
        validate_default=True,
        description="as soon as a price moved against the fund by this fraction since the last run (both: either way)",
    )
    flow: Annotated[Ratio, Within(above=0, at_most=1)] | None = Field(
        default=None,
        validate_default=True,
        description="as soon as money left by this fraction of NAV since the last run (both: or came)",
    )
    direction: Annotated[Direction, chosen(Direction)] = Field(
        default=Direction.REDUCE, description='"reduce": only toward less risk; "both": more risk too'
    )
    cooldown: Annotated[Duration, Within(at_least=timedelta(minutes=1), at_most=timedelta(hours=24))] = Field(
        default=COOLDOWN,
        description="between the end of one such run and the next; an emergency does not wait for it",
        json_schema_extra={"default": "15m"},
    )

    @field_validator("direction")
    @classmethod
    def _of_something(cls, direction: Direction, info: ValidationInfo) -> Direction:
        acts = info.data.get("band") is not False or info.data.get("move") is not None or info.data.get("flow") is not None
        if direction is Direction.BOTH and not acts:
            raise fault("has no use where nothing makes the fund act between its slots: set band = true, or a move such as 0.15")
        return direction

    def value(self) -> Intraday | None:
        """The rule itself; None where there is none."""
        if not self.band and self.move is None and self.flow is None:
            return None
        return Intraday(band=self.band, move=self.move, flow=self.flow, direction=self.direction, cooldown=self.cooldown)

    def counted(self, slots: int, runs_per_hour: int) -> None:
        """A fault where such runs and ``slots`` alone come to more than ``runs_per_hour`` within an hour."""
        within = HOUR // self.cooldown + 1
        if self.value() is not None and not within + slots <= runs_per_hour:
            raise fault(
                "runs between slots + slots within an hour <= breakers.runs_per_hour must hold, or that breaker halts the fund,"
                f' but with cooldown = "{duration_text(self.cooldown)}" it is {within} + {slots} > {runs_per_hour}: lengthen it,'
                " or allow more runs",
                at=("intraday", "cooldown"),
            )


def check_intraday(target: Mapping[str, Decimal], bands: BandSettings, intraday: IntradaySettings) -> None:
    """A fault where a fund is to act as soon as it leaves a band that there is not."""
    mandate: Mandate = mandate_of(target, bands, None)
    rigid = [symbol for symbol in target if not mandate.band(symbol).has_room]
    if not intraday.band or not rigid:
        return
    why = 'bands.deadband = "auto" is worked out at a plan only' if bands.deadband == AUTO else "there is no band to leave"
    raise fault(
        f"needs lower edge < upper edge, which does not hold for {' and '.join(rigid)}: {why}; set min and max, or a deadband",
        at=("intraday", "band"),
    )
