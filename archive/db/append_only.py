"""Tables that are only ever added to: triggers that refuse everything else, on both databases.

A seat belt, not the proof: whoever owns the database file or the tables can remove a trigger. That is found by `fsck`,
and what is changed behind it contradicts the log.

* SQLite: `INSERT OR REPLACE` deletes without the delete trigger where `recursive_triggers` is off, so an insert of a
  key that is there is refused too.
* PostgreSQL: row triggers do not see TRUNCATE, so there is one for the statement; `ENABLE ALWAYS` keeps them when a
  session calls itself a replica.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, inspect

KEYS: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "log_entry": (("id",),),
    "log_detail": (("entry_id",),),
    "log_leaf": (("leaf_index",), ("entry_id",)),
    "log_node": (("level", "position"),),
    "log_checkpoint": (("size",), ("previous_size",)),
    "log_cosignature": (("size", "key", "time_s"),),
    "log_segment": (("size",), ("previous_size",)),
    "log_erasure": (("entry_id",), ("told_by",)),
    "custody_event": (("entry_id",),),
    "tombstone": (("object_id",), ("entry_id",)),
}
"""The tables, each with the keys that a row takes for good."""
ERASABLE: Final = "log_detail"
"""The table whose rows may go, each once `log_erasure` names it beside the entry that tells of it."""
ADD_AND_TAKE: Final = ("log_pending",)
"""Tables whose rows come and go, and never change."""
REFUSAL: Final = "append-only"
TAKEN: Final = "append-only: taken"
_FUNCTION: Final = "liuhen_append_only"
_FUNCTION_BODY: Final = f"""
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = '{REFUSAL}: ' || TG_OP || ' of ' || TG_TABLE_NAME;
END
"""
_ERASABLE_FUNCTION: Final = "liuhen_erasable"
_ERASABLE_BODY: Final = f"""
DECLARE is_erased boolean;
BEGIN
  IF TG_OP = 'DELETE' THEN
    EXECUTE 'SELECT EXISTS (SELECT 1 FROM ' || quote_ident(TG_TABLE_SCHEMA) || '.log_erasure WHERE entry_id = $1)'
      INTO is_erased USING OLD.entry_id;
    IF is_erased THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = '{REFUSAL}: ' || TG_OP || ' of ' || TG_TABLE_NAME;
END
"""  # noqa: S608 - no value of anybody's is put in
_UNLESS_ERASED: Final = " WHEN NOT EXISTS (SELECT 1 FROM log_erasure WHERE entry_id = OLD.entry_id)"
_FUNCTIONS: Final = {_FUNCTION: _FUNCTION_BODY, _ERASABLE_FUNCTION: _ERASABLE_BODY}


def protect(connection: Connection) -> None:
    """Put every trigger in place, for a migration; those that are there are made anew.

    Tables that a later migration makes are left to it.
    """
    there = set(inspect(connection).get_table_names())
    for table, statement in _statements(connection.dialect.name):
        if table is None or table in there:
            connection.exec_driver_sql(statement)


def missing(connection: Connection) -> Iterator[str]:
    """Yield the triggers that should be there and are not, or say something else, or are switched off."""
    there = _sqlite_there(connection) if connection.dialect.name == "sqlite" else _postgres_there(connection)
    for name, wanted in _wanted(connection.dialect.name).items():
        if there.get(name) != wanted:
            yield name


def _statements(dialect: str) -> Iterator[tuple[str | None, str]]:
    if dialect == "sqlite":
        for name, statement in _sqlite_triggers().items():
            table = name.partition("_no_")[0]
            yield table, f"DROP TRIGGER IF EXISTS {name}"
            yield table, statement
        return
    for function, body in _FUNCTIONS.items():
        yield None, f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
    for table, name, form, function in _postgres_triggers():
        yield table, f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield table, f"CREATE TRIGGER {name} BEFORE {form} EXECUTE FUNCTION {function}()"
        yield table, f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"


def _wanted(dialect: str) -> Mapping[str, str]:
    if dialect == "sqlite":
        return _sqlite_triggers()
    return {name: f"{table} A {_FUNCTIONS[function]}" for table, name, _, function in _postgres_triggers()}


def _sqlite_triggers() -> Mapping[str, str]:
    found = {}
    for table in (*KEYS, *ADD_AND_TAKE):
        for act in ("UPDATE", *(["DELETE"] if table in KEYS else [])):
            name = f"{table}_no_{act.lower()}"
            when = _UNLESS_ERASED if (table, act) == (ERASABLE, "DELETE") else ""
            found[name] = f"CREATE TRIGGER {name} BEFORE {act} ON {table}{when} BEGIN {_raise(f'{act} of {table}')} END"
    for table, keys in KEYS.items():
        is_taken = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{column} = NEW.{column}' for column in key)})"  # noqa: S608
            for key in keys
        )
        name = f"{table}_no_replace"
        refusal = f"SELECT RAISE(ABORT, '{TAKEN} in {table}');"
        found[name] = f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {is_taken} BEGIN {refusal} END"
    return found


def _raise(what: str) -> str:
    return f"SELECT RAISE(ABORT, '{REFUSAL}: {what}');"


def _postgres_triggers() -> Iterator[tuple[str, str, str, str]]:
    for table in (*KEYS, *ADD_AND_TAKE):
        acts, function = "UPDATE OR DELETE" if table in KEYS else "UPDATE", _FUNCTION
        if table == ERASABLE:
            function = _ERASABLE_FUNCTION
        yield table, f"{table}_append_only", f"{acts} ON {table} FOR EACH ROW", function
        yield table, f"{table}_no_truncate", f"TRUNCATE ON {table} FOR EACH STATEMENT", _FUNCTION


def _sqlite_there(connection: Connection) -> Mapping[str, str]:
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name: sql for name, sql in found}  # noqa: C416 - rows are no pairs to dict()


def _postgres_there(connection: Connection) -> Mapping[str, str]:
    found = connection.exec_driver_sql(
        "SELECT t.tgname, t.tgrelid::regclass::text, t.tgenabled, p.prosrc FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
    )
    return {name: f"{table} {_text(enabled)} {body}" for name, table, enabled, body in found}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
