"""How single values are read: numbers, durations, words, names.

Every refusal is a ``fault`` whose words say what is allowed, since that is all an operator sees. Nothing here knows a
section, a file or a variable, and nothing here reads a secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, TypeVar, cast

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from keeper.domain.numbers import parse_plain, plain

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_NAME = re.compile(r"[a-z0-9_]+")
PLAIN_PATTERN = r"^[+-]?[0-9]{1,30}(\.[0-9]{1,30})?$"

C = TypeVar("C", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FloatText:
    """A float of TOML or JSON exactly as it was written; no binary number ever stands in for it."""

    text: str


class EnvText(str):
    """An environment variable's text. It can't say its type, so it is read as whatever its key holds."""

    __slots__ = ()


def fault(remedy: str, *, at: tuple[str, ...] | None = None, value: str | None = None) -> PydanticCustomError:
    """An error in the operator's words.

    at: the key to blame, relative to the section, where it is not the one being read; value: what to show for it.
    """
    return PydanticCustomError("keeper", "{remedy}", {"remedy": remedy, "at": at, "value": value})


def nearest(word: str, known: list[str]) -> str | None:
    """The one of ``known`` that ``word`` was probably meant to be, ignoring case."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: list[str]) -> str:
    """``did you mean "X"?``, or every allowed word when none is near."""
    near = nearest(word, known)
    if near is not None:
        return f'did you mean "{near}"?'
    return "allowed: " + ", ".join(f'"{candidate}"' for candidate in known) if known else "there is none"


def read_number(value: object) -> Decimal:
    """A number written plainly, quoted or not. Booleans, exponents, underscores, nan and inf are faults."""
    refused = fault("must be a plain decimal number such as 3, -1.5 or 0.001: no underscore, exponent, nan or inf")
    if isinstance(value, Decimal):
        if value.is_finite():
            return value
        raise refused
    if isinstance(value, bool):
        raise refused
    if isinstance(value, int):
        text = str(value)
    elif isinstance(value, FloatText):
        text = value.text
    elif isinstance(value, str):
        text = value
    else:
        raise refused
    try:
        return parse_plain(text)
    except ValueError:
        raise refused from None


def read_whole(value: object) -> int:
    """A whole number without quotes, or the digits of an environment variable."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, EnvText) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    raise fault("must be a whole number without quotes, such as 12")


def read_flag(value: object) -> bool:
    """A yes or no: true or false without quotes."""
    if isinstance(value, bool):
        return value
    if isinstance(value, EnvText) and value in ("true", "false"):
        return value == "true"
    raise fault("must be true or false, without quotes")


def read_text(value: object) -> str:
    """Text that is not empty and can be written down: an environment variable may hold bytes that are none."""
    if isinstance(value, str) and value.strip():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise fault("must be UTF-8 text") from None
        return str(value)
    raise fault('must be text in quotes, such as "..."')


def read_name(value: object) -> str:
    """A name of a venue or a fund."""
    text = read_text(value)
    if _NAME.fullmatch(text):
        return text
    near = re.sub(r"[^a-z0-9_]+", "_", text.lower())
    raise fault(f'names hold lower-case letters, digits and underscores only, such as "{near}"')


def read_duration(value: object) -> timedelta:
    """A duration such as "90s", "15m", "6h" or "1h30m"."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise fault('must be a duration in quotes such as "90s", "15m", "6h" or "1h30m"')
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def read_instant(value: object) -> datetime:
    """A time with its zone, in quotes or as TOML writes one; in UTC. A time without a zone is a fault."""
    refused = fault('must be a time with its zone, such as "2024-08-08T23:55:00Z"')
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise refused from None
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise refused
    return at.astimezone(UTC)


def instant_text(value: datetime) -> str:
    """An aware time as ``read_instant`` takes it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration_text(value: timedelta) -> str:
    """The shortest way to write ``value`` (whole seconds): "1h30m"."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count]
    return "".join(parts) or "0s"


def read_choice(choices: type[C]) -> Callable[[object], C]:
    """A reader of one of the words of ``choices``."""
    words = [choice.value for choice in choices]

    def read(value: object) -> C:
        if isinstance(value, str) and str(value) in words:
            return choices(str(value))
        allowed = " or ".join(f'"{word}"' for word in words)
        near = nearest(value, words) if isinstance(value, str) else None
        raise fault(f"must be {allowed}" + (f'; did you mean "{near}"?' if near else ""))

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Bounds of a number or a duration, as an annotation. Written so that what can't be compared is refused."""

    above: object = None
    at_least: object = None
    below: object = None
    at_most: object = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        bounds = (
            ("exclusiveMinimum", self.above),
            ("minimum", self.at_least),
            ("exclusiveMaximum", self.below),
            ("maximum", self.at_most),
        )
        numbers = {word: int(bound) for word, bound in bounds if isinstance(bound, int | Decimal)}
        forms = [{**form, **numbers} if form.get("type") == "number" else form for form in described.get("anyOf", ())]
        if forms:
            return {**described, "anyOf": forms}
        return {**described, **numbers} if described.get("type") == "integer" else described

    def check(self, value: Any) -> Any:
        """``value`` when it lies inside, a fault otherwise."""
        inside = (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )
        if not inside:
            raise fault(f"must be {self}")
        return value

    def __str__(self) -> str:
        bounds = (("above", self.above), ("at least", self.at_least), ("below", self.below), ("at most", self.at_most))
        return " and ".join(f"{word} {shown(bound)}" for word, bound in bounds if bound is not None)


def shown(value: object) -> str:
    """A bound or a figure as an operator would write it."""
    if isinstance(value, timedelta):
        return f'"{duration_text(value)}"'
    return plain(value) if isinstance(value, Decimal) else str(value)


def _number_schema(description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": PLAIN_PATTERN}, {"type": "number"}], "description": description},
    )


_PLAIN_TEXT = PlainSerializer(plain, return_type=str)
Amount = Annotated[Decimal, BeforeValidator(read_number), _PLAIN_TEXT, _number_schema("money or an amount, quoted or not")]
Ratio = Annotated[Decimal, BeforeValidator(read_number), _PLAIN_TEXT, _number_schema("a plain decimal number")]
Whole = Annotated[int, BeforeValidator(read_whole)]
Flag = Annotated[bool, BeforeValidator(read_flag)]
Text = Annotated[str, BeforeValidator(read_text)]
Name = Annotated[str, BeforeValidator(read_name), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9_]+$"})]
Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(read_instant),
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def chosen(choices: type[C]) -> BeforeValidator:
    """An annotation that reads one of ``choices``."""
    return BeforeValidator(cast("Callable[[Any], Any]", read_choice(choices)))
