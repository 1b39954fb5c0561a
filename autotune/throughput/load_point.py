"""Latencies at one offered load, and the verdict on a limit."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from autotune.throughput.load_run import End, LoadRun
from autotune.throughput.prediction import TAIL
from autotune.throughput.quantiles import Quantile, quantile
from autotune.throughput.serving_setup import ServingSetup

# Of the limit, and in seconds: what a sleep may take longer than it should.
_LATE_SHARE, _LATE_SECS = 0.1, 0.5e-3
# Of all processors, used by other programs.
_BUSY_SHARE = 0.1


class LoadPoint(msgspec.Struct, frozen=True):
    """A measured run at an offered load.

    requests:       that were answered; a run that is lost ends early;
    end:            see `autotune.throughput.load_run.End`;
    meets:          whether the 99th percentile itself is within the limit; holds: whether its interval is;
    mean_batch:     requests of a call;
    late_secs:      99th percentile of how late requests were sent by callers that were not busy;
    overhead_secs:  of the load generator, for one call;
    generator_share: processors used by the load generator where it is a process of its own, else 0;
    busy_elsewhere: processors used by other programs meanwhile.
    """

    setup: ServingSetup
    offered_per_second: float
    requests: int
    end: End
    meets: bool
    holds: bool
    p50: Quantile
    p90: Quantile
    p99: Quantile
    mean_batch: float
    late_secs: float
    overhead_secs: float
    generator_share: float
    busy_elsewhere: float


@dataclass(frozen=True, slots=True)
class Offered:
    """A load that was offered, the limit it was held against, and the processors that other programs used."""

    setup: ServingSetup
    per_second: float
    limit_secs: float
    busy_elsewhere: float


def load_point(run: LoadRun, offered: Offered) -> LoadPoint:
    """The figures of a run; it holds where it finished and the upper end of p99's interval is within the limit."""
    finished = run.end is End.FINISHED
    latencies = run.latencies if len(run.latencies) else np.array([float("inf")])
    tail = quantile(latencies, TAIL)
    return LoadPoint(
        offered.setup,
        offered.per_second,
        len(run.latencies),
        run.end,
        finished and tail.secs <= offered.limit_secs,
        finished and tail.is_within(offered.limit_secs),
        quantile(latencies, 0.5),
        quantile(latencies, 0.9),
        tail,
        run.mean_batch,
        float(np.quantile(run.late_secs, TAIL)) if len(run.late_secs) else 0.0,
        run.overhead_secs,
        run.generator_share,
        offered.busy_elsewhere,
    )


def is_disturbed(point: LoadPoint, limit_secs: float, processors: int) -> bool:
    """Whether a load that missed the limit says little: requests were sent late, or other programs were running.

    Callers in the process of the instances are late by themselves where these have more threads than there are
    processors.
    """
    crowded = not point.generator_share and point.setup.instances * point.setup.threads > processors
    late = point.late_secs > _LATE_SHARE * limit_secs + _LATE_SECS
    return (late and not crowded) or point.busy_elsewhere > _BUSY_SHARE * processors
