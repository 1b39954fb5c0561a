"""The facts of a job's pages with a text in every place that takes one."""

from __future__ import annotations

from literal_texts import LITERAL, literal_status

from autotune.reports.convergence import Convergence
from autotune.reports.report import Evidence, assemble
from autotune.reports.verdict import model_verdicts
from autotune.service.pages.job_facts import Drift, FailureFacts, JobFacts, LogFacts


def literal_job_facts(text: str = LITERAL) -> JobFacts:
    """A job with a text in every place that takes one."""
    status = literal_status(text)
    failure = FailureFacts("run_error", 1, (f"message {text}",), ((f"task {text}", 1),), f"config {text}")
    drift = Drift(((1, 1.5), (2, 1.0)), 0.5)
    log = LogFacts(
        f"log {text}",
        3,
        0.5,
        (f"damage {text}",),
        f"trouble {text}",
        (failure,),
        drift,
    )
    curve = Convergence(f"model {text}", "toy", 60.0, 2.0, 30.0, 15.0, 0.0)
    return JobFacts(
        assemble(status, Evidence({}, {("toy", "key"): 64})),
        model_verdicts(status),
        (curve,),
        log,
        ("operators/0-0",),
    )
