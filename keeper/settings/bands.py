"""How far a fund may stray, where a trade then ends, and what counts as an emergency; and whether all that goes together.

An order of figures must hold, FLI's: 0 < lower edge <= target <= upper edge <= emergency, and lower < upper edge wherever a
goal rests on the band. What breaks it is refused with the inequality, since each figure by itself looks sound.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, cast

from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from keeper.domain.numbers import ONE, ZERO, plain, sign
from keeper.policy.emergency import CHECK_EVERY
from keeper.policy.mandate import Band, BandGoal, Mandate
from keeper.settings.feeds import Section
from keeper.settings.symbols import Symbol
from keeper.settings.values import (
    PLAIN_PATTERN,
    Duration,
    Flag,
    Ratio,
    Within,
    chosen,
    did_you_mean,
    fault,
    nearest,
    read_number,
    shown,
)

EMERGENCY_CEILING = Decimal(100)
AUTO = "auto"


def _read_deadband(value: object) -> Decimal | str:
    if isinstance(value, str) and str(value) == AUTO:
        return AUTO
    if isinstance(value, str) and nearest(str(value), [AUTO]):
        raise fault(f'must be a fraction or "{AUTO}"; did you mean "{AUTO}"?')
    return cast("Decimal", _FRACTION.check(read_number(value)))


_FRACTION = Within(at_least=0, below=1)
Deadband = Annotated[
    Decimal | str,
    PlainValidator(_read_deadband),
    PlainSerializer(shown, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": AUTO},
                {"type": "string", "pattern": PLAIN_PATTERN},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            ]
        }
    ),
]


class BandSettings(Section):
    """How far a fund may stray before it is rebalanced."""

    deadband: Deadband = Field(
        default=ZERO,
        description='fraction of the target multiple (of 1 where that is 0), in markets without min and max; "auto": worked out',
    )
    min: Mapping[Symbol, Ratio] = Field(default={}, description="lowest leverage of a market, signed like its target")
    max: Mapping[Symbol, Ratio] = Field(
        default={}, validate_default=True, description="highest leverage of a market, signed like its target"
    )
    to: Annotated[BandGoal, chosen(BandGoal)] = Field(
        default=BandGoal.TARGET,
        description='where a trade ends: on the "target", on the band\'s nearer "edge", or a step toward the target ("recenter")',
    )
    speed: Annotated[Ratio, Within(above=0, at_most=1)] | None = Field(
        default=None, validate_default=True, description='fraction of the way to the target that a "recenter" step goes'
    )

    @field_validator("max")
    @classmethod
    def _above_min(cls, highest: Mapping[str, Decimal], info: ValidationInfo) -> Mapping[str, Decimal]:
        lowest = info.data.get("min")
        if lowest is None:
            return highest
        for symbol in (*lowest, *highest):
            if symbol not in highest or symbol not in lowest:
                alone, other = ("min", "max") if symbol in lowest else ("max", "min")
                raise fault(f'needs bands.{other}."{symbol}" beside it: a band has two edges', at=(alone, symbol))
            if not lowest[symbol] < highest[symbol]:
                words = f"but {plain(lowest[symbol])} >= {plain(highest[symbol])}"
                raise fault(f"min < max must hold, {words}: exchange or correct them", at=("max", symbol))
        return highest

    @field_validator("speed")
    @classmethod
    def _of_a_step(cls, speed: Decimal | None, info: ValidationInfo) -> Decimal | None:
        to = info.data.get("to")
        if to is BandGoal.RECENTER and speed is None:
            raise fault('is required where to = "recenter": the fraction of the way to the target that one rebalance goes')
        if to is not None and to is not BandGoal.RECENTER and speed is not None:
            raise fault(f'has no use where to = "{to}": remove it, or set to = "recenter"')
        return speed

    aversion: Annotated[Ratio, Within(above=0, at_most=1000)] | None = Field(
        default=None,
        validate_default=True,
        description='with deadband = "auto": how half the variance of tracking weighs against cost; more is a narrower band',
    )

    @field_validator("aversion")
    @classmethod
    def _of_what_is_worked_out(cls, aversion: Decimal | None, info: ValidationInfo) -> Decimal | None:
        deadband = info.data.get("deadband")
        if deadband == AUTO and aversion is None:
            raise fault('is required where deadband = "auto": such as 1 for little trading, 5, or 20 for close tracking')
        if deadband is not None and deadband != AUTO and aversion is not None:
            raise fault('has no use without deadband = "auto": remove it')
        return aversion


class EmergencySettings(Section):
    """When a fund de-levers at once."""

    max_leverage: Annotated[Ratio, Within(above=0, at_most=EMERGENCY_CEILING)] = Field(
        description="gross leverage that counts as an emergency, multiples of NAV"
    )
    to: Annotated[Ratio, Within(above=0, at_most=EMERGENCY_CEILING)] | None = Field(
        default=None, description="gross leverage to which an emergency takes it, below max_leverage; unset: that of the target"
    )
    check_every: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(hours=24))] = Field(
        default=CHECK_EVERY,
        description="how often leverage is looked at between slots",
        json_schema_extra={"default": "5s"},
    )
    resident_guard: Flag | None = Field(
        default=None,
        description="whether stops rest at the exchange that brake it while Keeper does not run; unset: where it can",
    )

    @field_validator("to")
    @classmethod
    def _below_its_beginning(cls, to: Decimal | None, info: ValidationInfo) -> Decimal | None:
        level = info.data.get("max_leverage")
        if to is not None and level is not None and not to < level:
            raise fault(
                "emergency.to < emergency.max_leverage must hold, or an emergency would begin again where it ends,"
                f" but {plain(to)} >= {plain(level)}: lower it, or leave it out for the gross target leverage"
            )
        return to


def mandate_of(target: Mapping[str, Decimal], bands: BandSettings, emergency: EmergencySettings | None) -> Mandate:
    """What a fund holds."""
    return Mandate(
        targets=dict(target),
        deadband=bands.deadband if isinstance(bands.deadband, Decimal) else ZERO,
        bands={symbol: Band(low, bands.max[symbol]) for symbol, low in bands.min.items()},
        goal=bands.to,
        speed=bands.speed or ONE,
        aversion=bands.aversion,
        emergency_leverage=emergency.max_leverage if emergency else None,
    )


def check_bands(target: Mapping[str, Decimal], bands: BandSettings) -> None:
    """A fault where the bands do not go with ``target``, with the key under ``bands`` to blame."""
    mandate = mandate_of(target, bands, None)
    for symbol in bands.min:
        if symbol not in target:
            raise fault(f"is no market of the target: {did_you_mean(symbol, list(target))}", at=("bands", "min", symbol))
        _check_edges(symbol, target[symbol], mandate.band(symbol))
    if bands.deadband == AUTO:
        _check_worked_out(target, bands)
        return
    if bands.deadband and bands.min.keys() == target.keys():
        raise fault("has no use where every market has min and max: remove it, or them", at=("bands", "deadband"))
    rigid = [symbol for symbol in target if not mandate.band(symbol).has_room]
    if bands.to is not BandGoal.TARGET and rigid:
        raise fault(
            f'"{bands.to}" needs a band around every target, but lower edge < upper edge does not hold for {" and ".join(rigid)}:'
            ' set deadband, or min and max, or to = "target"',
            at=("bands", "to"),
        )


def _check_worked_out(target: Mapping[str, Decimal], bands: BandSettings) -> None:
    at = ("bands", "deadband")
    if len(target) != 1 or bands.min:
        raise fault('"auto" is for funds of one market, without min and max: name a fraction, or min and max of each', at=at)
    if any(multiple in (ZERO, ONE) for multiple in target.values()):
        raise fault('"auto" has no use at a target of 0 or 1, which no price moves a fund away from: name a fraction', at=at)
    if bands.to is not BandGoal.EDGE:
        raise fault(
            f'deadband = "auto" is worked out for trades that end on the edge: set to = "edge", not "{bands.to}"',
            at=("bands", "to"),
        )


def _check_edges(symbol: str, target: Decimal, band: Band) -> None:
    signed = "; edges are signed like the target, a short has negative ones" if target < 0 < band.high else ""
    for key, holds, figure, relation in (
        ("min", band.low <= target, band.low, "min <= target"),
        ("max", target <= band.high, band.high, "target <= max"),
    ):
        if not holds:
            told = f"{plain(figure)} > {plain(target)}" if key == "min" else f"{plain(target)} > {plain(figure)}"
            raise fault(f"{relation} must hold, but {told}: move the edge or the target{signed}", at=("bands", key, symbol))
    key, nearer, relation = ("min", band.low, "0 < min") if target > 0 else ("max", band.high, "max < 0")
    if target and sign(nearer) != sign(target):
        raise fault(
            f"{relation} must hold where the target is {plain(target)}, but it is {plain(nearer)}: a band that reaches"
            " zero would leave the fund without exposure, or on the other side",
            at=("bands", key, symbol),
        )


def check_emergency(target: Mapping[str, Decimal], bands: BandSettings, emergency: EmergencySettings | None) -> None:
    """A fault where what counts as an emergency lies at the target, or inside the bands."""
    mandate = mandate_of(target, bands, emergency)
    level, gross, outer = mandate.emergency, mandate.gross_target, mandate.gross_of_bands
    at = ("emergency", "max_leverage")
    if level is None:
        return
    if emergency is not None and not level > gross:
        raise fault(
            "emergency.max_leverage > gross target leverage must hold,"
            f" but {plain(level)} <= {plain(gross)}: raise it or lower the target",
            at=at,
        )
    if not level >= outer:
        unset = "" if emergency is not None else ", which is what holds where it is not set,"
        raise fault(
            "emergency.max_leverage >= gross leverage on the outer edges of the bands must hold, or it would count as one where"
            f" nothing is due yet, but {plain(level)}{unset} < {plain(outer)}: set it higher, or narrow the bands",
            at=at if emergency is not None else ("bands", *_widest(mandate)),
        )


def _widest(mandate: Mandate) -> tuple[str, ...]:
    """The key under ``bands`` that sets the outermost edge of all."""
    symbol = max(mandate.targets, key=lambda symbol: mandate.band(symbol).outermost)
    if symbol not in mandate.bands:
        return ("deadband",)
    band = mandate.band(symbol)
    return ("max" if band.high == band.outermost else "min", symbol)
