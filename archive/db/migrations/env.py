"""Alembic's entry: runs on the connection that `archive.db.migrate` hands in."""

from alembic import context

from archive.db.base import Base
from archive.db.migrate import comparison

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    **comparison(connection.dialect.name),
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
