"""Fixtures and settings of every test."""

import os
import signal

import hypothesis_profiles  # noqa: F401  registers them before Hypothesis is asked for one
import pytest

# Failing laws show their values, as failing tests do.
pytest.register_assert_rewrite("autotune.testing")

# XGBoost's threads wait for each other by spinning, which takes minutes where more of them run than there are cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["browser", "kernel_fixtures", "model_fixtures", "record_fixtures", "space_fixtures"]

# A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
