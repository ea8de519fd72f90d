"""What Alembic runs: the revisions, on the connection and inside the transaction that the caller brings.

No configuration file and no logging is set up here. To write a revision: ``alembic revision`` with this directory as
``script_location`` and numbers counting on from the last (``--rev-id``), since Keeper compares them.
"""

from alembic import context

from keeper.journal.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
