"""What is kept until a day is never kept for shorter: triggers that refuse it, on both databases.

A seat belt, as those of `archive.db.append_only` are: that one is gone or changed is found by `fsck`, and so is what was
changed behind it, which contradicts the log.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection

REFUSAL: Final = "retention only grows"
TABLE: Final = "retention_plan"
_SHRINKS: Final = (
    "NEW.object_id <> OLD.object_id OR (NOT NEW.is_permanent AND (OLD.is_permanent OR (OLD.retain_until IS NOT NULL"
    " AND (NEW.retain_until IS NULL OR NEW.retain_until < OLD.retain_until))))"
)
_FUNCTION: Final = "liuhen_retention_only_grows"
_BODY: Final = f"""
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NOT ({_SHRINKS}) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = '{REFUSAL}: ' || TG_OP || ' of ' || TG_TABLE_NAME;
END
"""
# Row before update, row before delete, statement before truncate: the bits of pg_trigger.tgtype.
_POSTGRES: Final[Mapping[str, tuple[str, int]]] = {
    f"{TABLE}_no_shrink": ("UPDATE ON {} FOR EACH ROW", 19),
    f"{TABLE}_no_delete": ("DELETE ON {} FOR EACH ROW", 11),
    f"{TABLE}_no_truncate": ("TRUNCATE ON {} FOR EACH STATEMENT", 34),
}
_SQLITE: Final[Mapping[str, str]] = {
    f"{TABLE}_no_{what}": (
        f"CREATE TRIGGER {TABLE}_no_{what} BEFORE {act} ON {TABLE}{when}"
        f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {act} of {TABLE}'); END"
    )
    for what, act, when in (("shrink", "UPDATE", f" WHEN {_SHRINKS}"), ("delete", "DELETE", ""))
}
"""`INSERT OR REPLACE` deletes first; where `recursive_triggers` is off that goes unseen here, and `fsck` sees it."""


def protect(connection: Connection) -> None:
    """Put every trigger in place, for a migration; those that are there are made anew."""
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


def lift(connection: Connection) -> None:
    """Take the triggers away, as whoever owns the tables can; for tests, and for a database that is made anew."""
    on = "" if connection.dialect.name == "sqlite" else f" ON {TABLE}"
    for name in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")


def missing(connection: Connection) -> Iterator[str]:
    """Yield the triggers that should be there and are not, or say something else, or are switched off."""
    wanted: Mapping[str, str]
    if connection.dialect.name == "sqlite":
        wanted = _SQLITE
        asked = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        there = {name: sql for name, sql in connection.exec_driver_sql(asked)}  # noqa: C416 - rows are no pairs
    else:
        wanted = {name: f"A {kind} {_BODY}" for name, (_, kind) in _POSTGRES.items()}
        found = connection.exec_driver_sql(
            "SELECT t.tgname::text, t.tgenabled::text, t.tgtype, p.prosrc FROM pg_trigger t "
            "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid "
            f"WHERE t.tgqual IS NULL AND t.tgattr = '' AND c.relname = '{TABLE}' "
            "AND c.relnamespace = current_schema()::regnamespace"
        )
        there = {name: f"{enabled} {kind} {body}" for name, enabled, kind, body in found}
    for name, form in wanted.items():
        if there.get(name) != form:
            yield name


def _statements(dialect: str) -> Iterator[str]:
    if dialect == "sqlite":
        for name, statement in _SQLITE.items():
            yield f"DROP TRIGGER IF EXISTS {name}"
            yield statement
        return
    yield f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$"
    for name, (form, _) in _POSTGRES.items():
        yield f"DROP TRIGGER IF EXISTS {name} ON {TABLE}"
        yield f"CREATE TRIGGER {name} BEFORE {form.format(TABLE)} EXECUTE FUNCTION {_FUNCTION}()"
        yield f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {name}"
