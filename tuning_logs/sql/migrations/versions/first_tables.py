"""The first tables: definitions, and records that refer to them."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Creates both tables."""
    op.create_table(
        "definitions",
        sa.Column("digest", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_table(
        "records",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False, unique=True),
        sa.Column("task", sa.String(128), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("job", sa.String(128), nullable=False),
        sa.Column("workload_digest", sa.String(32), sa.ForeignKey("definitions.digest"), nullable=False),
        sa.Column("device_digest", sa.String(32), sa.ForeignKey("definitions.digest"), nullable=False),
        sa.Column("job_digest", sa.String(32), sa.ForeignKey("definitions.digest"), nullable=False),
        sa.Column("program", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("secs", sa.Float(53)),
        sa.Column("low_secs", sa.Float(53)),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_index("records_by_task", "records", ["task", "device"])
    op.create_index("records_by_device", "records", ["device"])
    op.create_index("records_by_job", "records", ["job"])


def downgrade() -> None:
    """Drops both tables, and with them every record."""
    op.drop_table("records")
    op.drop_table("definitions")
