"""What the gate and recovery compare with: by which breaker a fund was stopped, what it held at rest, what its markets are.

And what a command was asked under.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go from revision 0002 to this one; the rows that are there stay as they are."""
    op.add_column("fund_states", sa.Column("cause", sa.Text, nullable=False, server_default=""))
    op.add_column("commands", sa.Column("approved_jump", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("commands", sa.Column("rules", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "settled",
        sa.Column("fund", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("contracts", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "pins",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
