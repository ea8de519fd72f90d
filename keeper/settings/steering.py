"""Targets that a file or a command names, slot by slot, as they are configured: from where, and what they may be."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema, field_validator

from keeper.domain.market import MarketKind
from keeper.domain.numbers import ONE, ZERO, exact, plain
from keeper.policy.steering import APPROVAL, Steering
from keeper.settings.bands import AUTO, BandSettings, EmergencySettings
from keeper.settings.feeds import Section
from keeper.settings.limits import LimitSettings
from keeper.settings.symbols import Symbol, symbol_parts
from keeper.settings.values import (
    PLAIN_PATTERN,
    Duration,
    EnvText,
    Ratio,
    Text,
    Within,
    did_you_mean,
    fault,
    read_number,
    read_text,
)

Pair = tuple[Decimal, Decimal]
_TWO = 2
_DAY = timedelta(hours=24)


def read_bounds(value: object) -> Pair:
    """The lowest and the highest multiple of NAV."""
    if not isinstance(value, list | tuple) or len(value) != _TWO:
        raise fault("must be the lowest and the highest multiple of NAV, such as [-1, 3]")
    low, high = (read_number(each) for each in value)
    if not low < high:
        raise fault(f"lowest < highest must hold, but {plain(low)} >= {plain(high)}: exchange or correct them")
    return low, high


def read_command(value: object) -> tuple[str, ...]:
    """A program and its arguments; in an environment variable with commas between them."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, EnvText) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise fault(
            'must be an array of a program and its arguments, such as ["/usr/local/bin/signal", "--btc"]: no shell reads it'
        )
    words = tuple(read_text(part) for part in parts)
    if not words[0].startswith("/"):
        raise fault("must begin with the whole path of a program, from / on: nothing is looked for in PATH")
    return words


_NUMBER = {"anyOf": [{"type": "string", "pattern": PLAIN_PATTERN}, {"type": "number"}]}
_Listed: Callable[[Pair], list[str]] = lambda pair: [plain(each) for each in pair]  # noqa: E731 - a name for the serializer
Bounds = Annotated[
    Pair,
    BeforeValidator(read_bounds),
    PlainSerializer(_Listed),
    WithJsonSchema({"type": "array", "items": _NUMBER, "minItems": _TWO, "maxItems": _TWO}),
]
CommandWords = Annotated[
    tuple[str, ...],
    BeforeValidator(read_command),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]


class SteeringSettings(Section):
    """Who names the targets, and what they may be."""

    file: Text | None = Field(
        default=None, description="read at each slot, TOML or JSON; a relative path starts at the configuration file"
    )
    command: CommandWords | None = Field(
        default=None,
        description='run at each slot, without a shell, in place of a file, such as ["/usr/local/bin/signal", "--btc"]',
    )
    timeout: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(minutes=5))] = Field(
        default=timedelta(seconds=10), description="how long the command may take", json_schema_extra={"default": "10s"}
    )
    bounds: Mapping[Symbol, Bounds] = Field(
        default={},
        validate_default=True,
        description="lowest and highest target of a market, such as [-1, 3]; of each",
    )
    max_jump: Annotated[Ratio, Within(above=0, at_most=20)] = Field(
        default=ONE, description="how far targets may be from the last ones before `keeper approve` is needed, multiples of NAV"
    )
    max_age: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(days=366))] | None = Field(
        default=None, description="how long ago they may have been made up; unset: however long"
    )
    approval: Annotated[Duration, Within(at_least=timedelta(minutes=1), at_most=timedelta(days=31))] = Field(
        default=APPROVAL, description="how long an approval holds", json_schema_extra={"default": "24h"}
    )

    @field_validator("command")
    @classmethod
    def _in_place_of_a_file(cls, command: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if command is not None and info.data.get("file") is not None:
            raise fault("stands beside file: keep one of them")
        return command

    @field_validator("bounds")
    @classmethod
    def _of_a_source(cls, bounds: Mapping[str, Pair], info: ValidationInfo) -> Mapping[str, Pair]:
        if "file" not in info.data or "command" not in info.data:
            return bounds
        is_there = info.data["file"] is not None or info.data["command"] is not None
        if is_there and not bounds:
            raise fault("is required beside file or command: the lowest and the highest target of each market")
        if bounds and not is_there:
            raise fault("has no use without a file or a command that names targets: name one, or remove it")
        return bounds

    @property
    def is_there(self) -> bool:
        """Whether targets are named elsewhere."""
        return bool(self.bounds)

    @property
    @exact
    def gross(self) -> Decimal:
        """The largest gross leverage that the bounds allow, multiple of NAV."""
        return sum((max(abs(low), abs(high)) for low, high in self.bounds.values()), ZERO)

    def value(self, ends_at: Decimal | None) -> Steering | None:
        """What the targets may be; None where the configuration alone names them. ends_at: where an emergency ends, if set."""
        if not self.is_there:
            return None
        return Steering(
            bounds=dict(self.bounds), max_jump=self.max_jump, max_age=self.max_age, approval=self.approval, ends_at=ends_at
        )


def check_steering(
    steering: SteeringSettings,
    target: Mapping[str, Decimal],
    bands: BandSettings,
    emergency: EmergencySettings | None,
    limits: LimitSettings,
) -> None:
    """A fault where targets within the bounds would not go with the rest of the mandate."""
    for symbol in steering.bounds:
        if symbol not in target:
            raise fault(f"is no market of the target: {did_you_mean(symbol, list(target))}", at=("target_from", "bounds", symbol))
    for symbol, multiple in target.items() if steering.is_there else ():
        _check_bounds(symbol, multiple, steering)
    if not steering.is_there:
        return
    for key, is_set in (("min", bool(bands.min)), ("deadband", bands.deadband == AUTO)):
        if is_set:
            what = "edges stay where they are while the target moves" if key == "min" else "it is worked out for one target"
            raise fault(f"does not go with target_from, since {what}: set a deadband, a fraction", at=("bands", key))
    for at, level, strict in (
        (("emergency", "max_leverage"), emergency.max_leverage if emergency else None, True),
        (("limits", "max_leverage"), limits.max_leverage, False),
    ):
        if level is not None and not (level > steering.gross or (level == steering.gross and not strict)):
            sign = ">" if strict else ">="
            raise fault(
                f"{'.'.join(at)} {sign} gross leverage at the edges of target_from.bounds must hold, but {plain(level)} is not"
                f" {sign} {plain(steering.gross)}: raise it, or narrow the bounds",
                at=at,
            )
    if not steering.max_jump <= limits.max_target_jump:
        raise fault(
            f"target_from.max_jump <= limits.max_target_jump must hold, but {plain(steering.max_jump)} >"
            f" {plain(limits.max_target_jump)}: lower it or raise that limit",
            at=("target_from", "max_jump"),
        )


def _check_bounds(symbol: str, multiple: Decimal, steering: SteeringSettings) -> None:
    if symbol not in steering.bounds:
        raise fault(f'needs a line for "{symbol}" as well: each market has bounds', at=("target_from", "bounds"))
    low, high = steering.bounds[symbol]
    at = ("target_from", "bounds", symbol)
    if not low <= multiple <= high:
        raise fault(
            f"lowest <= target <= highest must hold, but {plain(multiple)} is not within {plain(low)} to {plain(high)}: move one",
            at=at,
        )
    if symbol_parts(symbol).kind is MarketKind.SPOT and low < 0:
        raise fault(
            f"lowest >= 0 must hold on spot, where nothing is sold that is not held, but {plain(low)} < 0: raise it", at=at
        )
