"""The tables. How a value becomes text in them is in ``columns``. ``migrations/`` must build the same ones; a test compares.

Each row of every table but those of the chain itself carries ``event``: the number of the event that brought it in. A
column that a later revision added says in its ``info`` what stands in rows of ``before``.
"""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from keeper.domain.fund import FundState
from keeper.domain.ledger import EntryKind
from keeper.domain.market import Side
from keeper.domain.order import ChildState
from keeper.domain.run import CommandKind, NavCause, RunStatus
from keeper.domain.statement import PostingKind
from keeper.journal.columns import Choice, Document, Exact, Instant

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
    Column("trigger", Exact, info={"before": None}),
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
    Column("exposures", Document, info={"before": None}),
    Column("prices", Document, info={"before": None}),
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

postings = Table(
    "postings",
    metadata,
    Column("account", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("event", Integer, nullable=False),
    Column("fund", Text, nullable=False),
    Column("kind", Choice(PostingKind), nullable=False),
    Column("at", Instant, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", Exact, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("value", Exact),
    Column("entry", Text, nullable=False),
)
Index("postings_by_time", postings.c.fund, postings.c.at)

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
