"""The least time that a job needs before its first trial, and a budget held against it before any is spent."""

from __future__ import annotations

from autotune.jobs.durations import show_duration
from autotune.jobs.plan import JobPlan
from search_spaces import Misuse

# On a fast and idle machine: worker processes load TVM, and each operator of a model is lowered, compiled and linked.
_START_SECS = 2.0
_OPERATOR_SECS = 0.08
# With an output folder models are built once more at the end.
_BUILDS_WHERE_SAVED = 2


def least_secs(plan: JobPlan) -> float:
    """Seconds below which no machine checks and builds the models of a plan; 0 where it has operators alone."""
    builds = 1 if plan.request.output is None else _BUILDS_WHERE_SAVED
    operators = sum(len(model.tasks) for run in plan.devices for model in run.models if model.request)
    return _START_SECS + builds * _OPERATOR_SECS * operators if operators else 0.0


def check_budget(plan: JobPlan) -> None:
    """Raises Misuse where the budget's time is too short for anything."""
    secs, least = plan.request.budget.secs, least_secs(plan)
    if secs is not None and secs < least:
        raise Misuse(
            f"expected a budget of at least {show_duration(least)} for the checks and builds of the models before and "
            f"after the search, found {show_duration(secs)}; give it some times that, or --trials in its place",
            code="AT508",
        )
