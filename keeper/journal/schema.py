"""The tables, and how a value becomes text in them. Only here is it known how anything is stored.

Decimals are plain text without an exponent, since SQLite would make floats of them; times are ISO 8601 in UTC with six
digits of a second, so that their text sorts as they do; JSON documents are canonical text. Values of the field that can't
be stored exactly are refused, never rounded. ``migrations/`` must build the same tables; a test compares.

Each row of every table but those of the chain itself carries ``event``: the number of the event that brought it in. A
column that a later revision added says in its ``info`` what stands in rows of ``before``.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.exc import DontWrapMixin

from keeper.domain.errors import InvariantViolation, JournalError
from keeper.domain.fund import FundState
from keeper.domain.ledger import EntryKind
from keeper.domain.market import Side
from keeper.domain.order import ChildState
from keeper.domain.run import CommandKind, NavCause, RunStatus

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


metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("fund", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Choice(RunStatus), nullable=False),
    Column("reason", Text, nullable=False),
    Column("plan", Document, nullable=False),
    Column("result", Document),
    Column("started_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("attempts", Integer, nullable=False, server_default="1", info={"before": 1}),
    UniqueConstraint("fund", "trigger", name="one_run_per_trigger"),
)

children = Table(
    "children",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("run", Text, ForeignKey("runs.id"), nullable=False),
    Column("leg", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Choice(Side), nullable=False),
    Column("amount", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("notional", Exact, nullable=False),
    Column("reduce_only", Boolean, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("mid", Exact, nullable=False),
    Column("half_spread", Exact, nullable=False),
    Column("state", Choice(ChildState), nullable=False),
    Column("at", Instant, nullable=False),
    Column("order_id", Text),
    Column("filled", Exact, nullable=False),
    Column("average", Exact),
    Column("reason", Text, nullable=False),
    Column("reduces", Boolean, info={"before": None}),
    UniqueConstraint("run", "leg", "sequence", name="one_child_per_step"),
)
Index("children_by_state", children.c.state)
Index("children_by_time", children.c.at)

fills = Table(
    "fills",
    metadata,
    Column("account", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("trade_id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("client_id", Text, ForeignKey("children.client_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("side", Choice(Side), nullable=False),
    Column("amount", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("fee", Exact, nullable=False),
    Column("fee_asset", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("fills_by_child", fills.c.client_id)

nav_points = Table(
    "nav_points",
    metadata,
    Column("event", Integer, primary_key=True, autoincrement=False),
    Column("fund", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("cause", Choice(NavCause), nullable=False),
    Column("at", Instant, nullable=False),
    Column("nav", Exact, nullable=False),
    Column("currency", Text, nullable=False),
    Column("net_leverage", Exact, nullable=False),
    Column("gross_leverage", Exact, nullable=False),
)
Index("nav_points_by_fund", nav_points.c.fund, nav_points.c.event)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("fund", Text, nullable=False),
    Column("kind", Choice(CommandKind), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("taken_at", Instant),
    Column("ended_at", Instant, info={"before": None}),
    Column("exit_code", Integer, info={"before": None}),
    Column("answer", Text, nullable=False, server_default="", info={"before": ""}),
    Column("approved_jump", Boolean, nullable=False, server_default=false(), info={"before": False}),
    Column("rules", Text, nullable=False, server_default="", info={"before": ""}),
    Column("plan", Document, info={"before": None}),
)
Index("commands_by_taking", commands.c.taken_at)

fund_states = Table(
    "fund_states",
    metadata,
    Column("fund", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("state", Choice(FundState), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant),
    Column("trouble", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default="", info={"before": ""}),
    Column("cleared_at", Instant, info={"before": None}),
)

first_starts = Table(
    "first_starts",
    metadata,
    Column("fund", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("seed", Text, nullable=False),
    Column("since", Instant, nullable=False),
)

settled = Table(
    "settled",
    metadata,
    Column("fund", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("run", Text, nullable=False),
    Column("contracts", Exact, nullable=False),
    Column("at", Instant, nullable=False),
    Column("account", Text, nullable=False, server_default="", info={"before": ""}),
)

pins = Table(
    "pins",
    metadata,
    Column("account", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("identity", Document, nullable=False),
    Column("at", Instant, nullable=False),
)

book_entries = Table(
    "book_entries",
    metadata,
    Column("fund", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("kind", Choice(EntryKind), nullable=False),
    Column("at", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("equity", Exact, nullable=False),
    Column("party", Text, nullable=False),
    Column("units", Exact, nullable=False),
    Column("amount", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("in_transit", Boolean, nullable=False),
    Column("ratio", Exact, nullable=False),
    Column("about", Text, nullable=False),
    Column("terms", Document),
    Column("reason", Text, nullable=False),
)
Index("book_entries_by_event", book_entries.c.fund, book_entries.c.event)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fund", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("payload", Document, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
Index("events_by_run", events.c.run, events.c.seq)
Index("events_by_kind", events.c.kind, events.c.fund, events.c.seq)

chain_head = Table(
    "chain_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
