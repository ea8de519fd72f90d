"""What the venue's own ledger told, and what each NAV point was made of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Go from revision 0007 to this one; the rows that are there stay as they are."""
    op.add_column("nav_points", sa.Column("exposures", sa.Text))
    op.add_column("nav_points", sa.Column("prices", sa.Text))
    op.create_table(
        "postings",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("fund", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("value", sa.Text),
        sa.Column("entry", sa.Text, nullable=False),
    )
    op.create_index("postings_by_time", "postings", ["fund", "at"])
