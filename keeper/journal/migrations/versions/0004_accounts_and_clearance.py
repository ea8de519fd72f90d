"""Whose holdings were recorded, since when breakers count anew, and a way to the events of one kind."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go from revision 0003 to this one; the rows that are there stay as they are."""
    op.add_column("fund_states", sa.Column("cleared_at", sa.Text))
    op.add_column("settled", sa.Column("account", sa.Text, nullable=False, server_default=""))
    op.create_index("events_by_kind", "events", ["kind", "fund", "seq"])
