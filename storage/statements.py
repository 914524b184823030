"""Statements that are compiled once per dialect: the order path runs a handful per transaction."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

Insert = sqlite.Insert | postgresql.Insert
_INSERTS: dict[str, Callable[[Table], Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


class Statement:
    """A statement with named values, run as the driver's own text (measured: a third of the time).

    Values are int, str, bytes or None: nothing that a dialect would have to convert.
    """

    def __init__(self, build: Callable[[str], Executable]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def run(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Execute once."""
        sql, names, constants = self._for(connection.dialect)
        values |= constants
        return connection.exec_driver_sql(sql, tuple(values[name] for name in names))

    def row(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """Execute once and return the first row as plain values."""
        return next(iter(self.rows(connection, **values)), None)

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Execute once and return every row as plain values."""
        sql, names, constants = self._for(connection.dialect)
        values |= constants
        parameters = tuple(values[name] for name in names)
        if _is_direct(connection):
            found: list[tuple[Any, ...]] = driver(connection).execute(sql, parameters).fetchall()
            return found
        return [tuple(row) for row in connection.exec_driver_sql(sql, parameters)]

    def value(self, connection: Connection, **values: Any) -> Any:
        """Execute once and return the first value of the first row, None without one."""
        found = self.row(connection, **values)
        return None if found is None else found[0]

    def change(self, connection: Connection, **values: Any) -> None:
        """Execute once, for its effect."""
        self.change_all(connection, (values,))

    def change_all(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Execute once per row of values, for the effect."""
        sql, names, constants = self._for(connection.dialect)
        if constants:
            rows = [row | constants for row in rows]
        parameters = [tuple(row[name] for name in names) for row in rows]
        if _is_direct(connection):
            driver(connection).executemany(sql, parameters)
        else:
            connection.exec_driver_sql(sql, parameters)

    def make_ready(self, dialect: Dialect) -> None:
        """Compile it before anybody waits for it."""
        self._for(dialect)

    def _for(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled = self._build(dialect.name).compile(dialect=dialect)  # type: ignore[attr-defined]
            # The statement's own literals are parameters too, with their value already in place.
            constants = {name: one for name, one in compiled.params.items() if one is not None}
            found = (str(compiled), tuple(compiled.positiontup or ()), constants)
            self._compiled[dialect.name] = found
        return found


def _is_direct(connection: Connection) -> bool:
    # A synchronous driver can be called past the library, which takes a third of the time.
    return connection.dialect.name == "sqlite" and driver(connection).in_transaction


def driver(connection: Connection) -> Any:
    """Return the driver's own connection below the library's."""
    return connection.connection.dbapi_connection


def upsert(table: Table, keeps: Sequence[str] = (), only_greater: str | None = None) -> Statement:
    """Insert a whole row, or update all of it but its key and the columns in `keeps`.

    With `only_greater` the row stays as it is unless that column grows.
    """
    keys = [column.name for column in table.primary_key]
    changing = [one.name for one in table.columns if one.name not in (*keys, *keeps)]

    def build(dialect_name: str) -> Executable:
        insert = _INSERTS[dialect_name](table).values(_binds(table))
        return insert.on_conflict_do_update(
            index_elements=keys,
            set_={name: insert.excluded[name] for name in changing},
            where=insert.excluded[only_greater] > table.c[only_greater] if only_greater else None,
        )

    return Statement(build)


def insert(table: Table) -> Statement:
    """Insert a whole row."""
    return Statement(lambda dialect_name: _INSERTS[dialect_name](table).values(_binds(table)))


def fixed(statement: Executable) -> Statement:
    """Take a statement that reads the same in every dialect."""
    return Statement(lambda _: statement)


def _binds(table: Table) -> dict[str, Any]:
    return {column.name: bindparam(column.name, type_=column.type) for column in table.columns}
