"""Whether a journal may be used: its tables made or brought to this version, and its end the one that was kept here."""

from keeper.domain.errors import JournalError
from keeper.journal import audit, database
from keeper.journal.failures import DAMAGED


def upgrade(url: str) -> None:
    """Make the journal at ``url``, or bring it to this version's tables. JournalError when it is newer, damaged or no journal."""
    base = database.Database(url, writes=True)
    try:
        base.upgrade()
        base.check_structure()
        if faults := base.read_as_it_stands(audit.verify):
            message = f"{base.where}: its tables are of this version, but its chain is broken at event {faults[0].seq}"
            raise JournalError(f"{message} ({faults[0].what}): {DAMAGED}")
        base.check_chain()
        base.check_end()
    finally:
        base.close()


def doubt(base: database.Database, *, tolerant: bool) -> str:
    """Why the journal may not be the one that was kept here; empty where it goes through all that is known.

    JournalError instead, unless whoever asks is ``tolerant`` of it.
    """
    try:
        base.check_end()
    except JournalError as error:
        if not tolerant:
            raise
        return str(error)
    return ""
