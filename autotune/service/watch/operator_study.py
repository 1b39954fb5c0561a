"""The search space of an operator and its cost model, looked at in a process of its own ."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.service.pages.job_facts import SpaceFacts
from search_spaces import AutotuneError, Config, TuningTask
from tuning_logs import TuningRecord
from tuning_logs.selection.improvements import first_of_each


def study(task: TuningTask, records: Sequence[TuningRecord], best: Config) -> SpaceFacts:
    """The size of the task's space, the choices of its sketches, and how well a cost model ranks the records."""
    # The server, which names this function to a worker, must not load TVM and XGBoost.
    from cost_models.evaluation.over_trials import foreseen_rank, quality_over_trials
    from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

    try:
        space = TensorIRSpace(task)
    except AutotuneError as error:
        return SpaceFacts(trouble=str(error))
    sketches = len(space.sketches) + 1
    trials = first_of_each(records)
    return SpaceFacts(
        space.size,
        {
            one.name: {"sketch": sketches} | {each.name: len(each.choices) for each in one.asked}
            for one in space.sketches
        },
        tuple(quality_over_trials(trials)),
        foreseen_rank(trials, best),
    )
