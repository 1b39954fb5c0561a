"""Sessions of browsers, and packages of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "service_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=16), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["token"], ["service_tokens.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "service_packages",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("job", sa.String(length=16), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("token", sa.String(length=16), nullable=True),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["service_jobs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("service_packages_by_job", "service_packages", ["job"], unique=False)
    op.create_index("service_packages_by_state", "service_packages", ["state"], unique=False)


def downgrade() -> None:
    """Drops the tables: everybody has to sign in again, and packages have to be built again."""
    op.drop_table("service_packages")
    op.drop_table("service_sessions")
