"""The written plan that a command asks to carry out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go from revision 0004 to this one; the rows that are there stay as they are."""
    op.add_column("commands", sa.Column("plan", sa.Text))
