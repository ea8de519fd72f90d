"""One field of one answer of an exchange turned into garbage, chosen by numbers, and a clock that stands meanwhile."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMERIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NO_NUMBERS: list[Any] = [None, True, False, "", " ", "NaN", "-nan", "sNaN", "inf", "-Infinity", "1e999999", "0x1F", "1_000", "١٢"]
NO_NUMBERS += ["1,5", "--1", [], {}, ["1"], {"value": "1"}, float("nan"), float("inf")]
NO_WORDS: list[Any] = [None, True, 5, 5.5, "", " ", [], {}, ["x"]]
NO_SWITCHES: list[Any] = [None, "", "true", "yes", [], {}, 2]


class StillClock:
    """A clock that stands at noon; waiting takes no time."""

    def now(self) -> datetime:
        return NOON

    async def sleep_until(self, at: datetime) -> None:
        """At once."""


@dataclass(slots=True)
class Spoiler:
    """Puts garbage into one field of an answer. where, what: chosen by number among the answer's fields; text: more garbage."""

    where: int
    what: int
    text: str
    spoilt: list[str] = field(default_factory=list)

    def __call__(self, reply: Any) -> Any:
        damaged = copy.deepcopy(reply)
        fields = list(_fields(damaged, ""))
        if not fields:
            return damaged
        path, holder, key = fields[self.where % len(fields)]
        garbage = [*_garbage(holder[key]), *([self.text] if _is_number(holder[key]) and not _is_number(self.text) else [])]
        choice = self.what % (len(garbage) + isinstance(holder, dict))
        if choice == len(garbage):
            del holder[key]
            self.spoilt.append(f"no {path}")
        else:
            holder[key] = garbage[choice]
            self.spoilt.append(f"{path} = {garbage[choice]!r}")
        return damaged


def _fields(message: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Every field of an answer: path, what holds it, and its key there."""
    pairs = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for key, value in list(pairs):
        yield f"{path}.{key}", message, key
        yield from _fields(value, f"{path}.{key}")


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and bool(NUMERIC.fullmatch(str(value)))


def _garbage(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return NO_SWITCHES
    if _is_number(value):
        return NO_NUMBERS
    if isinstance(value, str):
        return NO_WORDS
    return [None, "", "x", 7, True, {} if isinstance(value, list) else [], [None], [[]], [{}], {"x": 1}]
