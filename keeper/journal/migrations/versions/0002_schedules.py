"""What a daemon keeps: attempts of a run, answers to commands, the state of a fund, and its first start."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go from revision 0001 to this one; the rows that are there stay as they are."""
    op.add_column("runs", sa.Column("attempts", sa.Integer, nullable=False, server_default="1"))
    op.add_column("commands", sa.Column("ended_at", sa.Text))
    op.add_column("commands", sa.Column("exit_code", sa.Integer))
    op.add_column("commands", sa.Column("answer", sa.Text, nullable=False, server_default=""))
    op.create_index("commands_by_taking", "commands", ["taken_at"])
    op.create_table(
        "fund_states",
        sa.Column("fund", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text),
        sa.Column("trouble", sa.Text, nullable=False),
    )
    op.create_table(
        "first_starts",
        sa.Column("fund", sa.Text, primary_key=True),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
    )
