"""How Alembic runs here: on a connection and in a transaction that storage.migration owns."""

from alembic import context

from storage import schema

connection = context.config.attributes["connection"]
# SQLite can roll back a table; Alembic only assumes that it cannot.
context.configure(connection=connection, target_metadata=schema.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
