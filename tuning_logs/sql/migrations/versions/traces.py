"""Records refer to the trace by which their config can be replayed."""

from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds the column; records that are there have none."""
    # Alembic would write the reference as a constraint of its own, which SQLite cannot add to a table.
    op.execute("ALTER TABLE records ADD COLUMN trace_digest VARCHAR(32) REFERENCES definitions (digest)")


def downgrade() -> None:
    """Drops the column; the definitions of traces stay."""
    with op.batch_alter_table("records") as records:
        records.drop_column("trace_digest")
