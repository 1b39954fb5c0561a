"""Provenance of records: the run's id, seed, versions and start."""

from __future__ import annotations

import platform
import secrets
from datetime import UTC, datetime
from importlib import metadata

from search_spaces.tensor_ir.vector_math import VECTOR_MATH_VERSION
from tuning_logs import Job

_PACKAGES = ("autotune", "apache-tvm", "apache-tvm-ffi", "optuna", "xgboost", "numpy")


def new_job(seed: int, sampler: str, run_prefix: str = "") -> Job:
    """A job that starts now, with an id that no other job has; run_prefix: how its id begins."""
    started = utc_now()
    stamp = started[:19].replace("-", "").replace(":", "")
    return Job(f"{run_prefix}{stamp}-{secrets.token_hex(4)}", seed, sampler, started, _versions())


def utc_now() -> str:
    """The time now, in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "vector_math": VECTOR_MATH_VERSION}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "source"
    return versions
