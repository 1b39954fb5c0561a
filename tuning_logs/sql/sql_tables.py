"""The tables of a team's store: the very lines of a log, and the columns that lookups go by."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

#: Workloads, devices, jobs and traces; digest: of the line, which is as in a log file, without its newline.
DEFINITIONS = Table(
    "definitions",
    METADATA,
    Column("digest", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("line", Text, nullable=False),
)

#: program: digest of space version and config. secs, low_secs: as in the index of a log, null for a failure.
RECORDS = Table(
    "records",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("digest", String(32), nullable=False, unique=True),
    Column("task", String(128), nullable=False),
    Column("target", Text, nullable=False),
    Column("device", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("workload_digest", String(32), ForeignKey("definitions.digest"), nullable=False),
    Column("device_digest", String(32), ForeignKey("definitions.digest"), nullable=False),
    Column("job_digest", String(32), ForeignKey("definitions.digest"), nullable=False),
    Column("program", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("secs", Float(53)),
    Column("low_secs", Float(53)),
    Column("line", Text, nullable=False),
    Column("trace_digest", String(32), ForeignKey("definitions.digest")),
    Index("records_by_task", "task", "device"),
    Index("records_by_device", "device"),
    Index("records_by_job", "job"),
)
