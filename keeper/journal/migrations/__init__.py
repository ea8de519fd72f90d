"""How the tables came to be: one Alembic revision per change. Imported only to create or upgrade a journal.

Alembic finds the revisions by path. No logging is set up here.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from keeper.domain.errors import JournalError
from keeper.journal.failures import RESTORE


def configured(connection: Connection | None = None) -> Config:
    """Alembic's settings for these revisions, to run on ``connection``."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def run(connection: Connection) -> None:
    """Bring the tables to the newest revision, in the transaction of ``connection``. JournalError if there is no way."""
    try:
        command.upgrade(configured(connection), "head")
    except CommandError as error:
        message = f"{error}: {RESTORE}, or move the journal away"
        raise JournalError(message) from error
