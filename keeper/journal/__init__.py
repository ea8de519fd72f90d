"""The durable record, on SQLAlchemy Core.

Reading order: ``columns`` and ``schema`` (the tables), ``statements`` (how they are asked), ``events`` (the chain that every
write extends), ``runs``, ``children``, ``nav``, ``books``, ``postings``, ``commands``, ``funds`` (one subject each: rows and
their event in one transaction), ``audit`` (whether it is what was written), ``database`` on ``connections`` (and
``failures``: what to do about theirs), ``files`` (whether it is still the same file), ``remembered`` (where the chain ended
last), ``writing`` (what shares a commit), ``soundness`` (whether it may be used), ``store`` (all of it as the port
``Journal``), ``backup`` (copies), ``lock`` (one trading process per account).
"""

from keeper.journal.database import directory_of, exists
from keeper.journal.lock import AccountLock, is_held
from keeper.journal.soundness import upgrade
from keeper.journal.store import Mode, SqlJournal

__all__ = ["AccountLock", "Mode", "SqlJournal", "directory_of", "exists", "is_held", "upgrade"]
