"""Tells Alembic which connection to migrate; the store hands it over."""

from alembic import context

from tuning_logs.sql.sql_tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
