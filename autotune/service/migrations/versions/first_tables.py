"""The first tables of the service."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "service_jobs",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("order_json", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=16), nullable=True),
        sa.Column("request_key", sa.String(length=80), nullable=True),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("queued", sa.Float(precision=53), nullable=False),
        sa.Column("started", sa.Float(precision=53), nullable=True),
        sa.Column("finished", sa.Float(precision=53), nullable=True),
        sa.Column("expected_secs", sa.Float(precision=53), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=True),
        sa.Column("lease_until", sa.Float(precision=53), nullable=True),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("run_secs", sa.Float(precision=53), nullable=False),
        sa.Column("trials", sa.BigInteger(), nullable=False),
        sa.Column("eta_secs", sa.Float(precision=53), nullable=True),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("request_key"),
    )
    op.create_index("service_jobs_by_state", "service_jobs", ["state", "queued", "number"], unique=False)
    op.create_table(
        "service_models",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file", sa.String(length=80), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=16), nullable=True),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("examination", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("service_models_by_created", "service_models", ["created"], unique=False)
    op.create_index("service_models_by_state", "service_models", ["state"], unique=False)
    op.create_table(
        "service_tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=True),
        sa.Column("revoked", sa.Float(precision=53), nullable=True),
        sa.Column("last_used", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "service_uploads",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("token", sa.String(length=16), nullable=True),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("request_key", sa.String(length=80), nullable=True),
        sa.Column("model", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("request_key"),
    )
    op.create_table(
        "service_usage",
        sa.Column("token", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("upload_bytes", sa.BigInteger(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("run_secs", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("token", "day"),
    )
    op.create_table(
        "service_job_models",
        sa.Column("job", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"],
            ["service_jobs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["model"],
            ["service_models.id"],
        ),
        sa.PrimaryKeyConstraint("job", "model"),
    )
    op.create_index("service_job_models_by_model", "service_job_models", ["model"], unique=False)
    op.create_table(
        "service_results",
        sa.Column("job", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("finished", sa.Float(precision=53), nullable=False),
        sa.Column("secs", sa.Float(precision=53), nullable=False),
        sa.Column("low_secs", sa.Float(precision=53), nullable=False),
        sa.Column("high_secs", sa.Float(precision=53), nullable=False),
        sa.Column("trials", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"],
            ["service_jobs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["model"],
            ["service_models.id"],
        ),
        sa.PrimaryKeyConstraint("job", "model", "device"),
    )
    op.create_index("service_results_by_name", "service_results", ["name", "finished"], unique=False)


def downgrade() -> None:
    """Drops the tables, and with them everything that the service knows."""
    op.drop_table("service_results")
    op.drop_table("service_job_models")
    op.drop_table("service_usage")
    op.drop_table("service_uploads")
    op.drop_table("service_tokens")
    op.drop_table("service_models")
    op.drop_table("service_jobs")
