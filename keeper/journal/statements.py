"""Statements that are run time and again: compiled once, then handed to the driver as they are.

Run by SQLAlchemy itself each would take several times as long, and a child waits for a dozen of them. What they are made of
is still its Core: columns know how their values are stored, and the dialect how a parameter is written.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Insert, Select, TableClause, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

Clause = Select[*tuple[Any, ...]] | Insert | Update
Row = dict[str, Any]
"""What stands in a row, by column."""
_Coding = Callable[[Any], Any] | None


class Statement:
    """One statement, with ``bindparam``s where values go that are not a column's. Raises DBAPIError."""

    def __init__(self, clause: Clause) -> None:
        self._clause = clause
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def all(self, connection: Connection, **values: object) -> list[Row]:
        """The rows found."""
        compiled = self._for(connection, values)
        return [compiled.decoded(row) for row in compiled.run(connection, values)[0]]

    def one(self, connection: Connection, **values: object) -> Row | None:
        """The first row found."""
        return next(iter(self.all(connection, **values)), None)

    def run(self, connection: Connection, **values: object) -> int:
        """Insert or update; how many rows that met."""
        return self._for(connection, values).run(connection, values)[1]

    def _for(self, connection: Connection, values: Mapping[str, object]) -> "_Compiled":
        key = connection.dialect.name, tuple(values)
        if key not in self._compiled:
            self._compiled[key] = _Compiled(self._clause, connection.dialect, values)
        return self._compiled[key]


class _Compiled:
    """A statement in the words of one dialect, for values of certain names."""

    def __init__(self, clause: Clause, dialect: Dialect, names: Collection[str]) -> None:
        changed = [name for name in names if name in _table(clause).columns] if not isinstance(clause, Select) else None
        compiled: Any = clause.compile(dialect=dialect, column_keys=changed)
        self._text = str(compiled)
        self._positional: bool = compiled.positional
        self._parameters = [
            (name, _writer(compiled.binds[name].type, dialect)) for name in (compiled.positiontup or compiled.binds)
        ]
        fixed = compiled.construct_params(dict.fromkeys(names))
        self._fixed = {name: value for name, value in fixed.items() if name not in names}
        columns = clause.selected_columns if isinstance(clause, Select) else ()
        self._columns = [(str(column.key), _reader(column.type, dialect)) for column in columns]
        self._errors: Any = dialect.loaded_dbapi.Error

    def run(self, connection: Connection, values: Mapping[str, object]) -> tuple[Sequence[Any], int]:
        """The rows found, as the driver gives them, and how many were met."""
        given = {**self._fixed, **values}
        coded = [given[name] if code is None else code(given[name]) for name, code in self._parameters]
        told = coded if self._positional else {name: value for (name, _), value in zip(self._parameters, coded, strict=True)}
        try:
            cursor = connection.connection.cursor()
            cursor.execute(self._text, told)
            return cursor.fetchall() if self._columns else (), cursor.rowcount
        except self._errors as error:
            raise DBAPIError.instance(self._text, None, error, self._errors) from error

    def decoded(self, row: tuple[Any, ...]) -> Row:
        """What the driver found, as values of the field."""
        return {name: value if code is None else code(value) for (name, code), value in zip(self._columns, row, strict=True)}


def _table(clause: Insert | Update) -> TableClause:
    return cast("TableClause", clause.table)


def _writer(kind: TypeEngine[Any], dialect: Dialect) -> _Coding:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> _Coding:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
