"""The revisions build the tables that the code uses, and an existing journal opens without Alembic."""

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from keeper.journal import database, migrations, upgrade
from keeper.journal.schema import metadata
from tests.fakes.tampering import ask, write_history


def test_the_revisions_build_the_tables_of_the_schema(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/keeper.db")
    engine = create_engine(f"sqlite:///{tmp_path}/keeper.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        metadata_engine = create_engine("sqlite://")
        with metadata_engine.connect() as other:
            metadata.create_all(other)
            query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name"
            assert connection.exec_driver_sql(query).all() == other.exec_driver_sql(query).all()
        metadata_engine.dispose()
    engine.dispose()


def test_the_newest_revision_is_the_one_that_the_code_asks_for() -> None:
    assert ScriptDirectory.from_config(migrations.configured()).get_heads() == [database.HEAD]


def test_a_new_journal_starts_with_an_empty_chain(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/keeper.db")
    assert ask(tmp_path / "keeper.db", "SELECT * FROM chain_head") == [(1, 0, "0" * 64)]


def test_no_table_needs_sqlite() -> None:
    for table in metadata.sorted_tables:
        words = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        assert "SERIAL" not in words


def test_a_current_journal_opens_without_alembic_and_says_nothing(tmp_path: Path) -> None:
    write_history(tmp_path / "keeper.db")
    code = """
import asyncio, logging, sys
logging.basicConfig(level=logging.INFO)
from keeper.journal import Mode, SqlJournal, exists
async def main():
    url = sys.argv[1]
    assert exists(url)
    for mode in Mode:
        journal = SqlJournal.open(url, mode=mode)
        assert len(await journal.runs()) == 1
        await journal.close()
asyncio.run(main())
print([name for name in ("alembic", "ccxt", "apscheduler", "mako") if name in sys.modules])
SqlJournal.open(url=sys.argv[1] + "2", mode=Mode.WRITER)
print("alembic" in sys.modules)
"""
    arguments = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/keeper.db"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert done.stdout.splitlines() == ["[]", "True"]
    assert done.stderr == ""
