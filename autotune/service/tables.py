"""The tables of the service's store; trials are in the jobs' logs, and only summaries are here."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

METADATA: Final = MetaData()

#: id: the public part of a token; digest: SHA-256 of the token, in hexadecimal digits; times are UNIX times.
TOKENS: Final = Table(
    "service_tokens",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("expires", Float(53)),
    Column("revoked", Float(53)),
    Column("last_used", Float(53)),
)

#: Counters of a token on a day (days since 1970).
USAGE: Final = Table(
    "service_usage",
    METADATA,
    Column("token", String(16), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("upload_bytes", BigInteger, nullable=False),
    Column("jobs", BigInteger, nullable=False),
    Column("run_secs", Float(53), nullable=False),
)

#: name: of the user's file; model: the model that a complete upload became.
UPLOADS: Final = Table(
    "service_uploads",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64)),
    Column("token", String(16)),
    Column("created", Float(53), nullable=False),
    Column("request_key", String(80), unique=True),
    Column("model", String(16)),
)

#: file: in the folder of the model; examination: the first answer as JSON.
MODELS: Final = Table(
    "service_models",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("file", String(80), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("token", String(16)),
    Column("created", Float(53), nullable=False),
    Column("state", String(16), nullable=False),
    Column("examination", Text),
    Index("service_models_by_created", "created"),
    Index("service_models_by_state", "state"),
)

#: order_json: the order; fence: number of the last claim, without which no result is taken; lease_until: of a claim;
#: deaths: of its workers in a row without progress; expected_secs: of all its runs, null where it has no limit of time;
#: the rest is a summary of its status.
JOBS: Final = Table(
    "service_jobs",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("order_json", Text, nullable=False),
    Column("token", String(16)),
    Column("request_key", String(80), unique=True),
    Column("created", Float(53), nullable=False),
    Column("queued", Float(53), nullable=False),
    Column("started", Float(53)),
    Column("finished", Float(53)),
    Column("expected_secs", Float(53)),
    Column("fence", Integer, nullable=False),
    Column("owner", String(16)),
    Column("lease_until", Float(53)),
    Column("deaths", Integer, nullable=False),
    Column("is_cancelled", Boolean, nullable=False),
    Column("run_secs", Float(53), nullable=False),
    Column("trials", BigInteger, nullable=False),
    Column("eta_secs", Float(53)),
    Column("activity", Text, nullable=False),
    Column("reason", Text),
    Index("service_jobs_by_state", "state", "queued", "number"),
)

#: The models of a job.
JOB_MODELS: Final = Table(
    "service_job_models",
    METADATA,
    Column("job", String(16), ForeignKey("service_jobs.id"), primary_key=True),
    Column("model", String(16), ForeignKey("service_models.id"), primary_key=True),
    Index("service_job_models_by_model", "model"),
)

#: Latencies of the libraries that jobs have made, in seconds; sha256: of the model's file.
RESULTS: Final = Table(
    "service_results",
    METADATA,
    Column("job", String(16), ForeignKey("service_jobs.id"), primary_key=True),
    Column("model", String(16), ForeignKey("service_models.id"), primary_key=True),
    Column("device", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("finished", Float(53), nullable=False),
    Column("secs", Float(53), nullable=False),
    Column("low_secs", Float(53), nullable=False),
    Column("high_secs", Float(53), nullable=False),
    Column("trials", BigInteger, nullable=False),
    Index("service_results_by_name", "name", "finished"),
)

#: Sessions of browsers; digest: SHA-256 of the cookie, in hexadecimal digits; token: that signed in.
SESSIONS: Final = Table(
    "service_sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("token", String(16), ForeignKey("service_tokens.id"), nullable=False),
    Column("expires", Float(53), nullable=False),
)

#: Packages of jobs' models; model: its name in the job; file: in the job's folder of packages, once it is built.
PACKAGES: Final = Table(
    "service_packages",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("job", String(16), ForeignKey("service_jobs.id"), nullable=False),
    Column("model", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("form", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("token", String(16)),
    Column("file", Text),
    Column("bytes", BigInteger),
    Column("reason", Text),
    Index("service_packages_by_job", "job"),
    Index("service_packages_by_state", "state"),
)
