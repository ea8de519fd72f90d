"""How a value becomes text in the journal's tables, and a value again. Only here is it known how anything is stored.

Decimals are plain text without an exponent, since SQLite would make floats of them; times are ISO 8601 in UTC with six
digits of a second, so that their text sorts as they do; JSON documents are canonical text. Values of the field that can't
be stored exactly are refused, never rounded.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, cast

from sqlalchemy import Dialect, Text, TypeDecorator
from sqlalchemy.exc import DontWrapMixin

from keeper.domain.errors import InvariantViolation, JournalError

E = TypeVar("E", bound=StrEnum)
_EXACT = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Unstorable(InvariantViolation, DontWrapMixin):
    """A value of the wrong type, naive or not finite, was about to be written."""


class Unreadable(JournalError, DontWrapMixin):
    """What stands in the database is not what Keeper writes there."""


def number_text(value: object) -> str:
    """A finite Decimal as text that reads back as the same number. Unstorable for anything else, floats included."""
    if not isinstance(value, Decimal) or not value.is_finite():
        message = f"{value!r} is no finite Decimal"
        raise Unstorable(message)
    return format(value, "f")


def instant_text(value: object) -> str:
    """An aware time as text in UTC. Unstorable for a naive one."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        message = f"{value!r} is no aware time"
        raise Unstorable(message)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def plain_value(value: object) -> object:
    """``value`` in JSON's own types: Decimals and times as the text they are stored as. Unstorable if it has none."""
    plain: object
    match value:
        case None | bool() | int():
            plain = value
        case float() if math.isfinite(value):
            plain = value
        case str():
            plain = str(value)  # a member of a StrEnum too
        case Decimal():
            plain = number_text(value)
        case datetime():
            plain = instant_text(value)
        case Mapping() if all(isinstance(key, str) for key in value):
            plain = {str(key): plain_value(item) for key, item in value.items()}
        case list() | tuple():
            plain = [plain_value(item) for item in value]
        case _:
            message = f"{value!r} can't be stored as JSON"
            raise Unstorable(message)
    return plain


def canonical(value: object) -> str:
    """``value`` as JSON text: one text for equal values, ASCII only, keys sorted."""
    return json.dumps(plain_value(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


class Exact(TypeDecorator[Decimal]):
    """A finite Decimal."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """The text to store."""
        del dialect
        return None if value is None else number_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """The number that stands there."""
        del dialect
        if value is None:
            return None
        if not isinstance(value, str) or not _EXACT.fullmatch(value):
            raise _unreadable(value, "a number")
        return Decimal(value)


class Instant(TypeDecorator[datetime]):
    """An aware time."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """The text to store."""
        del dialect
        return None if value is None else instant_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The time that stands there, aware UTC."""
        del dialect
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise _unreadable(value, "a time") from error
        if at.tzinfo is None:
            raise _unreadable(value, "a time with its zone")
        return at.astimezone(UTC)


class Document(TypeDecorator[Mapping[str, object]]):
    """A JSON object; its Decimals and times come back as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, object] | None, dialect: Dialect) -> str | None:
        """The text to store."""
        del dialect
        return None if value is None else canonical(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Mapping[str, object] | None:
        """The object that stands there."""
        del dialect
        if value is None:
            return None
        try:
            document = json.loads(value)
        except (TypeError, ValueError) as error:
            raise _unreadable(value, "JSON") from error
        if not isinstance(document, dict):
            raise _unreadable(value, "a JSON object")
        return cast("dict[str, object]", document)


class Choice(TypeDecorator[E]):
    """One of the values of a StrEnum."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """The text to store."""
        del dialect
        if value is not None and not isinstance(value, self.kind):
            message = f"{value!r} is no {self.kind.__name__}"
            raise Unstorable(message)
        return value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        """The value that stands there."""
        del dialect
        try:
            return None if value is None else self.kind(value)
        except ValueError as error:
            raise _unreadable(value, f"a {self.kind.__name__}") from error


def _unreadable(value: object, wanted: str) -> Unreadable:
    return Unreadable(
        f"the journal holds {value!r} where {wanted} belongs: run `keeper db verify`, and trade no more until it passes"
    )
