"""When a fund acts by itself: how its section is read, and what must hold between slots and what runs in them."""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from keeper.policy.schedule import (
    CATCH_UP,
    DAY,
    FUNDING_EVERY,
    SETTLING,
    SHORTEST_DAY,
    Calendar,
    Schedule,
    shortest_gap,
)
from keeper.settings.addresses import TIME_OF_DAY_PATTERN, Zone, read_time_of_day
from keeper.settings.feeds import Section
from keeper.settings.masking import display
from keeper.settings.values import Duration, EnvText, Within, duration_text, fault, read_choice

HOUR = timedelta(hours=1)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,2}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_MONTH = 31

T = TypeVar("T")


class Weekday(StrEnum):
    """A day of the week, Monday first."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def one_or_several(read: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """A reader of one value that ``read`` takes, or of an array of them, each once.

    In an environment variable they stand with commas between them.
    """

    def read_each(value: object) -> tuple[T, ...]:
        given = [EnvText(part.strip()) for part in value.split(",")] if isinstance(value, EnvText) else value
        if not isinstance(given, list | tuple):
            return (read(given),)
        if not given:
            raise fault("must not be empty: leave it out, or name one at least")
        found: list[T] = []
        for each in given:
            shown = display(("schedule",), each)
            try:
                one = read(each)
            except PydanticCustomError as error:
                raise fault(str((error.context or {})["remedy"]), value=shown) from None
            if one in found:
                raise fault("stands there twice: name it once", value=shown)
            found.append(one)
        return tuple(found)

    return read_each


def read_month_day(value: object) -> int:
    """A day of the month, from its beginning or (below zero) from its end."""
    number = int(value) if isinstance(value, EnvText) and _WHOLE_NUMBER.fullmatch(value) else value
    if isinstance(number, int) and not isinstance(number, bool) and number and abs(number) <= _LONGEST_MONTH:
        return number
    raise fault("must be a day of the month without quotes, 1 to 31, or -1 (the last day) to -31")


def read_date(value: object) -> date:
    """A date, quoted or as TOML writes one."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise fault('must be a date such as "2026-12-25"')


def _array_of(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}]})


Times = Annotated[
    tuple[time, ...],
    BeforeValidator(one_or_several(read_time_of_day)),
    _array_of({"type": "string", "pattern": TIME_OF_DAY_PATTERN}),
]
Weekdays = Annotated[
    tuple[Weekday, ...],
    BeforeValidator(one_or_several(read_choice(Weekday))),
    _array_of({"type": "string", "enum": list(Weekday)}),
]
MonthDays = Annotated[
    tuple[int, ...],
    BeforeValidator(one_or_several(read_month_day)),
    _array_of({"type": "integer", "minimum": -_LONGEST_MONTH, "maximum": _LONGEST_MONTH}),
]
Dates = Annotated[
    tuple[date, ...],
    BeforeValidator(one_or_several(read_date)),
    _array_of({"type": "string", "format": "date"}),
]


class ScheduleSettings(Section):
    """When a fund acts by itself."""

    at: Times = Field(description='local time of day, "HH:MM", or several: ["00:15", "12:15"]')
    every: Annotated[Duration, Within(at_least=timedelta(minutes=3), at_most=timedelta(hours=12))] | None = Field(
        default=None, description='again and again from at until midnight, such as "4h"; unset: at the times of at alone'
    )
    timezone: Zone = Field(default="UTC", description='IANA time zone, such as "Europe/Berlin"')
    weekdays: Weekdays | None = Field(default=None, description='only on these, such as ["mon", "fri"]; unset: on all')
    month_days: MonthDays | None = Field(
        default=None, description="only on these, such as [1, 15, -1] (-1: the last); unset: on all"
    )
    skip: Dates | None = Field(default=None, description='dates without slots, such as ["2026-12-25"]')
    also: Dates | None = Field(default=None, description="dates with slots, whatever weekdays and month_days say")
    catch_up: Annotated[Duration, Within(at_least=timedelta(seconds=1), at_most=timedelta(hours=20))] = Field(
        default=CATCH_UP,
        description="how late a run may begin, after a pause of this machine or of the exchange; before the next slot",
        json_schema_extra={"default": "6h"},
    )
    jitter: Annotated[Duration, Within(at_least=timedelta(0), at_most=timedelta(hours=20))] = Field(
        default=timedelta(0),
        description="a run begins later by up to this, differently each time; below catch_up",
        json_schema_extra={"default": "0s"},
    )
    after_funding: Annotated[Duration, Within(at_least=timedelta(0), at_most=timedelta(minutes=30))] = Field(
        default=timedelta(0),
        description="a run that would begin within this after an instant of funding waits until it is over, so that NAV has it",
        json_schema_extra={"default": "0s"},
    )
    funding_every: Annotated[Duration, Within(at_least=HOUR, at_most=DAY)] = Field(
        default=FUNDING_EVERY,
        description="from one instant of funding of the fund's markets to the next, counted from midnight UTC",
        json_schema_extra={"default": "8h"},
    )

    @field_validator("every")
    @classmethod
    def _from_one_time_on(cls, every: timedelta | None, info: ValidationInfo) -> timedelta | None:
        at = info.data.get("at")
        if every is None or not at:
            return every
        if every % timedelta(minutes=1):
            raise fault('must be whole minutes, such as "90m"')
        if len(at) > 1:
            raise fault('goes with one time that it begins at: at = "00:00", every = "4h"; or name all times in at')
        if len(_times(at, every)) == 1:
            raise fault(f'must come again before midnight, and at = "{at[0]:%H:%M}" is too late for that: begin earlier')
        return every

    @field_validator("also")
    @classmethod
    def _not_skipped(cls, also: tuple[date, ...] | None, info: ValidationInfo) -> tuple[date, ...] | None:
        for day in also or ():
            if day in (info.data.get("skip") or ()):
                raise fault("stands in skip too: keep one of them", value=f'"{day}"')
        return also

    @field_validator("jitter")
    @classmethod
    def _inside_catch_up(cls, jitter: timedelta, info: ValidationInfo) -> timedelta:
        catch_up = info.data.get("catch_up")
        if catch_up is not None and not jitter < catch_up:
            raise fault(f'must be below catch_up = "{duration_text(catch_up)}", or a day could pass without its run')
        return jitter

    @field_validator("after_funding")
    @classmethod
    def _still_inside_catch_up(cls, after_funding: timedelta, info: ValidationInfo) -> timedelta:
        catch_up, jitter = info.data.get("catch_up"), info.data.get("jitter")
        if catch_up is not None and jitter is not None and not jitter + after_funding < catch_up:
            raise fault(
                "jitter + after_funding < catch_up must hold, or a slot could pass without its run, but"
                f' "{duration_text(jitter)}" + "{duration_text(after_funding)}" >= "{duration_text(catch_up)}":'
                " shorten one of them"
            )
        return after_funding

    @field_validator("funding_every")
    @classmethod
    def _divides_a_day(cls, funding_every: timedelta) -> timedelta:
        if DAY % funding_every:
            raise fault('must divide a day, such as "1h", "4h" or "8h"')
        return funding_every

    def value(self) -> Schedule:
        """The schedule itself."""
        days = Calendar(
            weekdays=frozenset([*Weekday].index(day) for day in self.weekdays or ()),
            month_days=frozenset(self.month_days or ()),
            skip=frozenset(self.skip or ()),
            also=frozenset(self.also or ()),
        )
        return Schedule(
            at=_times(self.at, self.every),
            zone=ZoneInfo(self.timezone),
            calendar=days,
            jitter=self.jitter,
            catch_up=self.catch_up,
            after_funding=self.after_funding,
            funding_every=self.funding_every,
        )

    def fitting(self, horizon: timedelta) -> None:
        """A fault where a run of ``horizon`` could reach into the next slot."""
        at = _times(self.at, self.every)
        gap = shortest_gap(at)
        if len(at) == 1:
            if not self.jitter + self.after_funding + horizon <= SHORTEST_DAY:
                waits = " + schedule.after_funding" if self.after_funding else ""
                raise fault(
                    f"schedule.jitter + execution.horizon{waits} must be at most"
                    f" \"{duration_text(SHORTEST_DAY)}\", or one day's run could reach into the next day's: shorten one of them",
                    at=("execution", "horizon"),
                )
        elif not self.jitter + self.after_funding + horizon + SETTLING <= gap:
            parts = (self.jitter, self.after_funding, horizon, SETTLING)
            sum_of = " + ".join(f'"{duration_text(part)}"' for part in parts)
            raise fault(
                f'jitter + after_funding + execution.horizon + "{duration_text(SETTLING)}" <= time between two slots must hold,'
                f' or a run could reach into the next slot, but {sum_of} > "{duration_text(gap)}": put them further apart, or set'
                " a shorter horizon",
                at=("schedule", self._closest),
            )

    def counted(self, runs_per_hour: int) -> int:
        """How many slots there are within an hour at the most; a fault where that is more than ``runs_per_hour``."""
        gap = shortest_gap(_times(self.at, self.every))
        within = HOUR // gap + 1
        if not within <= runs_per_hour:
            raise fault(
                f"slots within an hour <= breakers.runs_per_hour must hold, or that breaker halts the fund, but {within} >"
                f" {runs_per_hour}: put them further apart, or allow more runs",
                at=("schedule", self._closest),
            )
        return within

    @property
    def _closest(self) -> str:
        """The key that says how close slots are."""
        return "at" if self.every is None else "every"


def _times(at: tuple[time, ...], every: timedelta | None) -> tuple[time, ...]:
    """The local times of day that ``at`` and ``every`` name together, ascending."""
    if every is None:
        return tuple(sorted(at))
    first, step = at[0].hour * 60 + at[0].minute, every // timedelta(minutes=1)
    return tuple(time(minute // 60, minute % 60) for minute in range(first, 24 * 60, step))
