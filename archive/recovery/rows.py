"""Writing rows as they were, past models and use cases: what they would write beside is in the log already."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, and_, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.base import Base
from ingest import models as _intake
from ingest.axis import models as _axis

_LOADED: Final = (_intake, _axis)
"""Every other table's module is loaded by what replays its rows."""


class Rows:
    """The tables, in one transaction. Names are those of tables and columns."""

    def __init__(self, tx: Session) -> None:
        """Write in this transaction."""
        self._connection = tx.connection()
        self._later: dict[str, list[Mapping[str, Any]]] = defaultdict(list)

    def add(self, table: str, **values: Any) -> None:
        """Insert a row."""
        self._connection.execute(insert(_table(table)), values)

    def add_all(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows."""
        if rows:
            self._connection.execute(insert(_table(table)), rows)

    def add_later(self, table: str, **values: Any) -> None:
        """Insert a row at the end of the transaction, together with others of its table."""
        self._later[table].append(values)

    def flush(self) -> None:
        """Insert what was to be inserted later."""
        for table, rows in self._later.items():
            self.add_all(table, rows)
        self._later.clear()

    def change(self, table: str, where: Mapping[str, Any], **values: Any) -> int:
        """Change the rows that have these values; return how many."""
        if not values:
            return 0
        statement = update(_table(table)).where(_where(table, where)).values(**values)
        return self._connection.execute(statement).rowcount

    def remove(self, table: str, **where: Any) -> int:
        """Delete the rows that have these values; return how many."""
        return self._connection.execute(delete(_table(table)).where(_where(table, where))).rowcount

    def find(self, table: str, **where: Any) -> Mapping[str, Any] | None:
        """Return the row that has these values, the first where there are several; None where there is none."""
        found = self._connection.execute(select(_table(table)).where(_where(table, where)).limit(1)).mappings().first()
        return None if found is None else dict(found)

    def all(self, table: str, **where: Any) -> Sequence[Mapping[str, Any]]:
        """Return every row that has these values."""
        found = self._connection.execute(select(_table(table)).where(_where(table, where))).mappings()
        return [dict(row) for row in found]

    def set(self, table: str, where: Mapping[str, Any], **values: Any) -> None:
        """Change the row that has these values, or insert it with them."""
        if self.find(table, **where) is None:
            self.add(table, **where, **values)
        else:
            self.change(table, where, **values)

    def set_all(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or change those that have the same primary keys; all rows have the same columns."""
        if not rows:
            return
        into = _table(table)
        fresh = (postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert)(into)
        keys = [column.name for column in into.primary_key]
        changed = {name: fresh.excluded[name] for name in rows[0] if name not in keys}
        self._connection.execute(fresh.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


def _where(table: str, where: Mapping[str, Any]) -> Any:
    columns = _table(table).c
    return and_(True, *(columns[name] == value for name, value in where.items()))
