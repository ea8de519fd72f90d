"""The books of a fund: units issued and redeemed, fees paid, consolidations."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Go from revision 0005 to this one; the rows that are there stay as they are."""
    op.create_table(
        "book_entries",
        sa.Column("fund", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("equity", sa.Text, nullable=False),
        sa.Column("party", sa.Text, nullable=False),
        sa.Column("units", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("price", sa.Text, nullable=False),
        sa.Column("in_transit", sa.Boolean, nullable=False),
        sa.Column("ratio", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("terms", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("book_entries_by_event", "book_entries", ["fund", "event"])
