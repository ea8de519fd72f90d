"""The mark that a stop waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Go from revision 0006 to this one; the rows that are there stay as they are."""
    op.add_column("children", sa.Column("trigger", sa.Text))
