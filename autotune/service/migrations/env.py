"""Tells Alembic which connection to migrate; the store hands it over."""

from alembic import context

from autotune.service.database import VERSION_TABLE
from autotune.service.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
