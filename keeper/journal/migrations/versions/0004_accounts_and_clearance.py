"""Whose holdings were recorded, since when breakers count anew, which orders only reduce, and a way to the events of a kind."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go from revision 0003 to this one; the rows that are there stay as they are."""
    op.add_column("fund_states", sa.Column("cleared_at", sa.Text))
    op.add_column("settled", sa.Column("account", sa.Text, nullable=False, server_default=""))
    op.add_column("children", sa.Column("reduces", sa.Boolean))
    op.create_index("events_by_kind", "events", ["kind", "fund", "seq"])
